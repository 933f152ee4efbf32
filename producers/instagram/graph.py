"""Calls of the Graph API."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Final, Self, TypeVar
from urllib.parse import parse_qsl, urlsplit

import httpx
import msgspec

from statushub.hub.model.backoff import Backoff
from statushub.hub.model.redaction import HIDDEN, censored
from statushub.producers.instagram import pauses
from statushub.producers.instagram.answers import Failed, Page
from statushub.producers.instagram.errors import GraphError, Limited, Transient
from statushub.producers.instagram.pauses import Pauses
from statushub.producers.instagram.timing import Timing
from statushub.producers.instagram.usage import usage

CONNECTIONS: Final = 50
"""Most connections of a process. Five executions have 25 users, whose comments are read five posts at a time."""

TIMEOUT_SECONDS: Final = 60.0
"""For each part of an answer: the Graph API computes insights when it is asked for them."""

TRIES: Final = 5
"""How often a call is made that fails for a reason that passes."""

LIMITS: Final = 30
"""How often a call waits for a rate limit: with pauses of an hour, longer than the longest limit, that of a day."""

PAGES_MAX: Final = 10_000
"""Most pages of one list: the API lists 10,000 posts, and a cursor that leads back to itself would have no end."""

MESSAGE_CHARACTERS: Final = 300
"""Longest message of the API that is passed on."""

TOKEN_PARAMETER: Final = "access_token"

T = TypeVar("T")

logger = logging.getLogger(__name__)


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """An account of a user. Its representation does not have the token."""

    user_no: int
    ig_user_id: str
    token: str

    def __repr__(self) -> str:
        return f"Account(user_no={self.user_no}, ig_user_id={self.ig_user_id!r})"


class Graph:
    """Calls the Graph API with the token of an account. An async context manager, which may be entered once.

    A call that fails for a reason that passes is repeated; one that meets a rate limit waits for as long as the API
    tells, and so do all other calls that have the same limit.
    """

    def __init__(self, base: str, version: str, *, timing: Timing = Timing()) -> None:
        self._base = f"{base.rstrip('/')}/{version}"
        self._timing = timing
        self._pauses = Pauses()
        self._client = httpx.AsyncClient(
            transport=_WithToken(limits=httpx.Limits(max_connections=CONNECTIONS)),
            timeout=TIMEOUT_SECONDS,
            follow_redirects=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def get(self, account: Account, path: str, kind: type[T], **parameters: str | int) -> T:
        """What is at `path`. Raises `GraphError`."""
        retry = Backoff(self._timing.retry, self._timing.retry_longest)
        limited = Backoff(2 * self._timing.limited, 2 * self._timing.limited_longest)
        failures = limits = 0
        while True:
            await self._pauses.wait(account.ig_user_id)
            try:
                return await self._once(account, path, kind, parameters)
            except Limited as error:
                limits += 1
                if limits == LIMITS:
                    raise
                scope = pauses.APP if error.app else account.ig_user_id
                if not self._pauses.left(account.ig_user_id):
                    self._pauses.add(scope, limited.next())
                logger.info("userNo=%d: %s", account.user_no, error)
            except Transient as error:
                failures += 1
                if failures == TRIES:
                    raise
                logger.debug("userNo=%d: %s", account.user_no, error)
                await asyncio.sleep(retry.next())

    async def pages(
        self, account: Account, path: str, kind: type[T], **parameters: str | int
    ) -> AsyncIterator[list[T]]:
        """The entries of a list, page by page. Raises `GraphError`."""
        seen: set[str] = set()
        for _ in range(PAGES_MAX):
            page = await self.get(account, path, Page[kind], **parameters)  # type: ignore[valid-type]
            yield page.data
            # The address of the next page has the token, and could name any host.
            following = _following(page.paging.next, page.paging.cursors.after)
            mark = repr(sorted(following.items()))
            if not following or mark in seen:
                return
            seen.add(mark)
            parameters |= following

    def pause_of(self, account: Account) -> float:
        """The seconds until a call for the account is made."""
        return self._pauses.left(account.ig_user_id)

    async def _once(self, account: Account, path: str, kind: type[T], parameters: dict[str, str | int]) -> T:
        try:
            response = await self._client.get(
                f"{self._base}/{path}", params=parameters, extensions={TOKEN_PARAMETER: account.token}
            )
        except httpx.RequestError as error:
            raise Transient(f"the call of {path} failed: {type(error).__name__}") from None
        self._observe(account, response)
        try:
            failure = msgspec.json.decode(response.content, type=Failed).error
        except msgspec.DecodeError:
            raise _unreadable(path, response) from None
        if failure is not None:
            failure.message = _safe(failure.message, account)
            raise failure.exception()
        if response.status_code != httpx.codes.OK:
            raise _unreadable(path, response)
        try:
            return msgspec.json.decode(response.content, type=kind)
        except msgspec.ValidationError as error:
            raise GraphError(f"the answer to {path} is not as documented: {_safe(str(error), account)}") from None

    def _observe(self, account: Account, response: httpx.Response) -> None:
        """Pause where the answer says that the next call would be refused."""
        said = usage(response.headers)
        if said.account_full and said.minutes:
            self._pauses.add(account.ig_user_id, said.minutes * self._timing.minute)
        if said.app_full:
            self._pauses.add(pauses.APP, self._timing.limited)


class _WithToken(httpx.AsyncHTTPTransport):
    """Adds the token to the address of what is sent, which httpx therefore neither logs nor has in its errors."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        sent = httpx.Request(
            request.method,
            request.url.copy_set_param(TOKEN_PARAMETER, request.extensions[TOKEN_PARAMETER]),
            headers=request.headers,
            stream=request.stream,
            extensions=request.extensions,
        )
        return await super().handle_async_request(sent)


def _following(address: str | None, after: str | None) -> dict[str, str]:
    """The parameters of the next page; none where this one is the last."""
    if not address:
        return {}
    if after:
        return {"after": after}
    return {name: value for name, value in parse_qsl(urlsplit(address).query) if name != TOKEN_PARAMETER}


def _unreadable(path: str, response: httpx.Response) -> GraphError:
    """What an answer stands for that is not the API's JSON: a page of a proxy, or a part of an answer."""
    status = response.status_code
    said = f"{path} was answered {status}, without the JSON of the API"
    if status == httpx.codes.TOO_MANY_REQUESTS:
        return Limited(said, app=True)
    if status < httpx.codes.BAD_REQUEST or status == httpx.codes.REQUEST_TIMEOUT or status >= 500:
        return Transient(said)
    return GraphError(said)


def _safe(message: str, account: Account) -> str:
    """A message of the API without the token, which some of them repeat."""
    said = message.replace(account.token, HIDDEN) if account.token else message
    return censored(said)[:MESSAGE_CHARACTERS]
