"""Polls of channels and patterns, with the cursor of the stream: what a follower is told where no stream comes
through."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from typing import Final

from msgspec.structs import replace

from statushub.hub.model.cursor import Cursor
from statushub.producers.following.answers import Changes, changes, changes_path
from statushub.producers.following.change import READY, RESET, Change, content_change
from statushub.producers.following.hub import Hub
from statushub.producers.following.link import Link
from statushub.producers.following.position import Position, cursor_in
from statushub.producers.following.states import States
from statushub.producers.following.subject import Subject
from statushub.producers.following.timing import Timing

MATCHING: Final = "/api/changes"

ALL: Final = ""
"""Stands for all channels, where patterns name some. No channel has this name."""


class Polls:
    """Asks for the changes of each channel in turn: of a single one with a long poll, of several in rounds. Patterns,
    with the channels beside them, are one long poll, whose cursor is that of all."""

    def __init__(
        self,
        hub: Hub,
        link: Link,
        subject: Subject,
        position: Position,
        states: States,
        timing: Timing,
        answered: Callable[[], None],
    ) -> None:
        """`answered` is called with every answer."""
        self._hub = hub
        self._link = link
        self._subject = subject
        self._position = position
        self._states = states
        self._timing = timing
        self._answered = answered
        self._whole = True

    async def changes(self, seconds: float) -> AsyncGenerator[Change]:
        """The changes of so many seconds, and at least of one round. Raises as `Hub.get`."""
        end, ready, wait = time.monotonic() + seconds, False, 0.0
        while True:
            began, changed = time.monotonic(), False
            async with aclosing(self._round(wait)) as changes:
                async for change in changes:
                    changed, ready = True, ready and change.type != RESET
                    yield change
            if not self._whole:
                wait = 0.0
                continue
            if not ready:
                ready = True
                cursor = self._position.cursor
                yield Change(type=READY, data={"cursor": str(cursor)}, cursor=cursor)
            if (left := end - time.monotonic()) <= 0:
                return
            # A hub that is at its limit of streams answers long polls immediately.
            hurried = not changed and time.monotonic() - began < wait / 2
            wait = min(self._timing.wait, left) if self._alone else 0.0
            await self._link.sleep(min(self._pause(hurried), left))

    def _pause(self, hurried: bool) -> float:
        timing, count = self._timing, 1 if self._alone else len(self._subject.channels)
        return timing.poll_channel * count + (timing.poll if count > 1 or hurried else 0.0)

    @property
    def _alone(self) -> bool:
        """Whether one poll asks for everything."""
        return bool(self._subject.only or self._subject.patterns)

    async def _round(self, wait: float) -> AsyncGenerator[Change]:
        """The changes of all channels, or only a reset, after which `_whole` is false."""
        self._whole = True
        for channel in (ALL,) if self._subject.patterns else self._subject.channels:
            answer = await self._ask(channel, wait)
            if answer is not None and self._void(answer):
                # The next round reads the whole state.
                self._whole = False
                self._position.reset()
                self._states.clear()
                yield Change(type=RESET)
                return
            for change in self._told(channel, answer):
                yield change

    async def _ask(self, channel: str, wait: float) -> Changes | None:
        """What has changed; None where nothing has."""
        path, query = (MATCHING, self._subject.query) if channel == ALL else (changes_path(channel), [])
        found = await changes(self._hub, path, query, self._position.of(channel), self._timing.answer, wait)
        self._answered()
        return found

    def _void(self, answer: Changes) -> bool:
        known, epoch = self._position.epoch, Cursor.parse(answer.cursor).epoch
        return answer.reset or (known is not None and known != epoch)

    def _told(self, channel: str, answer: Changes | None) -> Iterator[Change]:
        for event in answer.events if answer else ():
            told = content_change(event.type, event.data, only=channel)
            if (id := cursor_in(event.id)) is None or told is None or self._position.repeats(channel, id):
                continue
            self._states.take(told, id)
            self._advance(channel, id)
            yield replace(told, cursor=self._position.cursor)
        cursor = Cursor.parse(answer.cursor) if answer else self._position.of(channel)
        if cursor is not None:
            self._advance(channel, cursor)

    def _advance(self, channel: str, cursor: Cursor) -> None:
        if channel == ALL:
            self._position.advance(cursor)
        else:
            self._position.advance_channel(channel, cursor, self._subject.channels)
