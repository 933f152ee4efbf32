"""A broker whose announcements are lost on the way to the hub."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from statushub.hub.brokers import open_broker
from statushub.hub.brokers.contract import Broker, Listener
from statushub.hub.model.event import Announcement, Event


class Losing:
    """Passes on only the announcements that `keep` accepts."""

    def __init__(self, listener: Listener, keep: Callable[[Event], bool]) -> None:
        self.listener = listener
        self.keep = keep

    def announced(self, batch: Sequence[Announcement]) -> None:
        kept = [announcement for announcement in batch if self.keep(announcement.event)]
        self.listener.announced(kept)

    def lost(self) -> None:
        self.listener.lost()

    def restored(self) -> None:
        self.listener.restored()


def losing_broker(keep: Callable[[Event], bool]) -> Broker:
    """An embedded broker in memory whose hub receives only the announcements that `keep` accepts."""
    return losing(open_broker("memory:"), keep)


def losing(broker: Broker, keep: Callable[[Event], bool]) -> Broker:
    """The broker, whose hub receives only the announcements that `keep` accepts."""
    listen = broker.listen
    broker.listen = lambda listener: listen(Losing(listener, keep))  # type: ignore[method-assign]
    return broker
