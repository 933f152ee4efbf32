"""The private parts of uvicorn: each one in use is checked for, and documented in the module that uses it."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from types import ModuleType

import pytest
from uvicorn.protocols.http import flow_control, httptools_impl
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from statushub.hub.config import Config
from statushub.hub.http import arrival, close_delimited, compatibility, connection, handover, outlet, pace
from statushub.hub.http.compatibility import PARTS, http_protocol, missing_parts
from statushub.hub.http.handover import HandoverProtocol

KINDS = (FlowControl, HttpToolsProtocol, RequestResponseCycle)
USERS = dict.fromkeys((close_delimited, connection, handover, outlet, pace), KINDS) | {arrival: (ServerState,)}
SHARED = {"drain", "set"}
"""uvicorn's names that the modules use on other objects: on the hub, and on an event."""
CHECKED = {part for kinds in PARTS.values() for parts in kinds.values() for part in parts}


def used(module: ModuleType) -> set[str]:
    """uvicorn's names among the attributes that a module reads, sets, calls or overrides."""
    theirs = set().union(*map(compatibility._names, USERS[module])) - {*dir(asyncio.Protocol)}
    names = set()
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.Attribute):
            names.add(node.attr)
        elif isinstance(node, ast.FunctionDef):
            names.add(node.name)
    return (names & theirs) - SHARED


def test_the_installed_version_has_every_part() -> None:
    """A hub with the declared dependencies serves streams by hand-over."""
    assert missing_parts() == []
    assert http_protocol(Config()).make.func is HandoverProtocol


def test_every_part_that_is_used_is_checked() -> None:
    """The list of checked parts equals what the modules use."""
    assert set().union(*map(used, USERS)) == CHECKED


@pytest.mark.parametrize("module", USERS)
def test_every_part_that_is_used_is_documented(module: ModuleType) -> None:
    """The docstring of each module lists the private parts that it uses."""
    assert used(module) == set(re.findall(r"`(\w+)`", module.__doc__ or "")) & CHECKED


@pytest.mark.parametrize(("kind", "part"), [(HttpToolsProtocol, "_start_asgi_task"), (FlowControl, "resume_reading")])
def test_a_missing_method_selects_the_portable_protocol(monkeypatch: pytest.MonkeyPatch, kind: type, part: str) -> None:
    """The missing method is reported by class and name."""
    monkeypatch.delattr(kind, part)
    assert missing_parts() == [f"{kind.__name__}.{part}"]
    assert http_protocol(Config()) == "h11"


def test_a_missing_attribute_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attributes are looked up where the constructor sets them."""

    class Protocol(asyncio.Protocol):
        def __init__(self) -> None:
            self.transport = None

    monkeypatch.setattr(httptools_impl, "HttpToolsProtocol", Protocol)
    missing = missing_parts()
    assert "HttpToolsProtocol.cycle" in missing
    assert "HttpToolsProtocol.transport" not in missing


def test_a_missing_class_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The missing class is reported with the module in which it was expected."""
    monkeypatch.delattr(flow_control, "FlowControl")
    assert missing_parts() == ["uvicorn.protocols.http.flow_control.FlowControl"]
