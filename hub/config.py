"""The settings, and the only place where the environment is read."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from statushub.hub.brokers.contract import RETENTION_SECONDS
from statushub.hub.model.errors import ConfigError
from statushub.hub.model.names import NAME_CHARACTERS
from statushub.hub.model.publication import EVENT_BYTES

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

MAX_STREAMS_TENANT: Final = 50_000
"""Streams of one tenant: by default all that there are. Lower it where tenants share a hub."""

MAX_STREAMS_SUB: Final = 100
"""Streams of one subject: somebody's tabs on all their machines, and a script that forgot to close some."""

MAX_STREAMS_ADDRESS: Final = 1_000
"""Streams of one address: an office behind one. A proxy that is not named in `proxies` looks like an office."""

PUBLISH_RATE: Final = 10_000.0
"""Events a second of one publisher: a busy worker's, and a fifth of what one Redis takes from all."""

BODY_BYTES: Final = 8 * 1024 * 1024
"""Largest body. 1,000 events of a few hundred bytes have under 1 MiB; parsing 8 MiB holds the event loop for a
few tens of milliseconds, which the streams can bear."""

HEAD_BYTES: Final = 16 * 1024
"""Largest request head: a token of 8 KiB, an address of 4 KiB, and what browsers add."""

REQUEST_SECONDS: Final = 10.0
"""For a request's head to arrive, and then for its body: a phone in a tunnel gets through, a slow loris does not."""

TICKET_SECONDS: Final = 30.0
"""How long a ticket opens streams: as often as a connection that flaps reconnects, and no longer."""

SECRET_BYTES: Final = 32
"""Shortest secret: HS256 wants a key as long as its hash (RFC 7518, section 3.2)."""

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
    secret: str = ""
    """Known to the hub and to whoever mints HS256 tokens; and tickets are made with it."""
    secret_file: str = ""
    """Where the secret is read from instead."""
    public_key: str = ""
    """A file with the public key of whoever mints tokens, in PEM."""
    jwks_url: str = ""
    """Where the public keys of whoever mints tokens are fetched."""
    issuer: str = ""
    """The `iss` that tokens must have; any where it is empty."""
    audience: str = ""
    """The `aud` that tokens must have; any where it is empty."""
    ticket_secret: str = ""
    """Tickets are made with it where there is no `secret`; the same on every hub."""
    ticket_ttl: float = TICKET_SECONDS
    cookie: str = "statushub_token"
    cors_origins: tuple[str, ...] = LOCAL_ORIGINS
    """Origins whose pages may read and publish; `*` for all, `:*` for any port."""
    retention: float = RETENTION_SECONDS
    heartbeat: float = HEARTBEAT_SECONDS
    stall_timeout: float = STALL_SECONDS
    grace: float = GRACE_SECONDS
    max_streams: int = MAX_STREAMS
    max_streams_tenant: int = MAX_STREAMS_TENANT
    max_streams_sub: int = MAX_STREAMS_SUB
    max_streams_address: int = MAX_STREAMS_ADDRESS
    publish_rate: float = PUBLISH_RATE
    max_body: int = BODY_BYTES
    max_event: int = EVENT_BYTES
    max_name: int = NAME_CHARACTERS
    max_head: int = HEAD_BYTES
    request_timeout: float = REQUEST_SECONDS
    proxies: tuple[str, ...] = ("127.0.0.1", "::1")
    """Addresses of proxies, whose word on who asks is believed; `*` for any."""
    access_log: bool = False
    log_level: str = "info"

    @property
    def auth_required(self) -> bool:
        """Whether there is a key, so that everybody has to prove who they are."""
        return bool(self.secret or self.public_key or self.jwks_url)

    @property
    def embedded(self) -> bool:
        """Whether the broker lives in this process alone."""
        return not self.broker.startswith(("redis", "unix"))


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
    if values.get("secret_file"):
        values["secret"] = _secret(values)
    return _check(Config(**values))


CLIENT_VARIABLES: Final = frozenset({"STATUSHUB_URL", "STATUSHUB_TOKEN", "STATUSHUB_TENANT"})
"""Variables that producers read: they say where to publish, and are no settings of a hub."""


SECRETS: Final = ("secret", "ticket_secret")
"""Settings that have no flag: a command line can be read by everybody on the machine."""


def _secret(values: Mapping[str, Any]) -> str:
    if values.get("secret"):
        raise ConfigError("secret and secret_file exclude each other", field="secret_file")
    path = values["secret_file"]
    try:
        return Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"secret_file {path!r} cannot be read: {error}", field="secret_file") from error


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
    for name in ("max_streams", "max_streams_tenant", "max_streams_sub", "max_streams_address"):
        _within(config, name, 1, 10_000_000)
    _within(config, "publish_rate", 0.1, 10_000_000)
    _within(config, "max_body", 1024, 1024**3)
    _within(config, "max_event", 256, EVENT_BYTES)
    _within(config, "max_name", 8, NAME_CHARACTERS)
    _within(config, "max_head", 1024, 1024**2)
    _within(config, "request_timeout", 0.1, 3600)
    _within(config, "ticket_ttl", 1, 24 * 3600)
    _within(config, "heartbeat", 0.1, 3600)
    _within(config, "stall_timeout", 0.1, 24 * 3600)
    _within(config, "grace", 0, 3600)
    _within(config, "retention", 1, 10 * 365 * 24 * 3600)
    levels = ("critical", "error", "warning", "info", "debug")
    if config.log_level not in levels:
        raise ConfigError(
            f"log_level is {config.log_level!r}; it must be one of {', '.join(levels)}", field="log_level"
        )
    if not (config.auth_required or config.insecure or is_loopback(config.host)):
        raise ConfigError(
            f"host is {config.host!r}, and whoever reaches that address could read and publish everything: "
            "set STATUSHUB_SECRET to what `openssl rand -hex 32` prints, and let everybody show a token made with "
            "it; or, where something before the hub tells who may pass, say --insecure",
            field="host",
        )
    _check_keys(config)
    if config.workers > 1 and config.embedded:
        raise ConfigError(
            f"workers is {config.workers}, and the embedded broker lives in one process: use a redis:// broker",
            field="workers",
        )
    return config


def _check_keys(config: Config) -> None:
    if config.public_key and config.jwks_url:
        raise ConfigError("public_key and jwks_url exclude each other", field="jwks_url")
    address = urlsplit(config.jwks_url)
    if (
        config.jwks_url
        and address.scheme != "https"
        and not (address.scheme == "http" and is_loopback(address.hostname or ""))
    ):
        raise ConfigError("jwks_url must be https: whoever could change its answer could sign tokens", field="jwks_url")
    if config.auth_required and not (config.secret or config.ticket_secret or config.embedded):
        raise ConfigError(
            "ticket_secret is missing: hubs that share a Redis must be able to read each other's tickets; "
            "set STATUSHUB_TICKET_SECRET on all of them to what `openssl rand -hex 32` prints",
            field="ticket_secret",
        )
    for name in SECRETS:
        length = len(getattr(config, name).encode())
        if 0 < length < SECRET_BYTES:
            raise ConfigError(
                f"{name} has {length} bytes and could be guessed; it needs at least {SECRET_BYTES}: "
                "make one with `openssl rand -hex 32`",
                field=name,
            )
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", config.cookie):
        raise ConfigError(f"cookie {config.cookie!r} is no name of a cookie", field="cookie")


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
