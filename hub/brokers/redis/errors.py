"""Translates errors of redis-py into `BrokerUnavailable`, with one sentence for a human.

`BrokerDenied` where trying again does not help: the server refuses the user, or has no functions.
"""

from __future__ import annotations

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

from statushub.hub.model.errors import BrokerDenied, BrokerUnavailable

CLOSED: Final = "the handler is closed"
"""uvloop's message of the `RuntimeError` for a write to a connection that the server has closed. redis-py does not
translate it."""

UNKNOWN_COMMAND: Final = "unknown command"
"""How a server before Redis 7 answers FCALL."""

_DENIALS: Final[Sequence[tuple[type[Exception], str]]] = (
    (NoPermissionError, "does not permit this user what Statushub needs"),
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
    for kind, reason in _DENIALS:
        if isinstance(cause, kind):
            return BrokerDenied(f"{where} {reason}")
    if UNKNOWN_COMMAND in str(error):
        return BrokerDenied(f"{where} is too old: Redis 7 or Valkey is needed, for its functions")
    for kind, reason in _REASONS:
        if isinstance(cause, kind):
            return BrokerUnavailable(f"{where} {reason}")
    return BrokerUnavailable(f"{where}: {error}")
