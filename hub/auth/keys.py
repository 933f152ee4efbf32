"""The keys by which tokens are known: a secret, a public key, or a set of keys at an address."""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path
from typing import Any, Final, Protocol

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from statushub.hub.model.errors import ConfigError, KeysUnavailable, Unauthorized

RSA_BITS: Final = 2048
"""Shortest RSA key (RFC 7518, section 3.3)."""

KEYS_SECONDS: Final = 300.0
"""How long a set of keys is used before it is fetched again: so late may a withdrawn key be noticed."""

KEYS_PAUSE_SECONDS: Final = 10.0
"""Between two fetches: a key id that nobody knows is an issuer's new key, or anybody's guess."""

FETCH_SECONDS: Final = 5.0
"""For the address to answer: requests wait for it."""

logger = logging.getLogger(__name__)


class Key(Protocol):
    """What verifies tokens of some algorithms."""

    algorithms: frozenset[str]
    """The `alg`s that this may be asked about."""

    async def find(self, algorithm: str, key_id: str | None) -> Any:
        """The key for PyJWT. Raises `Unauthorized` where there is none, `KeysUnavailable` where none can be had."""


class Secret:
    """One secret, which whoever mints tokens shares: HS256."""

    algorithms = frozenset({"HS256"})

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    async def find(self, algorithm: str, key_id: str | None) -> Any:
        return self._secret


class PublicKey:
    """One public key in a PEM file: RS256, ES256 or EdDSA, as the key is."""

    def __init__(self, path: str) -> None:
        """Raises `ConfigError` where the file holds no such key."""
        try:
            self._key = load_pem_public_key(Path(path).read_bytes())
        except (OSError, ValueError) as error:
            raise ConfigError(f"public_key {path!r} is no public key in PEM: {error}", field="public_key") from error
        algorithm = _algorithm(self._key)
        if algorithm is None:
            raise ConfigError(
                f"public_key {path!r} is neither RSA of {RSA_BITS} bits or more, nor P-256, nor Ed25519",
                field="public_key",
            )
        self.algorithms = frozenset({algorithm})

    async def find(self, algorithm: str, key_id: str | None) -> Any:
        return self._key


class KeySet:
    """The keys that an address tells (RFC 7517): fetched when needed, kept, fetched again for an unknown key id.

    While the address does not answer, the keys it told last are used.
    """

    algorithms = frozenset({"RS256", "ES256", "EdDSA"})

    def __init__(self, url: str) -> None:
        self._url = url
        self._keys: dict[str | None, Any] = {}
        self._fetched_at = self._tried_at = -KEYS_SECONDS
        self._fetching = asyncio.Lock()

    async def find(self, algorithm: str, key_id: str | None) -> Any:
        if time.monotonic() - self._fetched_at > KEYS_SECONDS or key_id not in self._keys:
            await self._refresh()
        if not self._keys:
            raise KeysUnavailable("the keys by which tokens are known cannot be fetched")
        key = self._keys.get(key_id)
        if key is None or _algorithm(key) != algorithm:
            raise Unauthorized("the token is signed with a key that is not known here")
        return key

    async def _refresh(self) -> None:
        before = self._tried_at
        async with self._fetching:
            # Whoever waited for another's fetch has its outcome.
            if self._tried_at != before or time.monotonic() - before < KEYS_PAUSE_SECONDS:
                return
            self._tried_at = time.monotonic()
            try:
                async with httpx.AsyncClient(timeout=FETCH_SECONDS) as client:
                    answer = (await client.get(self._url)).raise_for_status()
                self._keys = _usable(answer.json())
                self._fetched_at = time.monotonic()
            except (httpx.HTTPError, ValueError, jwt.PyJWTError) as error:
                logger.warning("the keys at %s cannot be had: %s", self._url, str(error) or type(error).__name__)


def _usable(told: Any) -> dict[str | None, Any]:
    """The public keys in a set that can verify, by key id; a set of one answers to no id, too."""
    entries = told.get("keys") if isinstance(told, dict) else None
    if not isinstance(entries, list):
        raise ValueError("this is no JSON Web Key Set")  # noqa: TRY004 - it is what was told that is wrong
    keys: dict[str | None, Any] = {}
    for entry in entries:
        try:
            key = jwt.PyJWK.from_dict(entry).key
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
            continue  # of a kind that nobody here can use
        if entry.get("use", "sig") == "sig" and _algorithm(key):
            keys[entry.get("kid")] = key
    if len(keys) == 1:
        keys[None] = next(iter(keys.values()))
    return keys


def _algorithm(key: object) -> str | None:
    """The one algorithm this key is used with: its kind decides, never the token (RFC 8725, section 3.1)."""
    if isinstance(key, RSAPublicKey):
        return "RS256" if key.key_size >= RSA_BITS else None
    if isinstance(key, EllipticCurvePublicKey):
        return "ES256" if isinstance(key.curve, SECP256R1) else None
    return "EdDSA" if isinstance(key, Ed25519PublicKey) else None


_secret_fits: type[Key] = Secret
_public_key_fits: type[Key] = PublicKey
_key_set_fits: type[Key] = KeySet
