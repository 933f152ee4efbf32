"""The token of a follower, and how it gets a fresh one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import Enum, auto
from typing import Protocol

from statushub.hub.model.errors import BrokerUnavailable, ConfigError, StatushubError

Token = str | Callable[[], str | Awaitable[str]]
"""A token, or a function that gives a fresh one."""


class Verdict(Enum):
    """What to do after the hub has refused a token."""

    AGAIN = auto()
    """Ask with a fresh one."""
    LATER = auto()
    """Pause first: the function gives the one that was refused, which may be renewed a little late."""
    FINAL = auto()
    """There is no other, or a fresh one was refused."""


class Calls(Protocol):
    """Calls a function that may block, or be asynchronous."""

    async def call(self, function: Callable[[], str | Awaitable[str]]) -> str:
        """What it returns, awaited if need be."""


class Credentials:
    """A token that is renewed when the hub no longer takes it.

    `given` may be a function; `otherwise` is the value of the header where there is no token, None for none.
    """

    def __init__(self, given: Token | None, otherwise: str | None = None) -> None:
        """Raises `ConfigError` where the token is none."""
        self._renew = given if callable(given) else None
        self._token = _checked(given) if isinstance(given, str) else ""
        self._otherwise = otherwise
        self._taken = False
        """Whether a token of the function has served: if so, its next error is an outage, and not a mistake."""
        self._fresh = False
        """Whether the function gave the token, and it has not served yet."""
        self._refused: str | None = None

    async def header(self, calls: Calls) -> str | None:
        """The value for `Authorization`, with a new token where the last one was refused.

        Raises what the function raises, and `BrokerUnavailable` in its place once a token of it has served.
        """
        if self._renew is not None and not self._token:
            try:
                self._token, self._fresh = _checked(await calls.call(self._renew)), True
            except StatushubError:
                raise
            except Exception as error:
                if not self._taken:
                    raise
                # Without its text, which may hold a secret.
                raise BrokerUnavailable(f"no fresh token: the function raises {type(error).__name__}") from error
            if self._taken and not self._token:
                # Such as a file that is read while it is written.
                raise BrokerUnavailable("no fresh token: the function gives an empty one")
        return f"Bearer {self._token}" if self._token else self._otherwise

    def taken(self) -> None:
        """The hub took the token."""
        self._taken, self._fresh = self._taken or bool(self._token), False

    def refused(self) -> Verdict:
        """The hub refused the token; returns what to do about it."""
        if self._renew is None:
            return Verdict.FINAL
        repeated = self._token == self._refused
        self._refused, self._token = self._token, ""
        if not self._fresh:
            return Verdict.AGAIN
        return Verdict.LATER if repeated else Verdict.FINAL


def _checked(token: object) -> str:
    if not isinstance(token, str):
        raise ConfigError(f"the token must be text, not {type(token).__name__}", field="token")
    text = token.strip()
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise ConfigError("the token may contain only printable ASCII characters", field="token")
    return text
