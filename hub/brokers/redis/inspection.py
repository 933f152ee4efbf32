"""What a Redis is, and whether its user may do what hubs and workers do. Nothing that is stored stays.

A right is tried by a command that changes nothing: Redis refuses what a user may not do before it looks at anything
else. Three commands can only be tried by writing, into a key that is deleted immediately.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import NoPermissionError, ResponseError

from statushub.hub.brokers.redis import commands
from statushub.hub.brokers.redis.client import DEADLINE_SECONDS
from statushub.hub.brokers.redis.errors import UNKNOWN_COMMAND, missing_rule, reported
from statushub.hub.brokers.redis.topology import Command, Execute, Topology, open_topology
from statushub.hub.brokers.redis.url import parse_redis_url

TENANT: Final = "statushub-check"
"""Whose keys are tried: no tenant of a hub has this name."""

ONLY_HUBS: Final = frozenset({"+function|load", "+function|delete", "+ssubscribe", "+sunsubscribe", "+smembers"})
"""What a worker need not be permitted where a hub has loaded the library."""


class Inspection(msgspec.Struct, frozen=True, kw_only=True):
    """What one server of a broker says. What its user may not ask is None."""

    info: Mapping[str, str] | None
    missing: Sequence[str]
    """The ACL rules that the user lacks, and commands that the server does not have."""
    library: int | None
    """The minor version of its function library; 0: there is none."""


async def inspect(url: str, deadline: float = DEADLINE_SECONDS) -> list[Inspection]:
    """Ask every primary of the Redis at `url`, each within `deadline` seconds.

    Raises `ConfigError` where `url` is malformed, `BrokerDenied` where the password is wrong, and `BrokerUnavailable`
    where a server does not answer.
    """
    address = parse_redis_url(url)
    topology = open_topology(address, deadline)
    names = f"{address.prefix}:*" if address.prefix else "hub*"
    try:
        with reported(topology.where):
            async with asyncio.timeout(deadline):
                await topology.refresh()
                return [await _inspected(topology, execute, names) for execute in topology.primaries()]
    finally:
        await topology.aclose()


async def _inspected(topology: Topology, execute: Execute, names: str) -> Inspection:
    prefix = commands.prefix(topology.root, TENANT)
    key = f"{prefix}:none"
    errors = [await _denial(execute, command) for command in _tries(prefix)]
    # `_tries` ends with DEL.
    if errors[-1] is None:
        for write in (("HSETNX", key, "none", ""), ("SADD", key, "none"), ("APPEND", key, "none")):
            errors += [await _denial(execute, write), await _denial(execute, ("DEL", key))]
    connection = topology.connection(topology.node(TENANT))
    errors.append(await _denied_subscription(connection, commands.events(prefix, "none")))
    missing = [_missing(error, names) for error in errors if error]
    return Inspection(
        info=await _info(execute),
        missing=[*dict.fromkeys(filter(None, missing))],
        library=await _library(execute),
    )


def _tries(prefix: str) -> list[Command]:
    key = f"{prefix}:none"
    return [
        ("PING",),
        ("FCALL", f"{commands.FUNCTION}none", 1, key),
        ("FCALL_RO", f"{commands.FUNCTION}none", 1, key),
        ("FUNCTION", "LOAD", "none"),
        ("FUNCTION", "DELETE", f"{commands.FUNCTION}none"),
        ("SPUBLISH", commands.events(prefix, "none"), ""),
        *(("INFO", "server"), ("ROLE",), ("TIME",), ("SELECT", "none")),
        *(("EXISTS", key), ("PERSIST", key), ("PTTL", key)),
        *(("GET", key), ("SET", key, "none", "none"), ("STRLEN", key)),
        *(
            ("HDEL", key, "none"),
            ("HGET", key, "none"),
            ("HMGET", key, "none"),
            ("HLEN", key),
            ("HSTRLEN", key, "none"),
        ),
        *(("HINCRBY", key, "none", "none"), ("HSET", key, "none", "", "none")),
        *(("ZADD", key, "XX", "1", "none"), ("ZCARD", key), ("ZRANGE", key, 0, 0), ("ZREM", key, "none")),
        *(("ZSCORE", key, "none"), ("ZMSCORE", key, "none"), ("SMEMBERS", key)),
        ("DEL", key),
    ]


async def _denial(execute: Execute, command: Command) -> ResponseError | None:
    """How the server answers a command that cannot succeed. Raises what redis-py raises where it is away."""
    try:
        await execute(*command)
    except ResponseError as error:
        return error
    return None


async def _denied_subscription(connection: AbstractConnection, channel: bytes) -> ResponseError | None:
    """The same for a subscription, which needs a connection of its own."""
    try:
        await connection.connect()  # type: ignore[no-untyped-call]
        for word in ("SSUBSCRIBE", "SUNSUBSCRIBE"):
            await connection.send_command(word, channel)
            await connection.read_response()
    except ResponseError as error:
        return error
    finally:
        await connection.disconnect()
    return None


def _missing(error: ResponseError, names: str) -> str | None:
    if isinstance(error, NoPermissionError):
        return missing_rule(str(error), names)
    unknown = UNKNOWN_COMMAND.search(str(error))
    return f"the command {unknown[1].upper()}" if unknown else None


async def _info(execute: Execute) -> Mapping[str, str] | None:
    """All that `INFO` tells."""
    try:
        answer = await execute("INFO")
    except ResponseError:
        return None
    if isinstance(answer, Mapping):
        return {str(name): str(value) for name, value in answer.items()}
    lines = str(answer, "utf-8", "replace").splitlines()
    return {name: value for name, separator, value in (line.partition(":") for line in lines) if separator}


async def _library(execute: Execute) -> int | None:
    try:
        return int(await execute("FCALL_RO", f"{commands.FUNCTION}version", 0))
    except ResponseError as error:
        return 0 if commands.MISSING in str(error) else None
