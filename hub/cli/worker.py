"""`statushub worker`: run jobs beside the hubs."""

from __future__ import annotations

import logging.config
import signal
from collections.abc import Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final

import click

from statushub.extras import required
from statushub.hub.cli.setting_options import given, options_of
from statushub.hub.environment import load
from statushub.hub.job_parts import check_jobs, open_jobs
from statushub.hub.logs import logging_config
from statushub.hub.model.errors import ConfigError
from statushub.hub.settings import SETTINGS

if TYPE_CHECKING:
    from statushub.hub.config import Config
    from statushub.hub.instagram import InstagramSync

EPILOG: Final = """\b
Examples:
  statushub worker myapp.jobs --broker redis://localhost:6379/0
  STATUSHUB_BROKER=redis://localhost:6379/0 statushub worker myapp.jobs myapp.reports
  statushub worker --broker redis://localhost:6379/0 --documents /srv/documents

Runs until SIGTERM or Ctrl+C, and then gives its jobs back to other workers, after up to 10 seconds for the items that
run. Any number of workers may run. A hub with an embedded broker runs jobs itself: statushub serve --jobs.
"""

DOCUMENTS: Final = (
    *("documents", "documents_index", "documents_url", "documents_categories", "documents_headers"),
    *("documents_counter", "documents_pace", "documents_retry"),
)
INSTAGRAM: Final = tuple(name for name in SETTINGS if name.partition("_")[0] == "instagram")

SETTINGS_OF_WORKER: Final = ("broker", "jobs_tenants", *DOCUMENTS, *INSTAGRAM, "log_level", "log_format")


@click.command(epilog=EPILOG, short_help="Run jobs beside the hubs.")
@click.argument("modules", metavar="[MODULE]...", nargs=-1)
@options_of(SETTINGS_OF_WORKER)
@click.pass_obj
def worker(environ: Mapping[str, str], /, modules: tuple[str, ...], **flags: Any) -> None:
    """Run the jobs that these Python modules declare, by default those of STATUSHUB_JOBS_MODULES, and with --instagram
    the sync of Instagram."""
    import anyio

    own = {SETTINGS[name].variable for name in (*SETTINGS_OF_WORKER, "jobs_modules")}
    said: dict[str, Any] = {"jobs": True} | ({"jobs_modules": modules} if modules else {})
    settings = load({name: text for name, text in environ.items() if name in own}, **given(flags), **said)
    if not (settings.jobs_modules or settings.counts_documents or settings.instagram):
        raise ConfigError(
            f"name a module, or set {SETTINGS['jobs_modules'].variable} or {SETTINGS['documents'].variable}",
            field="jobs_modules",
        )
    if settings.embedded:
        raise ConfigError(
            f"{SETTINGS['broker'].label} must be a Redis: an embedded broker belongs to its hub, which runs jobs with "
            f"{SETTINGS['jobs'].label}",
            field="broker",
        )
    check_jobs(settings)
    logging.config.dictConfig(logging_config(settings.log_level, settings.log_format))
    anyio.run(_run, settings)


async def _run(settings: Config) -> None:
    import anyio

    from statushub.producers.jobs.redis_store import RedisStore
    from statushub.producers.jobs.worker import Worker

    sync = _instagram(settings)
    async with (
        RedisStore(settings.broker) as store,
        open_jobs(settings, store) as (jobs, _),
        sync or nullcontext(),
        anyio.create_task_group() as tasks,
    ):
        workers = [Worker(store, jobs, tenants=settings.jobs_tenants)] if jobs else []
        if sync is not None:
            workers.append(sync.worker(store, exclusive=False))
            tasks.start_soon(sync.history(store).run)
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:

            async def stop() -> None:
                async for _ in signals:
                    for worker in workers:
                        worker.stop()

            tasks.start_soon(stop)
            async with anyio.create_task_group() as working:
                for worker in workers:
                    working.start_soon(worker.run)
            tasks.cancel_scope.cancel()


def _instagram(settings: Config) -> InstagramSync | None:
    """The sync of Instagram, where it is switched on."""
    if not settings.instagram:
        return None
    with required("the sync of Instagram"):
        from statushub.hub.instagram import InstagramSync
    return InstagramSync(settings)
