"""Filtered scopes: some contents of the channels that a reader names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from operator import attrgetter

from statushub.hub.model.event import Event
from statushub.hub.replicas.interests import Way, interests_of
from statushub.hub.replicas.replica import Write
from statushub.hub.replicas.scope import Channels, Scope, ScopeHost
from statushub.hub.replicas.selection import Selection
from statushub.hub.replicas.subscriber import Paced, Recipient, Subscriber
from statushub.hub.wire.format import WireFormat


class Filtered:
    """The contents with these ids, of the `whole` scope, whose clock, position and liveness are its own.

    What a reader is not told of, it has read: its cursor moves on with the clock. `asked` are the ids that its client
    named.
    """

    __slots__ = ("asked", "content_ids", "whole")

    def __init__(
        self, whole: Channels | Selection, content_ids: frozenset[str], *, asked: frozenset[str] | None = None
    ) -> None:
        self.whole = whole
        self.content_ids = content_ids
        self.asked = content_ids if asked is None else asked

    @property
    def channels(self) -> list[str]:
        return self.whole.channels

    @property
    def about(self) -> Mapping[str, str]:
        return self.whole.about

    @property
    def exceeded(self) -> tuple[str, int] | None:
        return self.whole.exceeded

    @property
    def epoch(self) -> str | None:
        return self.whole.epoch

    @property
    def position(self) -> int:
        return self.whole.position

    @property
    def floor(self) -> int:
        return self.whole.floor

    @property
    def has_removals(self) -> bool:
        return self.whole.has_removals

    @property
    def grows(self) -> bool:
        return self.whole.grows

    @property
    def spans_channels(self) -> bool:
        return self.whole.spans_channels

    def live(self, host: ScopeHost) -> bool:
        return self.whole.live(host)

    def readable(self, host: ScopeHost) -> bool:
        return self.whole.readable(host)

    def verify(self, host: ScopeHost) -> None:
        self.whole.verify(host)

    def expect(self, host: ScopeHost, epoch: str) -> bool:
        return self.whole.expect(host, epoch)

    def after(self, offset: int) -> Iterator[Event]:
        """These cost what the ids cost, however many contents there are."""
        found = [
            event
            for replica in self.whole.replicas
            if replica.changed > offset
            for content_id in self.content_ids
            if (event := replica.events.get(content_id)) is not None and event.offset > offset
        ]
        return iter(sorted(found, key=attrgetter("offset")))

    def join(self, subscriber: Subscriber, *, polls: bool) -> None:
        self.whole.join(subscriber, polls=False)
        if polls:
            for audience in self.whole.audiences:
                interests_of(audience).add(self.content_ids, subscriber, None)

    def leave(self, subscriber: Subscriber) -> None:
        self._forget(subscriber)
        self.whole.leave(subscriber)

    def add_writer(self, format: WireFormat, subscriber: Recipient, write: Write) -> None:
        for audience in self.whole.audiences:
            interests_of(audience).add(self.content_ids, subscriber, Way(subscriber, format, write))

    def remove_writer(self, format: WireFormat, subscriber: Recipient) -> None:
        self._forget(subscriber)

    def hold(self, viewer: Paced) -> None:
        self.whole.hold(viewer)

    def unhold(self, viewer: Paced) -> None:
        self.whole.unhold(viewer)

    def _forget(self, subscriber: Subscriber) -> None:
        for audience in self.whole.audiences:
            if audience.interests is not None:
                audience.interests.remove(self.content_ids, subscriber)
                if not audience.interests:
                    audience.interests = None


def unfiltered(scope: Scope) -> Channels | Selection:
    """The channels of a scope, with all of their contents."""
    whole = scope.whole if isinstance(scope, Filtered) else scope
    if not isinstance(whole, Channels | Selection):
        raise TypeError(f"{type(whole).__name__} is no scope of channels")
    return whole


_fits: type[Scope] = Filtered
