"""Counts the results of an HTTP search API."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote, urlsplit

import httpx
import msgspec

from statushub.hub.model.document_source import CATEGORY, KEYWORD, Category
from statushub.producers.documents.counter import COUNT_MAX, Counter, CountFailed, KeywordRefused, RateLimited
from statushub.producers.retry_after import RETRIED, retry_after

TIMEOUT_SECONDS: Final = 10.0
"""For an answer: search APIs take a fraction of a second."""

ANSWER_BYTES: Final = 1024 * 1024
"""Largest answer: it may list a page of results beside the count."""

LIMIT_FIRST: Final = 60.0
LIMIT_LONGEST: Final = 3600.0
"""Seconds of the pause after an answer that says "too often" and not for how long: doubled as long as it says so, since
it may be the limit of a second or that of a day."""

AFTER_LONGEST: Final = 24 * 3600.0
"""Longest `Retry-After` that is obeyed: the limits of search APIs are by the day."""

WORDS: Final = ("errorCode", "code", "errorMessage", "message")
"""Where search APIs say what is wrong, beside `error`."""

REASON_CHARACTERS: Final = 200
"""Most of the API's own words that are told on."""


class SearchApi:
    """A search API that answers JSON with the number of results in it.

    Of each category it asks the address with the category's word in it; categories whose addresses are the same share a
    request. Headers are sent and never told.
    """

    def __init__(
        self,
        address: str,
        categories: Mapping[str, Category],
        headers: Mapping[str, str],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address = address
        self._categories = categories
        self._headers = headers
        self._clock = clock
        self._host = urlsplit(address).hostname or ""
        self._client = httpx.AsyncClient(headers={"Accept": "application/json", **headers}, timeout=TIMEOUT_SECONDS)
        self._open_at = -float("inf")
        self._limit = LIMIT_FIRST

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    async def source(self) -> str:
        told = msgspec.json.encode([self._address, self._categories], order="deterministic")
        # Hashed, because the address may hold a key.
        return f"api:{self._host}:{hashlib.blake2b(told, digest_size=8).hexdigest()}"

    @property
    def calls(self) -> int:
        return len({category.word for category in self._categories.values()}) if CATEGORY in self._address else 1

    async def count(self, keyword: str) -> Mapping[str, int]:
        left = self._open_at - self._clock()
        if left > 0:
            raise RateLimited(f"{self._host} was asked too often", after=left, calls=0)
        answers: dict[str, Any] = {}
        counts = {}
        for name, category in self._categories.items():
            address = self._address.replace(KEYWORD, quote(keyword, safe=""))
            address = address.replace(CATEGORY, quote(category.word, safe=""))
            if address not in answers:
                answers[address] = await self._ask(address)
            counts[name] = _number(answers[address], category.path, self._host)
        self._limit = LIMIT_FIRST
        return counts

    async def _ask(self, address: str) -> Any:
        body = bytearray()
        try:
            async with self._client.stream("GET", address) as answer:
                async for chunk in answer.aiter_bytes():
                    body += chunk
                    if len(body) > ANSWER_BYTES:
                        raise KeywordRefused(f"{self._host} answers more than {ANSWER_BYTES} bytes")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise CountFailed(f"{self._host} does not answer: {type(error).__name__}") from error
        if answer.status_code != 200:
            raise self._refusal(answer, bytes(body))
        try:
            return msgspec.json.decode(body)
        except (msgspec.DecodeError, RecursionError) as error:
            raise CountFailed(f"{self._host} answers no JSON") from error

    def _refusal(self, answer: httpx.Response, body: bytes) -> CountFailed:
        status = answer.status_code
        said = f"{self._host} answers {status}{self._words(body)}"
        after = retry_after(answer.headers.get("retry-after"), longest=AFTER_LONGEST)
        if status == 429 or (after is not None and status >= 500):
            if after is None:
                after, self._limit = self._limit, min(2 * self._limit, LIMIT_LONGEST)
            self._open_at = self._clock() + after
            return RateLimited(said, after=after)
        return CountFailed(said) if status >= 500 or status in RETRIED else KeywordRefused(said)

    def _words(self, body: bytes) -> str:
        """What the API says is wrong, as far as it can be told: not where it repeats a header."""
        try:
            said = msgspec.json.decode(body)
        except (msgspec.DecodeError, RecursionError):
            return ""
        said = said.get("error", said) if isinstance(said, dict) else said
        told = [said] if isinstance(said, str) else [said.get(name) for name in WORDS] if isinstance(said, dict) else []
        words = " ".join(" ".join(str(word) for word in told if isinstance(word, str | int)).split())
        if not words or any(value in words for value in self._headers.values()):
            return ""
        return f": {words[:REASON_CHARACTERS]}"


def _number(answer: Any, path: tuple[str, ...], host: str) -> int:
    for name in path:
        if isinstance(answer, Mapping) and name in answer:
            answer = answer[name]
        elif isinstance(answer, list) and name.isdecimal() and int(name) < len(answer):
            answer = answer[int(name)]
        else:
            raise KeywordRefused(f"the answer of {host} has no {'.'.join(path)}")
    if isinstance(answer, str) and answer.isascii() and answer.isdecimal():
        answer = int(answer[:20])
    if type(answer) is not int or not 0 <= answer <= COUNT_MAX:
        raise KeywordRefused(f"{'.'.join(path)} in the answer of {host} is no count")
    return answer


def _fits(counter: SearchApi) -> Counter:
    return counter
