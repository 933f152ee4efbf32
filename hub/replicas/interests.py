"""Interests: who is told of some contents only. Those who read everything pay nothing for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

from statushub.hub.model.event import Event
from statushub.hub.replicas.subscriber import Recipient, Subscriber
from statushub.hub.wire.format import WireFormat


class Way(NamedTuple):
    """How a subscriber is written to."""

    recipient: Recipient
    format: WireFormat
    write: Callable[[bytes], None]


class Interests:
    """Subscribers by the contents that they read; each has a way, or none where it is told to catch up."""

    __slots__ = ("_told",)

    def __init__(self) -> None:
        self._told: dict[str, dict[Subscriber, Way | None]] = {}

    def __bool__(self) -> bool:
        return bool(self._told)

    def add(self, content_ids: Iterable[str], subscriber: Subscriber, way: Way | None) -> None:
        """Tell the subscriber of these contents."""
        for content_id in content_ids:
            self._told.setdefault(content_id, {})[subscriber] = way

    def remove(self, content_ids: Iterable[str], subscriber: Subscriber) -> None:
        """Undo `add`."""
        for content_id in content_ids:
            told = self._told.get(content_id)
            if told is not None:
                told.pop(subscriber, None)
                if not told:
                    del self._told[content_id]

    def find(self, events: Sequence[Event]) -> dict[Subscriber, tuple[Way | None, list[Event]]]:
        """Who is told of which of these events."""
        found: dict[Subscriber, tuple[Way | None, list[Event]]] = {}
        for event in events:
            for subscriber, way in self._told.get(event.content_id, _NONE).items():
                found.setdefault(subscriber, (way, []))[1].append(event)
        return found

    def recipients(self) -> list[Recipient]:
        """All that are written to."""
        ways = {way.recipient: None for told in self._told.values() for way in told.values() if way is not None}
        return [*ways]


class Interested(Protocol):
    """Has interests, where a subscriber reads only some of its contents."""

    interests: Interests | None


def interests_of(audience: Interested) -> Interests:
    """Its interests, to be added to."""
    if audience.interests is None:
        audience.interests = Interests()
    return audience.interests


_NONE: dict[Subscriber, Way | None] = {}
