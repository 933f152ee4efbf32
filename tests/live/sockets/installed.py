"""The clients' programs as commands, installed and built where they must be."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.live.clients.catalogue import Client
from tests.live.clients.languages import prepared

HERE: Final = Path(__file__).parent

AIOHTTP: Final = Client(name="aiohttp", language="python", packages={"aiohttp": "3.14.5"})
WS: Final = Client(name="ws", language="node", packages={"ws": "8.23.0"})
CODER: Final = Client(name="coder", language="go", packages={"github.com/coder/websocket": "v1.8.15"})


def websockets() -> list[str]:
    """The library that the hub parses with, in its client."""
    return [sys.executable, str(HERE / "python_clients.py"), "websockets"]


def aiohttp() -> list[str]:
    """aiohttp's client."""
    return [*prepared(AIOHTTP, (HERE / "python_clients.py").read_text()), "aiohttp"]


def ws() -> list[str]:
    """`ws` on Node."""
    return prepared(WS, (HERE / "ws.mjs").read_text().replace("FOLLOW", str(HERE / "follow.mjs")))


def coder() -> list[str]:
    """Go's coder/websocket."""
    return prepared(CODER, (HERE / "coder.go").read_text())


PROGRAMS: Final[dict[str, Callable[[], list[str]]]] = {
    "websockets": websockets,
    "aiohttp": aiohttp,
    "ws": ws,
    "coder": coder,
}
"""Each raises `Missing` where its language or its package cannot be had."""
