"""The contract of a broker, which stores and announces events. Each broker keeps all of it.

A tenant has one clock, a counter that every accepted publication advances, and an epoch, which names one
life of that clock. A channel is a compacted log: of each content only the latest event is kept. Contents
vanish `retention` seconds after their last event.

**Fence.** Each content has an open attempt and the last seq within it. A publication is evaluated in this order:

1. the content lives in another channel: refused, `wrong_channel`;
2. its attempt is lower than the content's: refused, `superseded`;
3. its attempt is higher: accepted, and the content is open again;
4. (same attempt, or none, which joins the content's) its seq equals the content's last one: it is a
   repeat, accepted with the cursor of the first time, neither stored nor announced again;
5. its seq is lower: refused, `superseded`;
6. the content's last event was terminal: refused, `closed`;
7. otherwise accepted. A publication without a seq leaves the content's seq unchanged.

The first event of a content is always accepted; without an attempt it opens attempt 1. A higher attempt
without a seq begins with none.

**Lease.** Each accepted event sets its content's lease anew: that many seconds from now, or none. Lease time
runs only while hubs sweep: where the last `expire` is more than `SWEEP_GAP` seconds ago, the broker or every
hub was away, and every lease is prolonged by the part of that time that had passed since it was set. Where the
last `expire` is in the future, the broker's clock was set back, and leases that were set before move with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Final, Protocol, Self

import msgspec

from statushub.hub.model.cursor import Cursor
from statushub.hub.model.event import Announcement, Event
from statushub.hub.model.publication import Publication
from statushub.hub.model.receipt import Receipt

SWEEP_GAP: Final = 5.0
"""Seconds between sweeps beyond which lease time stands still; hubs sweep every second."""

STALL_BATCH: Final = 1_000
"""Most contents one sweep of a tenant ends: bounds how long a sweep holds the broker."""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Events of a tenant, read in one moment; `cursor` is the tenant's clock at that moment."""

    cursor: Cursor
    events: list[Event]


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The latest event of each requested content, in the order of the request; None for an unknown one."""

    cursor: Cursor
    events: list[Event | None]


class Offsets(msgspec.Struct, frozen=True, kw_only=True):
    """The offset of the latest event of each requested channel, in the order of the request; 0 where there is none."""

    epoch: str
    offsets: list[int]


class Listener(Protocol):
    """Receives a broker's reports. Calls come on the event loop and must not block or raise."""

    def announced(self, batch: Sequence[Announcement]) -> None:
        """Announcements of subscribed channels, in the order of their tenant's clock."""

    def lost(self) -> None:
        """From now on announcements may be missing, until `restored`."""

    def restored(self) -> None:
        """Announcements of every subscribed channel flow again; some may have been missed."""


class Broker(Protocol):
    """Stores, fences and announces. An async context manager; only `listen` may be called outside it.

    Every method raises `BrokerUnavailable` when the broker cannot be reached or does not answer in time.
    """

    durable: bool
    """Whether accepted events survive the hub's process."""

    async def __aenter__(self) -> Self:
        """Open the broker. A server that is away is no error; a file that is in use is (`BrokerInUse`)."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close everything opened here. What was accepted stays accepted."""

    def listen(self, listener: Listener) -> None:
        """Report to `listener`. Called at most once, before the broker is entered.

        A broker without a listener (in a command line that publishes and exits) opens no subscription.
        """

    async def publish(
        self, tenant: str, publications: Sequence[Publication], *, retention: float | None = None
    ) -> list[Receipt]:
        """Fence, store and announce each publication, in order; each is atomic. `retention`, in seconds, replaces
        the broker's own.

        Returns a receipt each, in order, only once all that was accepted is stored durably (where `durable`)
        and announced. Repeating publications that have attempts and seqs is harmless.
        """

    async def subscribe(self, tenant: str, channel: str) -> None:
        """Announce this channel to the listener; returns only once announcements flow. Idempotent.

        The subscription outlives interruptions. Where it cannot be made now, `BrokerUnavailable` is raised, and it
        is made before the next `restored`.
        """

    async def unsubscribe(self, tenant: str, channel: str) -> None:
        """Stop announcing this channel. Idempotent; raises nothing when the broker is away."""

    async def changes(self, tenant: str, channel: str, since: Cursor | None = None) -> Snapshot:
        """The latest event of each of the channel's contents with an offset over `since`, in offset order.

        All of the channel where `since` is None, or of another epoch than the returned cursor. The result is
        complete: a content that changes during the read is not missing. An unknown channel has no events. Where the
        broker has a listener, every announcement up to the returned cursor has reached it before this returns, and
        `BrokerUnavailable` is raised while announcements are interrupted.
        """

    async def lookup(self, tenant: str, content_ids: Sequence[str]) -> Found:
        """The latest event of each content, in one atomic read and one round trip for the whole batch."""

    async def offsets(self, tenant: str, channels: Sequence[str]) -> Offsets:
        """The offset of each channel. As with `changes`, every announcement up to there has reached the listener
        before this returns, so that a listener with a lower offset has missed some.
        """

    async def expire(self, now: float | None = None) -> int:
        """End every content, of every tenant, whose lease ran out before `now` (Unix seconds; by default
        the broker's own clock) with `publication.stalled`, exactly once however many hubs sweep.

        Returns the number of contents that this call ended.
        """

    async def ping(self) -> None:
        """Return when the broker answers and, where there is a listener, announcements flow."""
