"""The checks of `statushub check --broker`, each of what the servers of a Redis said once."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from statushub.hub.cli.failure import TROUBLE, USAGE, Failure
from statushub.hub.cli.outcome import Outcome
from statushub.hub.model.errors import BrokerDenied, ConfigError, StatushubError

if TYPE_CHECKING:
    from statushub.hub.brokers.redis.inspection import Inspection

OLDEST: Final = 7
"""The first version of Redis that has functions; Valkey began with 7.2."""

FULL: Final = 0.9
"""Part of `maxmemory` from which on it is worth a word."""

FAILURES: Final[Mapping[str, str]] = {
    "rdb_last_bgsave_status": "snapshot",
    "aof_last_write_status": "write to the append-only file",
    "aof_last_bgrewrite_status": "rewrite of the append-only file",
}
"""Fields of `INFO` that are `ok` unless Redis cannot write to its disk."""


UNREAD: Final = Outcome("not checked: this user may not read it (+info)", skipped=True)


class BrokerChecks:
    """Checks of the Redis at `url`, which is asked on construction. Raises `Failure` where it is the URL of none."""

    def __init__(self, url: str) -> None:
        from statushub.hub.brokers.redis.inspection import inspect
        from statushub.hub.brokers.redis.url import SCHEMES

        if url.partition("://")[0] not in SCHEMES:
            raise Failure("--broker checks a Redis: its URL begins with one of " + ", ".join(SCHEMES), USAGE)

        self._servers: Sequence[Inspection] = []
        self._refusal: Outcome | None = None
        try:
            self._servers = asyncio.run(inspect(url))
        except ConfigError as error:
            raise Failure(error.message, USAGE) from error
        except StatushubError as error:
            self._refusal = Outcome(error.message, USAGE if isinstance(error, BrokerDenied) else TROUBLE)
        else:
            outcomes = [_server(server.info) for server in self._servers]
            self._refusal = next((each for each in outcomes if each.code), None)
        self._checks: Mapping[str, Callable[[Inspection], Outcome]] = {
            "server": lambda server: _server(server.info),
            "rights": _rights,
            "library": _library,
            "memory": lambda server: _memory(server.info),
            "disk": lambda server: _disk(server.info),
        }

    def run(self, part: str) -> Outcome:
        """Check a part of `BROKER_PARTS` on each server: the first that fails tells. Skipped where no server is fit."""
        if self._refusal is not None:
            return (
                self._refusal
                if part == "server"
                else Outcome("not checked: the server is not fit for it", skipped=True)
            )
        outcomes = [self._checks[part](server) for server in self._servers]
        return next((each for each in outcomes if each.code), outcomes[0])


def _server(info: Mapping[str, str] | None) -> Outcome:
    if info is None:
        return Outcome("answers; this user may not read its version (+info)")
    if info.get("role") == "slave":
        return Outcome("is a read-only replica", TROUBLE)
    if valkey := info.get("valkey_version"):
        return Outcome(f"Valkey {valkey} answers")
    version = info.get("redis_version", "")
    if (major := re.match(r"\d+", version)) and int(major[0]) < OLDEST:
        return Outcome(f"is Redis {version}: Redis {OLDEST} or Valkey is needed, for its functions", USAGE)
    return Outcome(f"Redis {version} answers")


def _rights(server: Inspection) -> Outcome:
    from statushub.hub.brokers.redis.inspection import ONLY_HUBS

    if not server.missing:
        return Outcome("this user may do what hubs and workers do")
    said = " ".join(server.missing)
    if ONLY_HUBS.issuperset(server.missing):
        return Outcome(f"this user may do what workers do; a hub's needs {said}")
    return Outcome(f"this user lacks {said}", USAGE)


def _library(server: Inspection) -> Outcome:
    from statushub.hub.brokers.redis.commands import MAJOR, MINOR

    if server.library is None:
        return Outcome("not checked: this user may not call it", skipped=True)
    if server.library:
        older = f"; hubs of this version replace it by {MAJOR}.{MINOR}" if server.library < MINOR else ""
        return Outcome(f"version {MAJOR}.{server.library}{older}")
    if "+function|load" in server.missing:
        return Outcome("is not loaded, and this user may not load it: start a hub that may", USAGE)
    return Outcome("is not loaded: the first hub or worker loads it")


def _memory(info: Mapping[str, str] | None) -> Outcome:
    from statushub.hub.brokers.redis.broker import EVICTING

    if info is None:
        return UNREAD
    policy = info.get("maxmemory_policy", "")
    if policy.startswith(EVICTING):
        return Outcome(f"maxmemory-policy is {policy}: Redis evicts accepted statuses; set it to noeviction", USAGE)
    most, used = int(info.get("maxmemory", 0)), int(info.get("used_memory", 0))
    full = f"; {used / most:.0%} of maxmemory is used" if most and used >= FULL * most else ""
    return Outcome(f"maxmemory-policy is {policy}{full}")


def _disk(info: Mapping[str, str] | None) -> Outcome:
    if info is None:
        return UNREAD
    for field, what in FAILURES.items():
        if info.get(field, "ok") != "ok":
            return Outcome(f"the last {what} failed: Redis may refuse what is published; its log says why", TROUBLE)
    if info.get("aof_enabled") == "1":
        return Outcome("Redis has an append-only file")
    return Outcome("Redis has no append-only file: what it accepted since its last snapshot is lost when it ends")
