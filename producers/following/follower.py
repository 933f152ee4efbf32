"""The follower: a stream for as long as one comes through, polls where none does, and pauses where nothing answers."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

import msgspec
from msgspec.structs import replace

from statushub.hub.model.backoff import Backoff
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.errors import BrokerUnavailable, StatushubError, Unauthorized
from statushub.producers.following.change import LIMIT, Change
from statushub.producers.following.credentials import Credentials, Verdict
from statushub.producers.following.hub import Hub
from statushub.producers.following.link import Link, Refused, Silent
from statushub.producers.following.observer import Observer
from statushub.producers.following.polls import Polls
from statushub.producers.following.position import Position
from statushub.producers.following.refusals import Unrecognized
from statushub.producers.following.states import States
from statushub.producers.following.stream import Stream
from statushub.producers.following.subject import Subject
from statushub.producers.following.timing import Timing
from statushub.producers.hub_address import HubAddress
from statushub.producers.transports import Busy, Denied

RETRY_JITTER: Final = 1.25
"""Most that a pause of a `Retry-After` is stretched by: all clients of a server are told the same."""


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    """The seconds between two streams: a pause, or polls. `error` says why the stream ended, and `announced` is whether
    the hub did."""

    error: StatushubError
    seconds: float
    polls: bool = False
    announced: bool = False


class Follower:
    """Follows a subject over a link, once."""

    def __init__(
        self,
        address: HubAddress,
        subject: Subject,
        credentials: Credentials,
        since: Cursor | None,
        *,
        link: Link,
        observer: Observer,
        timing: Timing,
    ) -> None:
        self._subject = subject
        self._credentials = credentials
        self._position = Position(since)
        self._states = States(observer.misfit)
        self._link = link
        self._observer = observer
        self._timing = timing
        self._hub = Hub(address, credentials, link)
        self._backoff = Backoff(timing.retry, timing.retry_max)
        self._probes = Backoff(timing.probe, timing.probe_max)
        self._away = self._lost = self._polling = self._busy = False

    async def changes(self) -> AsyncGenerator[Change]:
        """All changes, without an end. Raises the hub's final refusals (`refusals.FINAL`); retries everything else."""
        try:
            while True:
                stream = Stream(self._hub, self._subject, self._position, self._states, self._timing, self._heard)
                error: StatushubError | None = None
                try:
                    async with aclosing(stream.changes()) as changes:
                        async for change in changes:
                            self._notice(change)
                            yield change
                except (Unauthorized, Unrecognized) as failure:
                    verdict = self._credentials.refused()
                    if verdict is Verdict.AGAIN:
                        continue
                    if verdict is Verdict.FINAL and isinstance(failure, Unauthorized):
                        raise
                    error = failure
                except (BrokerUnavailable, Denied) as failure:
                    error = failure
                self._timing = replace(self._timing, silence=stream.silence)
                interval = self._interval(stream, error)
                if not interval.polls:
                    await self._pause(interval)
                    continue
                async with aclosing(self._polled(interval)) as changes:
                    async for change in changes:
                        yield change
        finally:
            await self._link.aclose()

    def _interval(self, stream: Stream, error: StatushubError | None) -> Interval:
        """What is done until the next stream is tried."""
        ended = error or BrokerUnavailable(f"{self._hub.name}: closed the stream")
        # A proxy that buffers may pass on what came with the head, and nothing after it.
        buffered = isinstance(ended, Silent) and not stream.lives
        if stream.drained or (stream.heard and not buffered):
            seconds = self._backoff.next() if stream.retry is None else stream.retry
            if stream.drained and seconds > self._timing.drain_max:
                asked = BrokerUnavailable(f"{self._hub.name} opens no stream within {seconds:.0f} s")
                return Interval(error=asked, seconds=seconds, polls=True)
            return Interval(error=ended, seconds=seconds, announced=stream.drained and stream.heard)
        if isinstance(ended, Busy) and not self._busy:
            self._busy = True
            return Interval(error=ended, seconds=stretched(ended))
        if stream.answered or isinstance(ended, Silent | Refused | Denied | Busy):
            return Interval(error=ended, seconds=self._probes.next(), polls=True)
        return Interval(error=ended, seconds=self._backoff.next())

    async def _pause(self, interval: Interval) -> None:
        if not interval.announced:
            self._lose(interval.error)
        elif not self._away:
            self._away = True
            self._observer.paused(interval.error.message)
        await self._link.sleep(interval.seconds)

    async def _polled(self, interval: Interval) -> AsyncGenerator[Change]:
        """The changes of polls for the interval."""

        def answered() -> None:
            self._came()
            if not self._polling:
                self._polling = True
                self._observer.polling(interval.error)

        polls = Polls(self._hub, self._link, self._subject, self._position, self._states, self._timing, answered)
        pause = 0.0
        try:
            async with aclosing(polls.changes(interval.seconds)) as changes:
                async for change in changes:
                    yield change
        except Unauthorized:
            verdict = self._credentials.refused()
            if verdict is Verdict.FINAL:
                raise
            if verdict is Verdict.LATER:
                self._lose(interval.error)
                pause = self._backoff.next()
        except Busy as busy:
            self._lose(interval.error)
            pause = stretched(busy)
        except (BrokerUnavailable, Denied):
            self._lose(interval.error)
            pause = self._backoff.next()
        await self._link.sleep(pause)

    def _heard(self, lives: bool) -> None:
        """An event came over a stream that lives, or whose first events these are."""
        self._came()
        if lives:
            self._polling = self._busy = False
            self._probes.reset()

    def _came(self) -> None:
        self._backoff.reset()
        self._credentials.taken()
        if self._away:
            self._away = self._lost = False
            self._observer.back()

    def _lose(self, error: StatushubError) -> None:
        if not self._lost:
            self._away = self._lost = True
            self._observer.lost(error)

    def _notice(self, change: Change) -> None:
        if change.type == LIMIT:
            most = change.data.get("max")
            pattern = change.data.get("match", "the pattern")
            self._observer.limited(f"{pattern} names more than {most} channels; others are not followed")


def stretched(busy: Busy) -> float:
    """The pause in seconds that the server asks for, and a little more."""
    return busy.retry_after * random.uniform(1.0, RETRY_JITTER)
