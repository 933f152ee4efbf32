"""Statushub: a real-time status hub. Workers publish, browsers see it the moment it changes.

This module, `statushub.encode` and the command `statushub` are the public interface. The names in `__all__` are
stable; every other module is private and may change in any release.

For workers: `track`, `work`, and `SyncProducer` in ordinary code; `atrack`, `awork` and `Producer` in asyncio.
For programs that embed a hub, with `pip install 'statushub[server]'`: `create_app`, `app_from_environment`,
`open_hub`, `Config` and `Hub`.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Final

from statushub.extras import required
from statushub.hub import __version__

if TYPE_CHECKING:
    from statushub.hub.app import app_from_environment, create_app, open_hub
    from statushub.hub.config import Config
    from statushub.hub.hub import Hub
    from statushub.hub.model.cursor import Cursor
    from statushub.hub.model.errors import (
        BrokerInUse,
        BrokerUnavailable,
        ConfigError,
        Invalid,
        StatushubError,
        TooLarge,
    )
    from statushub.hub.model.receipt import Receipt, Refusal
    from statushub.producers.producer import Producer
    from statushub.producers.standalone import awork, work
    from statushub.producers.sync import SyncProducer, SyncWork
    from statushub.producers.track import atrack, track
    from statushub.producers.transports import Denied
    from statushub.producers.work import Work

__all__ = [
    "BrokerInUse",
    "BrokerUnavailable",
    "Config",
    "ConfigError",
    "Cursor",
    "Denied",
    "Hub",
    "Invalid",
    "Producer",
    "Receipt",
    "Refusal",
    "StatushubError",
    "SyncProducer",
    "SyncWork",
    "TooLarge",
    "Work",
    "__version__",
    "app_from_environment",
    "atrack",
    "awork",
    "create_app",
    "open_hub",
    "track",
    "work",
]

_HOMES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("app_from_environment", "create_app", "open_hub"), "statushub.hub.app"),
    "Config": "statushub.hub.config",
    "Hub": "statushub.hub.hub",
    "Cursor": "statushub.hub.model.cursor",
    **dict.fromkeys(("BrokerInUse", "BrokerUnavailable", "ConfigError"), "statushub.hub.model.errors"),
    **dict.fromkeys(("Invalid", "StatushubError", "TooLarge"), "statushub.hub.model.errors"),
    **dict.fromkeys(("Receipt", "Refusal"), "statushub.hub.model.receipt"),
    "Producer": "statushub.producers.producer",
    **dict.fromkeys(("awork", "work"), "statushub.producers.standalone"),
    **dict.fromkeys(("SyncProducer", "SyncWork"), "statushub.producers.sync"),
    **dict.fromkeys(("atrack", "track"), "statushub.producers.track"),
    "Denied": "statushub.producers.transports",
    "Work": "statushub.producers.work",
}
"""The module of each name. It is imported when the name is first used, because the HTTP client, the Redis client and
the web framework together take half a second. The imports above say the same to type checkers and editors."""

# Hidden from type checkers, which would otherwise accept every misspelt name.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module 'statushub' has no attribute {name!r}", name=name, obj=None)
        with required(f"statushub.{name}"):
            value = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return __all__
