"""The requirements of a Statushub installation, from the metadata of what is installed here."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def project() -> dict[str, Any]:
    """The table `[project]` of pyproject.toml."""
    table: dict[str, Any] = tomllib.loads(PYPROJECT.read_text())["project"]
    return table


def declared() -> list[str]:
    """The requirements as pyproject.toml declares them, in the form of a distribution's metadata."""
    table = project()
    optional = table["optional-dependencies"]
    return [*table["dependencies"], *(_of(extra, line) for extra in optional for line in optional[extra])]


def _of(extra: str, line: str) -> str:
    """A requirement of an extra, as a wheel's metadata have it."""
    named, _, marker = line.partition(";")
    return f"{named}; {f'({marker.strip()}) and ' if marker else ''}extra == '{extra}'"


@cache
def brought(own: tuple[str, ...], *extras: str) -> set[str]:
    """The canonical names of all distributions that `pip install 'statushub[extras]'` installs besides itself.

    `own` are Statushub's requirements, in the form of a distribution's metadata.
    """
    met: set[tuple[str, str]] = set()
    todo = [("statushub", extra) for extra in ("", *extras)]
    while todo:
        name, wanted = todo.pop()
        if (name, wanted) in met:
            continue
        met.add((name, wanted))
        for line in own if name == "statushub" else metadata.requires(name) or ():
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": wanted}):
                todo += [(canonicalize_name(requirement.name), extra) for extra in ("", *requirement.extras)]
    return {name for name, _ in met} - {"statushub"}
