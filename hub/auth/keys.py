"""Keys that verify tokens: a secret, a public key, or a JSON Web Key Set at a URL."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol

import httpx
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from statushub.hub.auth import jwks
from statushub.hub.auth.jwks import Keys
from statushub.hub.model.errors import ConfigError, KeysUnavailable, Unauthorized
from statushub.hub.model.redaction import censored, redacted
from statushub.hub.settings import SETTINGS

PEM_BYTES: Final = 64 * 1024
"""Largest file of a public key that is read: an RSA key of 16,384 bits has 3 KB."""

OTHER_PEM: Final = {
    b"PRIVATE KEY-----": "a private key; `openssl pkey -in FILE -pubout` prints its public key",
    b"-----BEGIN CERTIFICATE-----": "a certificate; `openssl x509 -in FILE -pubkey -noout` prints its public key",
}
"""What a file may hold instead of a public key, and what to do about it."""

KEYS_SECONDS: Final = 290.0
"""Between fetches of a key set. With a fetch's deadline and the time for which verified tokens are cached, a withdrawn
key is trusted for less than six minutes."""

KEYS_PAUSE_SECONDS: Final = 10.0
"""Least time between fetches, and how long after a failed one. An unknown key id may be the issuer's new key, but
every request can invent one, and would make the hub fetch."""

FETCH_SECONDS: Final = 5.0
"""Deadline of a whole fetch: requests with an unknown key wait for it."""

Start = Callable[[Callable[[], Coroutine[Any, Any, None]]], None]
"""Runs a coroutine function as a task until it ends or its owner does."""

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
        label = f"{SETTINGS['public_key'].label}: {path!r}"
        pem = _read(path, label)
        other = next((what for mark, what in OTHER_PEM.items() if mark in pem), None)
        if other is not None or len(pem) > PEM_BYTES:
            raise ConfigError(f"{label} holds {other or 'no public key'}", field="public_key")
        try:
            self._key = load_pem_public_key(pem)
        except (TypeError, ValueError, UnsupportedAlgorithm):
            # Without the cause, which is a paragraph about formats.
            raise ConfigError(
                f"{label} holds no public key in PEM, or one of no known kind", field="public_key"
            ) from None
        algorithm = jwks.algorithm_of(self._key)
        if algorithm is None:
            raise ConfigError(
                f"{label} holds a key that is not RSA of at least {jwks.RSA_BITS} bits, P-256 or Ed25519",
                field="public_key",
            )
        self.algorithms = frozenset({algorithm})

    async def find(self, algorithm: str, key_id: str | None) -> Any:
        return self._key


class KeySet:
    """A JSON Web Key Set at a URL (`jwks`): fetched when first needed, periodically, and for an unknown key id.

    Only a request whose key is unknown waits for a fetch. While the URL does not answer, the keys fetched last are
    used. The URL comes from the settings and never from a token, so a token cannot make the hub fetch an address of its
    choice (SSRF).
    """

    algorithms = frozenset({"RS256", "ES256", "EdDSA"})

    def __init__(self, url: str, start: Start) -> None:
        """`start` runs the task that fetches, from the first request on."""
        self._url = url
        self._start = start
        self._keys: Keys | None = None
        self._tried_at = 0.0
        self._running = False
        self._started = False
        self._wanted = asyncio.Event()
        self._ended = asyncio.Event()

    async def find(self, algorithm: str, key_id: str | None) -> Any:
        if not self._started:
            self._started = self._running = True
            self._start(self._run)
        key = self._known(algorithm, key_id)
        if key is None:
            await self._refreshed()
            key = self._known(algorithm, key_id)
        if self._keys is None:
            raise KeysUnavailable("the keys that verify tokens cannot be fetched")
        if key is None:
            raise Unauthorized("the token is signed with an unknown key")
        return key

    def _known(self, algorithm: str, key_id: str | None) -> Any:
        return self._keys.known.get((algorithm, key_id)) if self._keys else None

    async def _refreshed(self) -> None:
        """Return at the end of the fetch that runs or that this call causes; immediately where the last one is recent.

        Single-flight: any number of requests wait for one fetch.
        """
        if not self._running:
            if time.monotonic() - self._tried_at < KEYS_PAUSE_SECONDS:
                return
            self._wanted.set()
        # The timeout is for a hub that ends meanwhile.
        with suppress(TimeoutError):
            async with asyncio.timeout(2 * FETCH_SECONDS):
                await self._ended.wait()

    async def _run(self) -> None:
        while True:
            self._running = True
            self._wanted.clear()
            fetched = await self._fetch()
            self._running = False
            self._tried_at = time.monotonic()
            self._ended.set()
            self._ended = asyncio.Event()
            with suppress(TimeoutError):
                async with asyncio.timeout(KEYS_SECONDS if fetched else KEYS_PAUSE_SECONDS):
                    await self._wanted.wait()

    async def _fetch(self) -> bool:
        """Whether keys were fetched."""
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                document = await self._document()
            # In a thread: a large set takes milliseconds to parse.
            self._keys = await asyncio.to_thread(jwks.read, document)
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError) as error:
            logger.warning("the keys at %s cannot be fetched: %s", redacted(self._url), _reason(error))
            return False
        if self._keys.odd or not self._keys.known:
            logger.warning(
                "the keys at %s: %d are used, %d malformed ones are skipped",
                redacted(self._url),
                self._keys.used,
                self._keys.odd,
            )
        return True

    async def _document(self) -> bytes:
        # In a thread: it reads the certificates of all authorities.
        trusted = await asyncio.to_thread(httpx.create_ssl_context)
        # Not compressed, so that it cannot grow here.
        plain = {"Accept-Encoding": "identity"}
        async with (
            httpx.AsyncClient(verify=trusted, timeout=FETCH_SECONDS) as client,
            client.stream("GET", self._url, headers=plain) as answer,
        ):
            answer.raise_for_status()
            if answer.headers.get("content-encoding", "identity").lower() != "identity":
                raise ValueError("the answer is compressed")
            document = bytearray()
            async for piece in answer.aiter_raw():
                document += piece
                if len(document) > jwks.DOCUMENT_BYTES:
                    raise ValueError(f"the answer has more than {jwks.DOCUMENT_BYTES} bytes")
            return bytes(document)


def _read(path: str, label: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            return file.read(PEM_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{label} cannot be read: {reason}", field="public_key") from error


def _reason(error: Exception) -> str:
    """Why a fetch failed, without its URL, which httpx puts into some messages and which may hold a password."""
    if isinstance(error, httpx.HTTPStatusError):
        return f"the answer is {error.response.status_code}"
    if isinstance(error, httpx.InvalidURL):
        return "the URL is invalid"
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return f"no complete answer within {FETCH_SECONDS:g} s"
    return censored(str(error)) or type(error).__name__


_secret_fits: type[Key] = Secret
_public_key_fits: type[Key] = PublicKey
_key_set_fits: type[Key] = KeySet
