"""Sockets: sessions whose clients say, at any time, which channels they follow, each from a cursor of its own."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Final, Generic, TypeVar

import msgspec

from statushub.hub.auth.identity import Identity
from statushub.hub.auth.patterns import Patterns
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.errors import Invalid, StatushubError
from statushub.hub.model.timestamp import timestamp
from statushub.hub.replicas.filtered import Filtered, unfiltered
from statushub.hub.replicas.reader import VOID
from statushub.hub.replicas.scope import Channels, Scope
from statushub.hub.replicas.selection import Selection
from statushub.hub.viewers.commands import SOCKET_CHANNELS, Ping, Subscribe, command
from statushub.hub.viewers.session import RETRY_MS, Host, Session
from statushub.hub.viewers.viewer import State, Viewer
from statushub.hub.wire.format import MessageFormat

BURST: Final = 100
"""Messages, or frames, that a client may send in one go: a page that subscribes to each of its channels by itself."""

REFILL: Final = 20
"""Further ones that it may send in a second."""

FULL: Final = float(BURST)

NOTHING: Final[Mapping[str, Opening]] = MappingProxyType({})

GOING_AWAY: Final = 1001
"""Close code: the hub stops (RFC 6455, section 7.4.1)."""

TOO_BIG: Final = 1009
"""Close code: a message is too large."""

EXPIRED: Final = 4401
"""Close code: the token expired or was revoked."""

TOO_MANY: Final = 4429
"""Close code: too many messages, or no room for another socket."""

STOPS: Final = "the hub is stopping"
DISMISSED: Final = "the token expired or was revoked"
FLOODED: Final = "too many messages"
BIG: Final = "a message is too large"

V = TypeVar("V", bound=Viewer)


class Opening(msgspec.Struct, frozen=True):
    """How a channel or a pattern is followed: from which cursor on, whether its contents grow by deltas, and which of
    them are followed, None for all."""

    since: Cursor | None = None
    deltas: bool = False
    content_ids: frozenset[str] | None = None


class Socket(Session, Generic[V]):
    """The channels and patterns of a socket, of which each has a viewer, and the answers to what its client says."""

    __slots__ = (
        "_asked",
        "_refilled_at",
        "_tokens",
        "address",
        "format",
        "heartbeat",
        "heartbeat_slot",
        "host",
        "identity",
        "viewers",
    )

    format: MessageFormat

    def __init__(
        self, host: Host, format: MessageFormat, *, heartbeat: float | None, identity: Identity, address: str
    ) -> None:
        """`heartbeat` is the hub's interval where it is None."""
        self.host = host
        self.format = format
        self.identity = identity
        self.address = address
        self.heartbeat = host.heartbeat_interval if heartbeat is None else heartbeat
        self.heartbeat_slot = 0
        # Few have more than one viewer, most ask for no pattern: what is shared until then is no memory of theirs.
        self.viewers: tuple[V, ...] = ()
        # The patterns whose channels are looked for, each with how it is followed.
        self._asked: Mapping[str, Opening] = NOTHING
        self._tokens = FULL
        self._refilled_at = 0.0

    @property
    def channels(self) -> list[str]:
        if len(self.viewers) == 1:
            return self.viewers[0].channels
        return [channel for viewer in self.viewers for channel in viewer.channels]

    @property
    def selections(self) -> list[Selection]:
        return [selection for viewer in self.viewers for selection in viewer.selections]

    def join(self) -> None:
        """Further viewers join as they come."""
        for viewer in self.viewers:
            viewer.join()

    def leave(self) -> None:
        self._asked = NOTHING
        for viewer in self.viewers:
            _discard(viewer)

    def close(self, retry_ms: tuple[int, int]) -> None:
        self.end(retry_ms, GOING_AWAY, STOPS)

    def expire(self) -> None:
        self.host.counts.dismissals += 1
        self.end(RETRY_MS, EXPIRED, DISMISSED)

    @abstractmethod
    def end(self, retry_ms: tuple[int, int], code: int, reason: str) -> None:
        """Say `drain`, and close with this code; the client reconnects after a random time between these
        milliseconds."""

    @abstractmethod
    def view(self, scope: Scope, format: MessageFormat, since: Cursor | None) -> V:
        """A viewer of these channels, for this socket, in a format of its own."""

    @abstractmethod
    def say(self, answers: list[bytes], made: list[V]) -> None:
        """Send what was not answered immediately, where the socket is still open: as `hear` returns it."""

    def admit(self) -> bool:
        """Count a message in. False where they are too many: the socket ends."""
        now = time.monotonic()
        self._tokens = min(FULL, self._tokens + REFILL * (now - self._refilled_at))
        self._refilled_at = now
        if self._tokens < 1:
            self.host.counts.refusals["messages"] += 1
            return False
        self._tokens -= 1
        return True

    def hear(self, message: bytes) -> tuple[list[bytes], list[V]]:
        """The answers to a message, and the viewers that it made, which are to catch up after the answers."""
        try:
            said = command(message)
            if isinstance(said, Ping):
                return [self.format.control("pong", timestamp=timestamp())], []
            if (patterns := said.patterns()) is not None:
                if isinstance(said, Subscribe):
                    return self._match(patterns, _opening(said))
                return [self._unmatch(patterns.texts[0])], []
            channels = said.channels()
            if isinstance(said, Subscribe):
                return self.subscribe(channels, _opening(said))
            return [self._unsubscribe(channel) for channel in channels], []
        except StatushubError as error:
            return [self._error(error)], []

    def begin(self, scope: Scope, opening: Opening) -> tuple[list[bytes], list[V]]:
        """As `hear`: follow this channel unasked. To be called before the socket is attached."""
        viewer = self._made(scope, self.format.viewing(None, deltas=opening.deltas), opening)
        return [self._subscribed(viewer)], [viewer]

    def subscribe(self, channels: Iterable[str], opening: Opening) -> tuple[list[bytes], list[V]]:
        """As `hear`: follow these channels. One that is followed already goes on, or starts again from `since`."""
        answers: list[bytes] = []
        made: list[V] = []
        for channel in channels:
            viewer = self._find(channel_id=channel)
            if viewer is None or opening.since is not None or _wanted(viewer) != opening.content_ids:
                try:
                    viewer = self._opened(channel, viewer, opening)
                except StatushubError as error:
                    answers.append(self._error(error, channel_id=channel))
                    continue
                made.append(viewer)
            answers.append(self._subscribed(viewer))
        return answers, made

    def _match(self, patterns: Patterns, opening: Opening) -> tuple[list[bytes], list[V]]:
        """As `subscribe`; the answer comes once it is known which channels the pattern names."""
        text = patterns.texts[0]
        viewer = self._find(match=text)
        if viewer is not None and opening.since is None and _wanted(viewer) == opening.content_ids:
            return [self._subscribed(viewer)], []
        if viewer is None and text not in self._asked:
            self._check_room()
        self._asked = {**self._asked, text: opening}
        self.host.match(
            self,
            patterns,
            partial(self._matched, text),
            resumes=opening.since is not None,
            stats=opening.content_ids is not None,
        )
        return [], []

    def _matched(self, text: str, selection: Selection | None, error: StatushubError | None) -> None:
        if text not in self._asked:
            # It was unsubscribed meanwhile, or asked for twice.
            return
        opening = self._asked[text]
        self._forget(text)
        former = self._find(match=text)
        try:
            if selection is None:
                raise error or Invalid("match names no channels", field="match")
            if former is not None:
                self._drop(former)
            format = self.format.viewing(text, deltas=opening.deltas)
            viewer = self._joined(self.host.select(self, selection), format, opening)
        except StatushubError as refused:
            self.say([self._error(refused, match=text)], [])
        else:
            self.say([self._subscribed(viewer)], [viewer])

    def _unmatch(self, text: str) -> bytes:
        self._forget(text)
        viewer = self._find(match=text)
        if viewer is not None:
            self._drop(viewer)
        return self.format.control("unsubscribed", match=text, timestamp=timestamp())

    def _forget(self, text: str) -> None:
        """Look for the channels of a pattern no longer."""
        self._asked = {other: opening for other, opening in self._asked.items() if other != text}

    def _opened(self, channel: str, former: V | None, opening: Opening) -> V:
        """A viewer of the channel, in the place of the former one."""
        if former is None:
            self.identity.check_read(channel, "channel_id")
            self._check_room()
            self.host.check_filter(channel, opening.content_ids)
            scope: Channels | Selection = Channels((self.host.follow(self, channel),))
        else:
            self.host.check_filter(channel, opening.content_ids)
            scope = unfiltered(former.scope)
            self._take_out(former)
        return self._joined(scope, self.format.viewing(None, deltas=opening.deltas), opening)

    def _joined(self, scope: Channels | Selection, format: MessageFormat, opening: Opening) -> V:
        viewer = self._made(self.host.filtered(scope, opening.content_ids), format, opening)
        viewer.join()
        return viewer

    def _made(self, scope: Scope, format: MessageFormat, opening: Opening) -> V:
        viewer = self.view(scope, format, opening.since)
        self.viewers = (*self.viewers, viewer)
        viewer.opened()
        return viewer

    def _take_out(self, viewer: V) -> None:
        self.viewers = tuple([other for other in self.viewers if other is not viewer])
        _discard(viewer)

    def _check_room(self) -> None:
        if len(self.viewers) + len(self._asked) >= SOCKET_CHANNELS:
            raise Invalid(f"a socket has at most {SOCKET_CHANNELS} channels and patterns", field="channel_id")

    def _drop(self, viewer: V) -> None:
        """Follow it no longer, and count it out."""
        self._take_out(viewer)
        for channel in viewer.channels:
            self.host.unfollow(self, channel)
        for selection in viewer.selections:
            self.host.deselect(self, selection)

    def _subscribed(self, viewer: V) -> bytes:
        return self.format.control("subscribed", **viewer.scope.about, timestamp=timestamp(), cursor=_place(viewer))

    def _unsubscribe(self, channel: str) -> bytes:
        viewer = self._find(channel_id=channel)
        if viewer is not None:
            self._drop(viewer)
        return self.format.control("unsubscribed", channel_id=channel, timestamp=timestamp())

    def _find(self, **about: str) -> V | None:
        return next((viewer for viewer in self.viewers if viewer.scope.about == about), None)

    def _error(self, error: StatushubError, **more: str) -> bytes:
        self.host.counts.refuse(error)
        return self.format.control("error", code=error.code, message=error.message, **more)


def _opening(said: Subscribe) -> Opening:
    return Opening(Cursor.parse(said.since) if said.since else None, said.deltas, said.wanted())


def _wanted(viewer: Viewer) -> frozenset[str] | None:
    """The contents that it was opened for; None for all."""
    return viewer.scope.asked if isinstance(viewer.scope, Filtered) else None


def _discard(viewer: Viewer) -> None:
    viewer.leave()
    # A step of its catch-up may be scheduled.
    viewer.state = State.CLOSED


def _place(viewer: Viewer) -> str | None:
    """The cursor from which the channel would resume; None where nothing has been sent of it."""
    if viewer.epoch is None or viewer.epoch == VOID:
        return None
    offset = viewer.position if viewer.state is State.LIVE else viewer.offset
    return str(Cursor(epoch=viewer.epoch, offset=offset))
