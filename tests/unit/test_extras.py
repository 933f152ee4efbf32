"""The extras: which libraries each of them brings."""

from __future__ import annotations

import ast
import sys
from functools import cache
from importlib import import_module, metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from statushub.extras import EXTRAS, MissingExtra, required
from tests.support.requirements import brought, declared, project

ROOT = Path(__file__).parents[2]
OWN = tuple(declared())
OPTIONAL = project()["optional-dependencies"]


QUEUES = {"celery": {"celery", "billiard"}, "rq": {"rq"}, "taskiq": {"taskiq"}}
"""The libraries that the integrations are for, with those that they bring."""


@cache
def modules() -> dict[str, set[str]]:
    """The canonical names of the installed distributions that provide each top-level module."""
    found = metadata.packages_distributions()
    return {module: {canonicalize_name(name) for name in names} for module, names in found.items()}


def test_a_worker_needs_five_libraries() -> None:
    """The base brings no web server, command line or encoder."""
    names = {Requirement(line).name for line in project()["dependencies"]}
    assert names == {"anyio", "h11", "httpx", "msgspec", "redis"}
    assert not brought(OWN) & {
        "starlette",
        "uvicorn",
        "click",
        "rich",
        "cryptography",
        "av",
        "hiredis",
        "openai",
        "sqlalchemy",
    }


def test_all_requires_every_extra() -> None:
    """The demo and the image install `statushub[all]`."""
    assert brought(OWN, "all") == brought(OWN, *OPTIONAL)


@pytest.mark.parametrize("module", EXTRAS)
def test_an_extra_installs_its_modules(module: str) -> None:
    """The extra that an error names installs the missing module; the base does not."""
    assert modules()[module] & brought(OWN, EXTRAS[module])
    assert not modules()[module] & brought(OWN)


@pytest.mark.parametrize("extra", ["cli", "server", "sql", "encode", "generate", "otel"])
def test_every_requirement_of_an_extra_has_a_module(extra: str) -> None:
    """A library that is added to an extra is named when it is missing."""
    known = {name for module in EXTRAS if EXTRAS[module] == extra for name in modules()[module]}
    base = {canonicalize_name(Requirement(line).name) for line in project()["dependencies"]}
    needed = {canonicalize_name(Requirement(line).name) for line in OPTIONAL[extra]} - {"statushub"}
    assert needed - base <= known


def test_every_import_is_required() -> None:
    """Each third-party module that the source imports comes with the base or with an extra; the integration of a task
    queue imports its library, which its users have."""
    brought_by_base = brought(OWN)
    base = {module for module, names in modules().items() if names & brought_by_base}
    for source in (path for folder in ("hub", "producers", "statushub") for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(source.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            foreign = {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"statushub"}
            theirs = QUEUES.get(source.stem, set()) if source.parent.name == "integrations" else set()
            assert foreign <= base | EXTRAS.keys() | theirs, source


def test_an_unknown_missing_module_is_not_a_missing_extra() -> None:
    """A defect of the package is not reported as an incomplete installation."""
    with pytest.raises(ModuleNotFoundError) as caught, required("this"):
        import_module("statushub.nothing")
    assert not isinstance(caught.value, MissingExtra)
