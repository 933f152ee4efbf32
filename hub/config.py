"""The settings, and the only place where the environment is read."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from hub.brokers.base import RETENTION_SECONDS
from hub.errors import ConfigError

PREFIX: Final = "STATUSHUB_"
"""What every environment variable of a setting begins with."""

LOCAL_ORIGINS: Final = ("http://localhost:*", "http://127.0.0.1:*", "http://[::1]:*")
"""The pages that may read a hub by default: those served on the same machine."""

HEARTBEAT_SECONDS: Final = 15.0
"""Between heartbeats: under the 30 to 60 s after which proxies and phones give up a silent connection."""

STALL_SECONDS: Final = 60.0
"""How long a socket may take nothing before it is closed."""

MAX_STREAMS: Final = 50_000
"""Streams one process holds by default: at 10 µs a delivery, half a second of CPU for an event to all."""

GRACE_SECONDS: Final = 10.0
"""How long a stopping hub waits for requests under way; orchestrators kill after 10 to 30 s."""


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting. The environment variable of each is `STATUSHUB_` and its name in capitals."""

    host: str = "127.0.0.1"
    port: int = 8000
    broker: str = "sqlite:///statushub.db"
    workers: int = 1
    insecure: bool = False
    """Serve addresses other than loopback although nobody has to prove who they are."""
    cors_origins: tuple[str, ...] = LOCAL_ORIGINS
    """Origins whose pages may read and publish; `*` for all, `:*` for any port."""
    retention: float = RETENTION_SECONDS
    heartbeat: float = HEARTBEAT_SECONDS
    stall_timeout: float = STALL_SECONDS
    grace: float = GRACE_SECONDS
    max_streams: int = MAX_STREAMS
    access_log: bool = False
    log_level: str = "info"


def load(environ: Mapping[str, str], **overrides: Any) -> Config:
    """The settings from `environ`, with those of `overrides` that are not None before them.

    Raises `ConfigError` whose `field` is the setting that is unknown or invalid.
    """
    values: dict[str, Any] = {}
    for variable, text in environ.items():
        if variable.startswith(PREFIX) and variable not in CLIENT_VARIABLES:
            name = variable.removeprefix(PREFIX).lower()
            values[name] = _parse(name, text, variable)
    for name, value in overrides.items():
        if name not in Config.__struct_fields__:
            raise ConfigError(f"there is no setting {name!r}", field=name)
        if value is not None:
            values[name] = value
    return _check(Config(**values))


CLIENT_VARIABLES: Final = frozenset({"STATUSHUB_URL", "STATUSHUB_TOKEN", "STATUSHUB_TENANT"})
"""Variables that producers read: they say where to publish, and are no settings of a hub."""


def _parse(name: str, text: str, variable: str) -> Any:
    parse = _PARSERS.get(Config.__annotations__.get(name, ""))
    if parse is None:
        raise ConfigError(f"{variable} is no setting; there are {_known()}", field=name)
    try:
        return parse(text)
    except ValueError as error:
        raise ConfigError(f"{variable} is invalid: {error}", field=name) from error


def _boolean(text: str) -> bool:
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if text.lower() not in words:
        raise ValueError(f"{text!r} is neither true nor false")
    return words[text.lower()]


def _origins(text: str) -> tuple[str, ...]:
    return tuple(origin.strip() for origin in text.split(",") if origin.strip())


_PARSERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": _boolean,
    "tuple[str, ...]": _origins,
}


def _known() -> str:
    return ", ".join(PREFIX + name.upper() for name in Config.__struct_fields__)


def _check(config: Config) -> Config:
    _within(config, "port", 0, 65_535)
    _within(config, "workers", 1, 256)
    _within(config, "max_streams", 1, 10_000_000)
    _within(config, "heartbeat", 0.1, 3600)
    _within(config, "stall_timeout", 0.1, 24 * 3600)
    _within(config, "grace", 0, 3600)
    _within(config, "retention", 1, 10 * 365 * 24 * 3600)
    levels = ("critical", "error", "warning", "info", "debug")
    if config.log_level not in levels:
        raise ConfigError(
            f"log_level is {config.log_level!r}; it must be one of {', '.join(levels)}", field="log_level"
        )
    if not config.insecure and not is_loopback(config.host):
        raise ConfigError(
            f"host is {config.host!r}, and whoever reaches that address could read and publish everything: "
            "serve loopback (127.0.0.1) behind a proxy, or say --insecure",
            field="host",
        )
    if config.workers > 1 and not config.broker.startswith(("redis", "unix")):
        raise ConfigError(
            f"workers is {config.workers}, and the embedded broker lives in one process: use a redis:// broker",
            field="workers",
        )
    return config


def is_loopback(host: str) -> bool:
    """Whether `host` can be reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _within(config: Config, name: str, least: float, most: float) -> None:
    value = getattr(config, name)
    if not least <= value <= most:
        raise ConfigError(f"{name} is {value:g}; it must be from {least:g} to {most:g}", field=name)
