"""A JSON Web Key Set at a URL, whose keys verify tokens. Imported only where one is configured, as `public_key` is."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import Any, Final

import httpx

from statushub.hub.auth import jwks
from statushub.hub.auth.jwks import Keys
from statushub.hub.auth.keys import Key, Start
from statushub.hub.model.errors import KeysUnavailable, Unauthorized
from statushub.hub.model.redaction import censored, redacted

KEYS_SECONDS: Final = 290.0
"""Between fetches of a key set. With a fetch's deadline and the time for which verified tokens are cached, a withdrawn
key is trusted for less than six minutes."""

KEYS_PAUSE_SECONDS: Final = 10.0
"""Least time between fetches, and how long after a failed one. An unknown key id may be the issuer's new key, but
every request can invent one, and would make the hub fetch."""

FETCH_SECONDS: Final = 5.0
"""Deadline of a whole fetch: requests with an unknown key wait for it."""

logger = logging.getLogger(__name__)


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


def _reason(error: Exception) -> str:
    """Why a fetch failed, without its URL, which httpx puts into some messages and which may hold a password."""
    if isinstance(error, httpx.HTTPStatusError):
        return f"the answer is {error.response.status_code}"
    if isinstance(error, httpx.InvalidURL):
        return "the URL is invalid"
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return f"no complete answer within {FETCH_SECONDS:g} s"
    return censored(str(error)) or type(error).__name__


_fits: type[Key] = KeySet
