"""Statushub: a real-time status hub. Workers publish, browsers see it the moment it changes.

This module, `statushub.encode` and the command `statushub` are the public interface. The names in `__all__` are
stable; every other module is private and may change in any release.

For workers: `track`, `work`, and `SyncProducer` in ordinary code; `atrack`, `awork` and `Producer` in asyncio;
`current` in both.
For programs that read: `follow` in asyncio, `follow_sync` in ordinary code, and `Contents`.
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
    from statushub.hub.model.cancel import CancelRequest
    from statushub.hub.model.cursor import Cursor
    from statushub.hub.model.errors import (
        BrokerInUse,
        BrokerUnavailable,
        ConfigError,
        Forbidden,
        Invalid,
        NotFound,
        StatushubError,
        TooLarge,
        Unauthorized,
    )
    from statushub.hub.model.receipt import Receipt, Refusal
    from statushub.producers.cancelled import Cancelled
    from statushub.producers.current import CurrentWork, current
    from statushub.producers.following.change import Change
    from statushub.producers.following.contents import Contents
    from statushub.producers.following.follow import Follow, SyncFollow, follow, follow_sync
    from statushub.producers.log_handler import LogHandler
    from statushub.producers.producer import Producer
    from statushub.producers.standalone import awork, work
    from statushub.producers.step import Step
    from statushub.producers.sync import SyncProducer, SyncWork
    from statushub.producers.track import AsyncTrack, Track, atrack, track
    from statushub.producers.transports import Denied
    from statushub.producers.work import Work

__all__ = [
    "AsyncTrack",
    "BrokerInUse",
    "BrokerUnavailable",
    "CancelRequest",
    "Cancelled",
    "Change",
    "Config",
    "ConfigError",
    "Contents",
    "CurrentWork",
    "Cursor",
    "Denied",
    "Follow",
    "Forbidden",
    "Hub",
    "Invalid",
    "LogHandler",
    "NotFound",
    "Producer",
    "Receipt",
    "Refusal",
    "StatushubError",
    "Step",
    "SyncFollow",
    "SyncProducer",
    "SyncWork",
    "TooLarge",
    "Track",
    "Unauthorized",
    "Work",
    "__version__",
    "app_from_environment",
    "atrack",
    "awork",
    "create_app",
    "current",
    "follow",
    "follow_sync",
    "open_hub",
    "track",
    "work",
]

_HOMES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("app_from_environment", "create_app", "open_hub"), "statushub.hub.app"),
    "Config": "statushub.hub.config",
    "Hub": "statushub.hub.hub",
    "CancelRequest": "statushub.hub.model.cancel",
    "Cancelled": "statushub.producers.cancelled",
    "Cursor": "statushub.hub.model.cursor",
    **dict.fromkeys(("BrokerInUse", "BrokerUnavailable", "ConfigError"), "statushub.hub.model.errors"),
    **dict.fromkeys(("Forbidden", "Invalid", "NotFound"), "statushub.hub.model.errors"),
    **dict.fromkeys(("StatushubError", "TooLarge", "Unauthorized"), "statushub.hub.model.errors"),
    **dict.fromkeys(("Receipt", "Refusal"), "statushub.hub.model.receipt"),
    "Producer": "statushub.producers.producer",
    **dict.fromkeys(("awork", "work"), "statushub.producers.standalone"),
    **dict.fromkeys(("SyncProducer", "SyncWork"), "statushub.producers.sync"),
    **dict.fromkeys(("CurrentWork", "current"), "statushub.producers.current"),
    "LogHandler": "statushub.producers.log_handler",
    "Step": "statushub.producers.step",
    **dict.fromkeys(("AsyncTrack", "Track", "atrack", "track"), "statushub.producers.track"),
    "Change": "statushub.producers.following.change",
    "Contents": "statushub.producers.following.contents",
    **dict.fromkeys(("Follow", "SyncFollow", "follow", "follow_sync"), "statushub.producers.following.follow"),
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
