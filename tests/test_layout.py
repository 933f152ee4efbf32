"""The floors of the design: imports go downward only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

FLOORS = (
    ("hub.errors",),
    ("hub.vocabulary", "hub.patterns", "hub.origins"),
    ("hub.model",),
    ("hub.publication", "hub.identity"),
    ("hub.brokers.functions", "hub.brokers.fence", "hub.logs", "hub.metrics", "hub.sse", "hub.status"),
    ("hub.keys", "hub.limits", "hub.revocations", "hub.tickets"),
    ("hub.brokers.base",),
    ("hub.config",),
    ("hub.brokers.address", "hub.brokers.store"),
    ("hub.brokers.topology",),
    ("hub.brokers.link",),
    ("hub.brokers.subscription",),
    ("hub.brokers.embedded", "hub.brokers.redis"),
    ("hub.brokers",),
    ("hub.replica",),
    ("hub.viewer", "hub.connection"),
    ("hub.handover",),
    ("hub.heartbeat", "hub.upkeep", "hub.doorkeeper", "hub.lookups", "hub.recovery"),
    ("hub.hub", "hub.auth"),
    ("hub.polls",),
    ("hub.requests", "hub.responses"),
    ("hub.gate",),
    ("hub.api.*",),
    ("hub.app",),
    ("hub.server",),
    ("hub.cli", "hub.cli.*"),
    ("hub.__main__",),
)
"""From the ground up. A module imports those of lower floors; the command line's modules each other, too."""

PRODUCERS_MAY_IMPORT = {"hub.errors", "hub.vocabulary", "hub.model", "hub.publication", "hub.brokers.functions"}


def modules(package: str) -> Iterator[tuple[str, Path]]:
    """Every module below `package`, by name."""
    for path in sorted((ROOT / package).rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        yield name.removesuffix(".__init__"), path


def imported(path: Path) -> set[str]:
    """The project's modules that a module imports, for typing alone excepted."""
    names: set[str] = set()
    known = dict(modules("hub")) | dict(modules("producers"))
    tree = ast.parse(path.read_text())
    for_typing = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in for_typing:
            continue
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner_modules = {f"{node.module}.{alias.name}" for alias in node.names} & known.keys()
            names.update(inner_modules or {node.module})
    return names & known.keys()


def floor(module: str) -> int:
    """Which floor a module is on."""
    family = module.rpartition(".")[0] + ".*"
    for number, floor_modules in enumerate(FLOORS):
        if module in floor_modules or family in floor_modules:
            return number
    raise LookupError(f"{module} is on no floor: say in FLOORS where it belongs")


@pytest.mark.parametrize(("module", "path"), [m for m in modules("hub") if m[0] not in ("hub", "hub.api")])
def test_imports_go_downward(module: str, path: Path) -> None:
    """No module imports one of its own floor or of a higher one; those of the command line may each other."""
    own = floor(module)
    for name in imported(path) - {"hub", module}:
        if name.startswith("producers"):
            assert module.startswith("hub.cli"), f"{module} imports {name}"
        else:
            assert floor(name) < own or (module.startswith("hub.cli") and floor(name) == own), f"{module}: {name}"


@pytest.mark.parametrize(("module", "path"), list(modules("producers")))
def test_producers_stand_on_the_ground_floor(module: str, path: Path) -> None:
    """They import what is needed to say a status and to hand it to Redis, and nothing of the hub."""
    assert {name for name in imported(path) if name.startswith("hub")} <= PRODUCERS_MAY_IMPORT


def test_every_floor_has_a_module() -> None:
    """What is no longer there has no place in the list."""
    there = {module for module, _ in modules("hub")}
    for name in (name for names in FLOORS for name in names):
        assert name in there or any(module.startswith(name.removesuffix("*")) for module in there), name
    assert all(len(set(lower) & set(upper)) == 0 for lower, upper in pairwise(FLOORS))
