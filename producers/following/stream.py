"""One stream of a hub, from its request to its end."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any, Final

from msgspec.structs import replace

from statushub.hub.model.cursor import Cursor
from statushub.hub.model.vocabulary import CONTENT_DELTA
from statushub.producers.following.answers import changes, changes_path
from statushub.producers.following.change import LIMIT, READY, RESET, Change, content_change
from statushub.producers.following.frames import Frame, Frames, TooLong
from statushub.producers.following.hub import Hub
from statushub.producers.following.link import Answer
from statushub.producers.following.position import Position, cursor_in
from statushub.producers.following.states import States
from statushub.producers.following.subject import Subject
from statushub.producers.following.timing import SILENCE_FACTOR, Timing
from statushub.producers.transports import Denied

MEDIA_TYPE: Final = "text/event-stream"


class Stream:
    """One attempt to be told over a stream; what it found out stays readable after its end."""

    def __init__(
        self,
        hub: Hub,
        subject: Subject,
        position: Position,
        states: States,
        timing: Timing,
        hear: Callable[[bool], None],
    ) -> None:
        """`hear` is called for every event but `drain`, with whether the stream `lives`."""
        self.answered = False
        """Whether the hub, or what is before it, answered with a stream."""
        self.heard = False
        """Whether an event came through."""
        self.lives = False
        """Whether one came later than with the head: what a proxy does not hold back until its buffer is full."""
        self.retry: float | None = None
        """The pause in seconds that the hub asked for before a reconnect."""
        self.drained = False
        """Whether it announced the end."""
        self.silence = timing.silence
        """After how many seconds of silence the next stream counts as dead."""
        self._hub = hub
        self._subject = subject
        self._position = position
        self._states = states
        self._timing = timing
        self._heartbeat = timing.heartbeat
        self._hear = hear
        self._began = 0.0

    async def changes(self) -> AsyncGenerator[Change]:
        """The changes until the stream ends. Raises as `Hub.get`, and `Denied` where the answer is no event stream."""
        answer = await self._ask()
        self.answered = True
        self._began = time.monotonic()
        try:
            if not (answer.header("content-type") or "").startswith(MEDIA_TYPE):
                raise Denied(f"{self._hub.name} answers, but does not send an event stream")
            frames = Frames()
            while portion := await answer.read():
                for frame in frames.feed(portion):
                    if (change := await self._told(frame)) is not None:
                        yield change
        except TooLong as error:
            raise Denied(f"{self._hub.name} does not send an event stream: {error}") from error
        finally:
            await answer.aclose()

    async def _ask(self) -> Answer:
        headers = {"Accept": MEDIA_TYPE, "Cache-Control": "no-store"}
        # Named, whatever the hub's default is.
        query = [*self._subject.query, ("events", "named"), ("deltas", "1"), ("heartbeat", str(self._heartbeat))]
        if (cursor := self._position.cursor) is not None:
            if self._position.since:
                query.append(("since", str(cursor)))
            else:
                headers["Last-Event-ID"] = str(cursor)
        return await self._hub.get(self._subject.path, query, headers, silence=self.silence)

    async def _told(self, frame: Frame) -> Change | None:
        if frame.retry is not None:
            self.retry = frame.retry
        if not frame.data:
            return None
        if frame.event == "drain":
            self.drained = True
            return None
        self.heard = True
        self.lives = self.lives or frame.event == "heartbeat" or time.monotonic() - self._began > self._heartbeat
        self._hear(self.lives)
        data = frame.json
        if frame.event == READY:
            return self._ready(data)
        if frame.event == RESET:
            self._position.reset()
            self._states.clear()
            return Change(type=RESET)
        if frame.event == LIMIT:
            return Change(type=LIMIT, data=data, cursor=self._position.cursor)
        return await self._content(frame, data)

    def _ready(self, data: Mapping[str, Any]) -> Change:
        heartbeat = data.get("heartbeat_ms")
        if isinstance(heartbeat, int | float) and heartbeat > 0:
            self.silence = heartbeat / 1000 * SILENCE_FACTOR
        if (cursor := cursor_in(data.get("cursor"))) is not None:
            self._position.advance(cursor)
        return Change(type=READY, data=data, cursor=self._position.cursor)

    async def _content(self, frame: Frame, data: Mapping[str, Any]) -> Change | None:
        told, id = content_change(frame.event, data, only=self._subject.only), cursor_in(frame.id)
        if told is not None and id is not None and (self._position.repeats(told.channel, id) or self._has(told, id)):
            told = None
        if told is not None and told.type == CONTENT_DELTA:
            told = None if id is None else await self._grown(told, id)
        elif told is not None:
            self._states.take(told, id)
        if id is not None:
            self._position.advance(id)
        return None if told is None else replace(told, cursor=self._position.cursor)

    def _has(self, told: Change, id: Cursor) -> bool:
        """Whether it was read, in answer to a delta that did not fit."""
        return not told.removed and self._states.has(told.content_id, id)

    async def _grown(self, told: Change, id: Cursor) -> Change | None:
        """The change that a delta makes; where it does not fit, the whole status is read."""
        if (change := self._states.grown(told, id)) is not None:
            return change
        answer = await changes(self._hub, changes_path(told.channel), [], self._position.cursor, self._timing.answer)
        for event in answer.events if answer else ():
            whole, cursor = content_change(event.type, event.data, only=told.channel), cursor_in(event.id)
            if whole is not None and whole.content_id == told.content_id and not whole.removed:
                self._states.take(whole, cursor)
                return whole
        # It was removed meanwhile, or has ended and begun anew elsewhere: the stream says so.
        return None
