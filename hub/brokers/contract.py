"""The contract of a broker, which stores and announces events. Each broker keeps all of it.

A tenant has one clock: a counter that every accepted publication advances, and an epoch, which names one life of that
clock. Epochs are ordered by their length, then as text, and a later life has a later epoch. A clock that begins where
none was begins above every offset that was ever used. A channel is a compacted log: of each content only the latest
event is kept.

**Fence.** Each content has an open attempt, the last seq within it, and the run that opened it, if it was named. A
publication is evaluated in this order:

1. the content lives in another channel: refused, `wrong_channel`;
2. it names a run that is not the content's: where that is one of its last `FORMER_RUNS` former runs, or began no later
   than the content's run, it is refused, `superseded`; otherwise it is accepted, and opens the next attempt. A run
   began `age_ms` before the publication comes, by the broker's clock, which never goes back for this;
3. it names no run, and its attempt is lower than the content's: refused, `superseded`;
4. it names no run, and its attempt is higher: accepted, and the content is open again;
5. (the content's run or attempt, or neither, which joins what is open) its seq equals the content's last one: it is a
   repeat, accepted with the cursor of the first time, neither stored nor announced again;
6. its seq is lower: refused, `superseded`;
7. the content's last event was terminal: refused, `closed`; but with `restart` the run opens the next attempt;
8. otherwise accepted. A publication without a seq leaves the content's seq unchanged.

The first event of a content is accepted by the fence; without an attempt it opens attempt 1. A higher attempt without a
seq begins with none.

**Limits.** What would make a tenant or a channel exceed its `StorageLimits` is refused, `quota_exceeded`, but for the
ending of a known content. Limits and retention that a hub's broker has been opened with also hold for publishers that
name none.

**Retention.** A content is removed when `retention` seconds have passed since its last event, by a sweep. Its place is
taken by a tombstone, an event of the type `content_removed`, which is announced and read like any other, and counts
as unknown for `publish`. Tombstones are kept for `TOMBSTONE_SECONDS`; the channel's *floor* is the offset of the
latest one that was forgotten, and what lies below it may have missed a removal.

**Lease.** Each accepted event that is processed sets its content's lease anew: that many seconds from now, or none.
Lease time runs only while hubs sweep: where the last sweep is more than `SWEEP_GAP` seconds ago, the broker or every
hub was away, and where it is in the future, the broker's clock was set back; either time does not count. A lease that
was set within the first `SWEEP_GAP` of such a gap may end later by as much.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Final, Protocol, Self

import msgspec

from statushub.hub.model.cursor import Cursor
from statushub.hub.model.event import Announcement, Event
from statushub.hub.model.limits import PublishRate
from statushub.hub.model.publication import Publication
from statushub.hub.model.receipt import Receipt

SWEEP_GAP: Final = 5.0
"""Seconds between sweeps beyond which lease time stands still; hubs sweep every second."""

STALL_BATCH: Final = 1_000
"""Most contents one sweep of a tenant ends, and most it removes: bounds how long a sweep holds the broker."""

TOMBSTONE_SECONDS: Final = 24 * 3600.0
"""How long a tombstone is kept: a page that was closed for longer is reset when it comes back."""

FORMER_RUNS: Final = 8
"""Former runs of a content that are known: late reports of more than eight retries ago no longer come."""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Events of a channel, read in one moment; `cursor` is the tenant's clock at that moment, `floor` the channel's.

    `whole` tells that they are not only what came after the requested cursor, which was void.
    """

    cursor: Cursor
    events: list[Event]
    floor: int = 0
    whole: bool = False


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The latest event of each requested content, which may be a tombstone, in the order of the request; None for an
    unknown one. `cursor` is the tenant's clock."""

    cursor: Cursor
    events: list[Event | None]


class Offsets(msgspec.Struct, frozen=True, kw_only=True):
    """The offset of the latest event of each requested channel, in the order of the request; 0 where the channel is
    empty. `cursor` is the tenant's clock before the first of them was read, and `floor` that of every empty channel."""

    cursor: Cursor
    offsets: list[int]
    floor: int


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

    moves: bool
    """Whether a tenant may move to another server, which announces its events before the listener hears of it."""

    skipped: int
    """How many times a row was skipped because it is not of this program."""

    @property
    def trouble(self) -> str | None:
        """What an operator must change, lest accepted events be lost; None where all is well."""

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
        self,
        tenant: str,
        publications: Sequence[Publication],
        *,
        retention: float | None = None,
        rate: PublishRate | None = None,
    ) -> list[Receipt]:
        """Fence, store and announce each publication, in order; each is atomic. `retention`, in seconds, replaces
        the broker's own. `rate` is that of the publisher, over all hubs.

        Returns a receipt each, in order, only once all that was accepted is stored durably (where `durable`)
        and announced. Repeating publications that have seqs, and attempts or runs, is harmless. Raises
        `TooManyRequests`, and then has stored nothing or, of many publications, the first ones.
        """

    async def subscribe(self, tenant: str, channels: Sequence[str]) -> None:
        """Announce these channels to the listener; returns only once announcements flow. Idempotent.

        The subscription outlives interruptions. Where it cannot be made now, `BrokerUnavailable` is raised, and it
        is made before the next `restored`. Many channels cost few round trips.
        """

    async def unsubscribe(self, tenant: str, channels: Sequence[str]) -> None:
        """Stop announcing these channels. Idempotent; raises nothing when the broker is away."""

    async def changes(self, tenant: str, channel: str, since: Cursor | None = None) -> Snapshot:
        """The latest event of each of the channel's contents with an offset over `since`, in offset order.

        All of the channel where `since` is None, of another epoch than the returned cursor, or below the floor. The
        result is complete: a content that changes during the read is not missing. An unknown channel has no events.
        Where the broker has a listener, every announcement up to the returned cursor has reached it before this
        returns, and `BrokerUnavailable` is raised while announcements are interrupted.
        """

    async def lookup(self, tenant: str, content_ids: Sequence[str]) -> Found:
        """The latest event of each content, which may be a tombstone, in one atomic read and one round trip."""

    async def offsets(self, tenant: str, channels: Sequence[str]) -> Offsets:
        """The offset of each channel. As with `changes`, every announcement up to there has reached the listener
        before this returns, so that a listener with a lower offset has missed some. A channel that is subscribed has no
        event between its offset and the returned cursor that is not announced.
        """

    async def expire(self, now: float | None = None) -> int:
        """Sweep: end every content, of every tenant, whose lease ran out before `now` (Unix seconds; by default the
        broker's own clock) with `publication.stalled`, exactly once however many hubs sweep, and remove those whose
        retention has ended.

        Returns the number of contents whose lease this call ended; each call ends at most `STALL_BATCH` of a tenant.
        """

    async def ping(self) -> None:
        """Return when the broker answers and, where there is a listener, announcements flow."""
