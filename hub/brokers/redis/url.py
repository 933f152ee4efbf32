"""The address of a Redis, from its URL. No I/O.

redis://[user:password@]host[:port][/db]                       one server; rediss:// over TLS
unix://[user:password@]/path[?db=n]                            one server on a socket of this machine
redis+sentinel://[user:password@]host[:port],…/service[/db]    the master that Sentinel names; rediss+sentinel://
redis+cluster://[user:password@]host[:port],…                  a cluster; rediss+cluster://

With `?prefix=myapp` every key and every pub/sub channel begins with `myapp:`, for a Redis that is shared with others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, NoReturn
from urllib.parse import SplitResult, parse_qs, unquote, urlencode, urlsplit

import msgspec
from redis.asyncio.connection import parse_url

from statushub.hub.model.errors import ConfigError
from statushub.hub.model.redaction import hides_authority, redacted


class Kind(StrEnum):
    """How the server is found."""

    SINGLE = ""
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


PORTS: Final[Mapping[Kind, int]] = {Kind.SINGLE: 6379, Kind.SENTINEL: 26379, Kind.CLUSTER: 6379}

SCHEMES: Final = (
    "redis",
    "rediss",
    "unix",
    "redis+sentinel",
    "rediss+sentinel",
    "redis+cluster",
    "rediss+cluster",
)
"""The schemes of a Redis, as a broker and as an address to publish to."""

OPTIONS: Final = frozenset(
    {
        *("db", "prefix", "username", "password", "client_name", "sentinel_username", "sentinel_password"),
        *("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile", "ssl_password"),
        *("ssl_cert_reqs", "ssl_check_hostname"),
    }
)
"""What may follow the `?`, by redis-py's names. Its retries and timeouts are left out: promises depend on them."""


_PREFIX: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}")

CHOICES: Final[Mapping[str, Sequence[str]]] = {
    "ssl_cert_reqs": ("none", "optional", "required"),
    "ssl_check_hostname": ("true", "false", "yes", "no", "1", "0"),
}
"""The values of options that have only some; redis-py takes any other for another one, or fails when it connects."""


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where a Redis is. `where` is the URL without secrets, for messages; `options` are redis-py's."""

    kind: Kind
    where: str
    nodes: tuple[tuple[str, int], ...]
    service: str
    db: int
    prefix: str
    options: dict[str, Any]
    sentinel_options: dict[str, Any]


class _Malformed(Exception):
    """The reason why a URL is malformed."""


def parse_redis_url(url: str, *, field: str = "broker") -> Address:
    """Parse a URL. Raises `ConfigError` for `field` where it is malformed; its message holds no secrets."""
    try:
        if hides_authority(url):
            _refuse("in a password '/', '?' and '#' are written as %2F, %3F and %23, and an '@' behind the host as %40")
        parts = urlsplit(url)
        if parts.scheme not in SCHEMES:
            _refuse(f"its scheme must be one of {', '.join(SCHEMES)}")
        scheme, _, kind = parts.scheme.partition("+")
        return _parse(scheme, Kind(kind), parts)
    except _Malformed as error:
        raise ConfigError(f"the URL of the Redis is malformed: {error}", field=field) from error
    except ValueError:
        # Without the cause, which quotes the URL with its password.
        raise ConfigError("the URL of the Redis is malformed: expected redis://host:port/db", field=field) from None


def _parse(scheme: str, kind: Kind, parts: SplitResult) -> Address:
    query = {name: values[-1] for name, values in parse_qs(parts.query, strict_parsing=bool(parts.query)).items()}
    unknown = sorted(query.keys() - OPTIONS)
    if unknown:
        _refuse(f"its option {unknown[0]!r} is not one of {', '.join(sorted(OPTIONS))}")
    if (prefix := query.pop("prefix", "")) and _PREFIX.fullmatch(prefix) is None:
        _refuse("its prefix may hold up to 64 of the characters A-Z a-z 0-9 _ . : -")
    for name, values in CHOICES.items():
        if query.get(name, values[0]).lower() not in values:
            _refuse(f"its {name} must be one of {', '.join(values)}")
    options_text = urlencode(query)
    if scheme != "rediss" and any(name.startswith("ssl_") for name in query):
        _refuse("its ssl_ options need a rediss scheme")
    if parts.fragment:
        _refuse("it contains '#', which must be written as %23")
    user, at, hosts = parts.netloc.rpartition("@")
    if scheme == "unix":
        return _unix(user + at, parts, query, prefix)
    nodes = tuple(_node(host, PORTS[kind]) for host in (hosts or "localhost").split(","))
    if kind is Kind.SINGLE and len(nodes) > 1:
        _refuse("it names several hosts, which only redis+sentinel and redis+cluster allow")
    service, db = _path(kind, parts.path, query.get("db"))
    options: dict[str, Any] = dict(parse_url(f"{scheme}://{user}{at}host?{options_text}"))
    options.pop("host")
    options.pop("db", None)
    return Address(
        kind=kind,
        where=redacted(parts.geturl()),
        nodes=nodes,
        service=service,
        db=db,
        prefix=prefix,
        options=_without_sentinel(options),
        sentinel_options={
            "username": query.get("sentinel_username"),
            "password": query.get("sentinel_password"),
            **{name: value for name, value in options.items() if name.startswith("ssl_")},
        },
    )


def _unix(user: str, parts: SplitResult, query: Mapping[str, str], prefix: str) -> Address:
    path = unquote(parts.path)
    if not path.strip("/"):
        _refuse("it must name a socket's path: unix:///run/redis.sock")
    options: dict[str, Any] = dict(parse_url(f"unix://{user}{parts.path}?{urlencode(query)}"))
    options.pop("db", None)
    return Address(
        kind=Kind.SINGLE,
        where=redacted(parts.geturl()),
        nodes=(),
        service="",
        db=_database(query.get("db", "")),
        prefix=prefix,
        options=_without_sentinel(options),
        sentinel_options={},
    )


def _node(text: str, default_port: int) -> tuple[str, int]:
    node = urlsplit(f"//{text}")
    if not node.hostname or node.path or node.port == 0:
        _refuse("one of its hosts is malformed: expected host:port")
    # Raises UnicodeError, a ValueError, for a name that DNS cannot have.
    node.hostname.encode("idna")
    return node.hostname, node.port or default_port


def _path(kind: Kind, path: str, db: str | None) -> tuple[str, int]:
    steps = [unquote(step) for step in path.strip("/").split("/")]
    service = steps.pop(0) if kind is Kind.SENTINEL else ""
    if kind is Kind.SENTINEL and not service:
        _refuse("it must name the service: redis+sentinel://host:26379/service")
    if len(steps) > 1:
        _refuse("its path may hold only a database number")
    number = _database(db if db is not None else "".join(steps))
    if kind is Kind.CLUSTER and number:
        _refuse("a cluster has only database 0")
    return service, number


def _database(text: str) -> int:
    if text and not (text.isascii() and text.isdigit()):
        _refuse("its database must be a whole number")
    return int(text or 0)


def _without_sentinel(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if not name.startswith("sentinel_")}


def _refuse(reason: str) -> NoReturn:
    raise _Malformed(reason)
