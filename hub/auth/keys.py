"""Keys that verify tokens: a secret, a public key, or a JSON Web Key Set at a URL."""

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
"""How long a key set is used before it is fetched again: a withdrawn key is trusted at most this long."""

KEYS_PAUSE_SECONDS: Final = 10.0
"""Least time between fetches. An unknown key id may be the issuer's new key, but every request can invent one, and
would make the hub fetch."""

FETCH_SECONDS: Final = 5.0
"""Deadline of a fetch: requests wait for it."""

logger = logging.getLogger(__name__)


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


class PublicKey:
    """One public key in a PEM file: RS256, ES256 or EdDSA, as the key is."""

    def __init__(self, path: str) -> None:
        """`path` is that of the PEM file. Raises `ConfigError` where it holds no such key."""
        try:
            self._key = load_pem_public_key(Path(path).read_bytes())
        except (OSError, ValueError) as error:
            raise ConfigError(f"public_key {path!r} is not a public key in PEM: {error}", field="public_key") from error
        algorithm = _algorithm(self._key)
        if algorithm is None:
            raise ConfigError(
                f"public_key {path!r} is not RSA of at least {RSA_BITS} bits, P-256 or Ed25519",
                field="public_key",
            )
        self.algorithms = frozenset({algorithm})

    async def find(self, algorithm: str, key_id: str | None) -> Any:
        return self._key


class KeySet:
    """A JSON Web Key Set (RFC 7517): fetched when needed, cached, and fetched again for an unknown key id.

    While the URL does not answer, the keys fetched last are used. The URL comes from the settings and never from a
    token, so a token cannot make the hub fetch an address of its choice (SSRF).
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
            raise KeysUnavailable("the keys that verify tokens cannot be fetched")
        key = self._keys.get(key_id)
        if key is None or _algorithm(key) != algorithm:
            raise Unauthorized("the token is signed with an unknown key")
        return key

    async def _refresh(self) -> None:
        before = self._tried_at
        async with self._fetching:
            # Single-flight: requests that waited for another's fetch use its outcome.
            if self._tried_at != before or time.monotonic() - before < KEYS_PAUSE_SECONDS:
                return
            self._tried_at = time.monotonic()
            try:
                async with httpx.AsyncClient(timeout=FETCH_SECONDS) as client:
                    answer = (await client.get(self._url)).raise_for_status()
                self._keys = _usable(answer.json())
                self._fetched_at = time.monotonic()
            except (httpx.HTTPError, ValueError, jwt.PyJWTError) as error:
                logger.warning("the keys at %s cannot be fetched: %s", self._url, str(error) or type(error).__name__)


def _usable(document: Any) -> dict[str | None, Any]:
    """The public keys of a set that can verify, by key id; a single one also verifies tokens without a key id."""
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise ValueError("not a JSON Web Key Set")  # noqa: TRY004 - the document is wrong, not a type of ours
    keys: dict[str | None, Any] = {}
    for entry in entries:
        try:
            key = jwt.PyJWK.from_dict(entry).key
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
            continue  # of an unknown kind
        if entry.get("use", "sig") == "sig" and _algorithm(key):
            keys[entry.get("kid")] = key
    if len(keys) == 1:
        keys[None] = next(iter(keys.values()))
    return keys


def _algorithm(key: object) -> str | None:
    """The one algorithm of this key. The key decides, never the token: algorithm confusion (RFC 8725, section 3.1)."""
    if isinstance(key, RSAPublicKey):
        return "RS256" if key.key_size >= RSA_BITS else None
    if isinstance(key, EllipticCurvePublicKey):
        return "ES256" if isinstance(key.curve, SECP256R1) else None
    return "EdDSA" if isinstance(key, Ed25519PublicKey) else None


_secret_fits: type[Key] = Secret
_public_key_fits: type[Key] = PublicKey
_key_set_fits: type[Key] = KeySet
