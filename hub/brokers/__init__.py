"""Brokers: what stores and announces. `base` is their contract; `open_broker` chooses one by URL."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from statushub.hub.brokers.contract import Broker
from statushub.hub.model.errors import ConfigError
from statushub.hub.model.retention import RETENTION_SECONDS

_FILE: Final = "sqlite:///"
_MEMORY: Final = "memory:"
_REDIS: Final = (
    "redis://",
    "rediss://",
    "unix://",
    "redis+cluster://",
    "rediss+cluster://",
    "redis+sentinel://",
    "rediss+sentinel://",
)


def open_broker(url: str, *, retention: float = RETENTION_SECONDS) -> Broker:
    """The broker that `url` names, not yet entered; `retention` in seconds.

    `sqlite:///relative.db` and `sqlite:////absolute.db` are files, `memory:` keeps nothing, the others are
    Redis. Raises `ConfigError` where the URL is none of these.
    """
    if url.startswith(_REDIS):
        from statushub.hub.brokers.redis.broker import RedisBroker

        return RedisBroker(url, retention=retention)
    if url == _MEMORY or url.startswith(_FILE):
        from statushub.hub.brokers.sqlite.broker import EmbeddedBroker

        return EmbeddedBroker(None if url == _MEMORY else _file(url), retention=retention)
    # Without the rest of the URL: it may hold a password.
    scheme = url.partition(":")[0]
    allowed = ", ".join((f"{_FILE}FILE", _MEMORY, *_REDIS))
    raise ConfigError(f"broker begins with {scheme!r}, which is none of {allowed}", field="broker")


def _file(url: str) -> Path:
    path = url.removeprefix(_FILE)
    if not path or path.endswith("/") or path.startswith(":") or "?" in path or "\0" in path:
        raise ConfigError(
            f"broker {url!r} names no file: expected {_FILE}relative.db or {_FILE}/absolute.db", field="broker"
        )
    return Path(path)
