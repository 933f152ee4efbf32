"""`follow` and `follow_sync`: the changes of channels, as a loop."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterable, Iterator
from types import TracebackType
from typing import Self

import msgspec

from statushub.hub.model.cursor import Cursor
from statushub.hub.model.errors import ConfigError
from statushub.hub.model.redaction import hides_authority, redacted
from statushub.producers.address import HTTP_SCHEMES, settings
from statushub.producers.following.async_link import AsyncLink
from statushub.producers.following.blocking_link import BlockingLink, finished
from statushub.producers.following.change import Change
from statushub.producers.following.credentials import Credentials, Token
from statushub.producers.following.follower import Follower
from statushub.producers.following.link import Closed, Link
from statushub.producers.following.observer import LogObserver, Observer
from statushub.producers.following.subject import Subject, subject
from statushub.producers.following.timing import Timing
from statushub.producers.hub_address import HubAddress, hub_address


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to follow, where, from where on, and how; an `observer` of None is the log."""

    address: HubAddress
    subject: Subject
    token: Token | None
    since: Cursor | None
    observer: Observer | None = None
    timing: Timing = Timing()

    def __repr__(self) -> str:
        return f"Plan({self.address.name!r}, {self.subject!r})"

    def changes(self, link: Link) -> AsyncGenerator[Change]:
        """The changes over a link."""
        follower = Follower(
            self.address,
            self.subject,
            Credentials(self.token, self.address.basic),
            self.since,
            link=link,
            observer=self.observer or LogObserver(self.address.name),
            timing=self.timing,
        )
        return follower.changes()


def plan(
    url: str | None = None,
    *,
    channels: str | Iterable[str] | None = None,
    match: str | Iterable[str] | None = None,
    token: Token | None = None,
    since: Cursor | str | None = None,
) -> Plan:
    """The plan for the arguments of `follow`."""
    configured = settings(os.environ)
    given = token if token is not None else configured["token"].strip() or None
    Credentials(given)
    return Plan(
        address=_address(url or configured["url"]),
        subject=subject(channels, match),
        token=given,
        since=Cursor.parse(since) if isinstance(since, str) else since,
    )


class Follow:
    """The changes in asyncio: `async with follow(…) as changes`, and then `async for change in changes`.

    The end of the block closes the connection. Without a block a loop that is left closes it soon after.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._changes: AsyncGenerator[Change] | None = None

    async def __aenter__(self) -> Self:
        self._changes = self._open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._changes is not None:
            await self._changes.aclose()

    def __aiter__(self) -> AsyncIterator[Change]:
        # Without a block nothing here refers to it, so that a loop which is left ends it.
        return self._open() if self._changes is None else self._changes

    def _open(self) -> AsyncGenerator[Change]:
        return self._plan.changes(AsyncLink(self._plan.address, self._plan.timing.connect))


class SyncFollow:
    """The changes in ordinary code, in any thread: `with follow_sync(…) as changes`, and then `for change in changes`.

    The end of the block, or `close()`, closes the connection. Without a block a loop that is left closes it.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._link: BlockingLink | None = None
        self._changes: Generator[Change] | None = None

    def __enter__(self) -> Self:
        self._link = self._connect()
        self._changes = _blocking(self._plan.changes, self._link)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Change]:
        return _blocking(self._plan.changes, self._connect()) if self._changes is None else self._changes

    def close(self) -> None:
        """End the block's loop, also from another thread, where it waits for the next change. Twice is once."""
        if self._link is None or self._changes is None:
            return
        self._link.close()
        # In another thread it is being executed, and ends by itself.
        with contextlib.suppress(ValueError):
            self._changes.close()

    def _connect(self) -> BlockingLink:
        return BlockingLink(self._plan.address, self._plan.timing.connect)


def follow(
    url: str | None = None,
    *,
    channels: str | Iterable[str] | None = None,
    match: str | Iterable[str] | None = None,
    token: Token | None = None,
    since: Cursor | str | None = None,
) -> Follow:
    """Follow `channels`, and those that the patterns `match` name, up to 64 together: `async for change in follow(…)`.

    `url` is the hub's, by default `STATUSHUB_URL`. `token` is a token, by default `STATUSHUB_TOKEN`, or a function,
    asynchronous or not, that gives a fresh one: it is called before the first request, and when the hub refuses the
    last; an ordinary one runs in a thread. `since` is the `cursor` of a change: only what is later is told; otherwise
    the whole state comes first, then `ready`, then each change as it happens.

    The loop has no end. A broken connection is resumed at the cursor; where no stream comes through, polls tell the
    same. The loop raises only what never succeeds: `Unauthorized`, `Forbidden`, `NotFound`, `Invalid`, as the hub
    answers, and what the function of the token raises the first time. Raises `ConfigError` and `Invalid` for arguments
    that are wrong.
    """
    return Follow(plan(url, channels=channels, match=match, token=token, since=since))


def follow_sync(
    url: str | None = None,
    *,
    channels: str | Iterable[str] | None = None,
    match: str | Iterable[str] | None = None,
    token: Token | None = None,
    since: Cursor | str | None = None,
) -> SyncFollow:
    """As `follow`, for ordinary code: `for change in follow_sync(…)`. The function of a token is called in the thread
    of the loop, and may not be asynchronous."""
    return SyncFollow(plan(url, channels=channels, match=match, token=token, since=since))


def _blocking(changes: Callable[[Link], AsyncGenerator[Change]], link: BlockingLink) -> Generator[Change]:
    following = changes(link)
    try:
        while True:
            yield finished(anext(following))
    except (StopAsyncIteration, Closed):
        return
    finally:
        finished(following.aclose())


def _address(url: str) -> HubAddress:
    name = redacted(url)
    if hides_authority(url):
        raise ConfigError(
            "the hub's address is ambiguous: in a user name or a password, '/', '?' and '#' must be written as %2F, "
            "%3F and %23, and an '@' behind the host as %40",
            field="url",
        )
    if not url.lower().startswith(tuple(f"{scheme}://" for scheme in HTTP_SCHEMES)):
        raise ConfigError(f"the address of a hub to follow begins with http:// or https://, not {name!r}", field="url")
    return hub_address(url)
