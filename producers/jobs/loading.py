"""Finds the jobs that modules declare."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

from statushub.extras import MissingExtra
from statushub.hub.model.errors import ConfigError
from statushub.producers.jobs.definition import Job


def load_jobs(modules: Iterable[str]) -> list[Job]:
    """The jobs among the names of these modules, which are looked for in the working directory, too.

    Raises `ConfigError` where a module is missing or fails, declares none, or two jobs have one name.
    """
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    found: dict[str, Job] = {}
    for name in modules:
        try:
            module = import_module(name)
        except MissingExtra:
            raise
        except Exception as error:
            raise ConfigError(f"{name!r} cannot be imported: {error!r}", field="jobs_modules") from error
        jobs = [value for value in vars(module).values() if isinstance(value, Job)]
        if not jobs:
            raise ConfigError(f"{name!r} declares no job", field="jobs_modules")
        for job in jobs:
            if found.setdefault(job.name, job) is not job:
                raise ConfigError(f"two jobs are named {job.name!r}", field="jobs_modules")
    return [*found.values()]
