"""Brokers store and announce events. `contract` has their promises; `open_broker` chooses one by its URL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from statushub.hub.brokers.contract import Broker
from statushub.hub.model.errors import ConfigError
from statushub.hub.model.limits import StorageLimits
from statushub.hub.model.retention import RETENTION_SECONDS

if TYPE_CHECKING:
    from pathlib import Path

_FILE: Final = "sqlite:///"
_MEMORY: Final = "memory:"


def open_broker(
    url: str,
    *,
    retention: float = RETENTION_SECONDS,
    default_lease: float = 0.0,
    limits: StorageLimits = StorageLimits(),
) -> Broker:
    """The broker at `url`, not yet entered; `retention` and `default_lease` in seconds (0: none), `limits` are those of
    each tenant.

    `sqlite:///relative.db` and `sqlite:////absolute.db` are files, `memory:` stores nothing on disk, the other
    schemes are those of Redis. Raises `ConfigError` for any other URL, and for a malformed one.
    """
    if url == _MEMORY or url.startswith(_FILE):
        from statushub.hub.brokers.sqlite.broker import EmbeddedBroker

        path = None if url == _MEMORY else _file(url)
        return EmbeddedBroker(path, retention=retention, default_lease=default_lease, limits=limits)
    # Imported only here: a hub with an embedded broker needs nothing of Redis.
    from statushub.hub.brokers.redis.url import SCHEMES

    redis = tuple(f"{scheme}://" for scheme in SCHEMES)
    if url.startswith(redis):
        from statushub.hub.brokers.redis.broker import RedisBroker

        return RedisBroker(url, retention=retention, default_lease=default_lease, limits=limits)
    # Without the rest of the URL, which may hold a password.
    scheme = url.partition(":")[0]
    allowed = (f"{_FILE}FILE", _MEMORY, *redis)
    for form in allowed:
        if url.startswith(f"{scheme}:") and form.startswith(f"{scheme}:"):
            raise ConfigError(f"broker begins with '{scheme}:', and must begin with {form}", field="broker")
    raise ConfigError(f"broker begins with {scheme!r}, which is none of {', '.join(allowed)}", field="broker")


def _file(url: str) -> Path:
    path = url.removeprefix(_FILE)
    if not path or path.endswith("/") or path.startswith(":") or "?" in path or "\0" in path:
        raise ConfigError(
            f"broker {url!r} does not name a file: expected {_FILE}relative.db or {_FILE}/absolute.db", field="broker"
        )
    # Here, because the SDK imports this package, too, and has no files.
    from pathlib import Path

    return Path(path)
