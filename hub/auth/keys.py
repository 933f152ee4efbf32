"""Keys that verify tokens. A public key and a key set, which need cryptography, have modules of their own."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

Start = Callable[[Callable[[], Coroutine[Any, Any, None]]], None]
"""Runs a coroutine function as a task until it ends or its owner does."""


class Key(Protocol):
    """Verifies tokens of some algorithms."""

    algorithms: frozenset[str]
    """The `alg` values that `find` takes."""

    async def find(self, algorithm: str, key_id: str | None) -> Any:
        """The key for PyJWT. Raises `Unauthorized` where there is none, `KeysUnavailable` where none was fetched."""


class Secret:
    """One secret, shared with the issuer of tokens: HS256."""

    algorithms = frozenset({"HS256"})

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    async def find(self, algorithm: str, key_id: str | None) -> Any:
        return self._secret


_secret_fits: type[Key] = Secret
