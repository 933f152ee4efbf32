"""Translates errors of redis-py into `BrokerUnavailable`, with one sentence for a human.

`BrokerDenied` where trying again does not help: the server refuses the user, or has no functions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
)
from redis.exceptions import TimeoutError as RedisTimeoutError

from statushub.hub.brokers.redis.commands import LIBRARY
from statushub.hub.model.errors import BrokerDenied, BrokerUnavailable
from statushub.hub.model.redaction import censored

CLOSED: Final = "the handler is closed"
"""uvloop's message of the `RuntimeError` for a write to a connection that the server has closed. redis-py does not
translate it."""

UNKNOWN_COMMAND: Final = re.compile(r"unknown command '?`?(\w+)")
"""How a server answers a command that it does not know, or that was renamed."""

SCRIPT_DENIALS: Final = ("ACL failure in script", "The user executing the script can't")
"""How servers answer a function that does what its user may not."""

_RIGHT: Final = re.compile(
    r"'(?P<command>[\w|]+)' (?:command|subcommand)"
    r"|access (?:a|one of the|the '[^']*'|at least one of the) (?P<key>key)"
    r"|(?:access (?:a|one of the)|publish to the) (?P<channel>channel)"
    r"|@user_function:(?P<line>\d+)"
)
_CALL: Final = re.compile(r"redis\.call\('(\w+)'")

_DENIALS: Final[Sequence[tuple[type[Exception], str]]] = (
    (AuthenticationError, "refuses the user name or the password"),
    (AuthorizationError, "refuses the user name or the password"),
)

_REASONS: Final[Sequence[tuple[type[Exception], str]]] = (
    (TimeoutError, "does not answer in time"),
    (RedisTimeoutError, "does not answer in time"),
    (BusyLoadingError, "is still loading its data"),
    (ReadOnlyError, "is a read-only replica"),
    (OutOfMemoryError, "has no memory left"),
    (MasterDownError, "is a replica that lost its master"),
    (ClusterDownError, "is down: some of its slots have no node"),
)


@contextmanager
def reported(where: str) -> Iterator[None]:
    """Raise `BrokerUnavailable` for errors of redis-py and of the network; `where` is the server's address."""
    try:
        yield
    except (RedisError, RedisClusterException, OSError) as error:
        raise _translated(where, error) from error
    except RuntimeError as error:
        if CLOSED not in str(error):
            raise
        raise BrokerUnavailable(f"{where} closed the connection") from error


def _translated(where: str, error: Exception) -> BrokerUnavailable:
    # A cluster's client wraps what the last of its nodes answered.
    cause = error.__cause__ if isinstance(error, RedisClusterException) and error.__cause__ else error
    said = str(cause)
    if isinstance(cause, NoPermissionError) or any(denial in said for denial in SCRIPT_DENIALS):
        return BrokerDenied(f"{where} does not permit this user {_missing_right(said)}")
    for kind, reason in _DENIALS:
        if isinstance(cause, kind):
            return BrokerDenied(f"{where} {reason}")
    if unknown := UNKNOWN_COMMAND.search(said):
        return BrokerDenied(f"{where} {_unknown(unknown[1].upper())}")
    for kind, reason in _REASONS:
        if isinstance(cause, kind):
            return BrokerUnavailable(f"{where} {reason}")
    return BrokerUnavailable(f"{where}: {censored(said)}")


def missing_rule(said: str, names: str = "hub*") -> str:
    """The ACL rule that would permit what this answer of a server denies; `names` are those of all keys and channels.

    It is `?` where the answer does not tell.
    """
    right = _RIGHT.search(said)
    if right is None:
        return "?"
    if right["key"] or right["channel"]:
        return f"{'~' if right['key'] else '&'}{names}"
    command = right["command"] or _command_in(int(right["line"]))
    return f"+{command}" if command else "?"


def _missing_right(said: str) -> str:
    """What a denial denies, with the ACL rule that would permit it."""
    right = _RIGHT.search(said)
    if right is None:
        return "what Statushub needs"
    if right["key"]:
        return "a key that Statushub uses: it needs the rule ~hub* (~PREFIX:* where the URL has a prefix)"
    if right["channel"]:
        return "a channel that Statushub uses: it needs the rule &hub* (&PREFIX:* where the URL has a prefix)"
    command = right["command"] or _command_in(int(right["line"]))
    return f"the command {command!r}, which the rule +{command} permits" if command else "what Statushub needs"


def _command_in(line: int) -> str:
    """The command that this line of the library calls: Redis 7.0 names only the line."""
    lines = LIBRARY.splitlines()
    call = _CALL.search(lines[line - 1]) if line <= len(lines) else None
    return call[1].lower() if call else ""


def _unknown(command: str) -> str:
    if command == "FUNCTION":
        return "does not allow FUNCTION, by which the library is loaded: load it as another user, or allow the command"
    return f"has no command {command}: Redis 7 or Valkey is needed, for its functions"
