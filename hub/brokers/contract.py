"""The contract of a broker, which stores and announces events. Each broker keeps all of it.

A tenant has one clock: a counter that every accepted publication advances, and an epoch, which names one life of that
clock. Epochs are ordered by their length, then as text, and a later life has a later epoch. A clock that begins where
none was begins above every offset that was ever used. A channel is a compacted log: of each content only the latest
event is kept.

**Fence.** Each content has an open attempt, the last seq within it, and the run that opened it, if it was named. A
publication is evaluated in this order:

1. the content lives in another channel: refused, `wrong_channel`;
2. it names a run that is not the content's: where that is one of its last `FORMER_RUNS` former runs, or began no later
   than the content's run (with `restart`: earlier), it is refused, `superseded`; otherwise it is accepted, and opens
   the next attempt. A run began `age_ms` before the publication comes, by the broker's clock, which never goes back
   for this;
3. it names no run, and its attempt is lower than the content's: refused, `superseded`;
4. it names no run, and its attempt is higher: accepted, and the content is open again;
5. (the content's run or attempt, or neither, which joins what is open) its seq equals the content's last one: it is a
   repeat, accepted with the cursor of the first time, neither stored nor announced again;
6. its seq is lower: refused, `superseded`;
7. the content's last event was terminal: refused, `closed`; but with `restart` the run opens the next attempt;
8. otherwise accepted. A publication without a seq leaves the content's seq unchanged.

The first event of a content is accepted by the fence; without an attempt it opens attempt 1. A higher attempt without a
seq begins with none.

**Deltas.** A publication with a delta says what changed in the open attempt, and is fenced as others are. It is refused
where these would accept it as the first of a content, `unknown`, and, `gap`, where it would open an attempt, where the
content is not processed, or where the content's last seq is not the one that it follows. So a text never has holes. The
state of a content is its last whole event with what all deltas have made of it since, and it is what every read and
every ending has, with the type of that event; deltas cost no read, and storing one does not depend on how far the
content has grown. A delta is announced as what it is, an event of the type `content_delta`; all other announcements
have the whole state.

A whole event replaces the data and all that deltas have set. Of the fields that they have appended to in its attempt,
it replaces those that it names, and leaves the others as they are. What deltas set and append is at most `GROWN_BYTES`
a content, `GROWN_ITEMS` a list, and `GROWN_FIELDS` fields each; more is refused, `too_large`. It counts towards the
limits of the tenant.

**Limits.** What would make a tenant or a channel exceed its `StorageLimits` is refused, `quota_exceeded`, but for the
ending of a known content. Limits, retention and default lease that a hub's broker has been opened with also hold for
publishers that name none.

**Retention.** A content is removed when `retention` seconds have passed since its last event, by a sweep. Its place is
taken by a tombstone, an event of the type `content_removed`, which is announced and read like any other, and counts
as unknown for `publish`. Tombstones are kept for `TOMBSTONE_SECONDS`; the channel's *floor* is the offset of the
latest one that was forgotten, and what lies below it may have missed a removal.

**Removal on request.** A content can also be removed before that, with the same tombstone. It then keeps, for as long
as its tombstone, its attempt, seq, run and former runs, and when it was removed. Until it begins anew, in any channel,
a publication is evaluated in this order:

1. it names the content's run or a former one: refused, `removed`; but with `restart`, where it began after the removal,
   accepted;
2. it names another run, which began no later than the removal (with `restart`: earlier): refused, `removed`;
3. it names no run, and its attempt is the content's or a lower one: refused, `removed`;
4. it names neither run nor attempt, and its seq is the content's or a lower one: refused, `removed`;
5. otherwise it is accepted. It opens the next attempt, or the higher one that it names, and the runs from before the
   removal are former runs of the content.

A publication with neither run, attempt nor seq cannot be told from a new one: it begins the content anew. A content
whose retention has ended keeps nothing, and refuses nothing.

**Cancel.** A request to cancel is kept beside the data of a content until its attempt ends or another one opens. The
first one stands. It advances the clock and is announced as an event of the content's last type, and every state of the
content has it as `cancel_requested`, also those of events that are published later. Neither fence, seq, lease nor
retention change with it. Where the attempt has not ended min(lease, `CANCEL_LEASE`) + `CANCEL_GRACE` seconds of lease
time after the request, a sweep ends it with `publication.cancelled`, even if events still come; a content without a
lease has `CANCEL_LEASE`.

**Lease.** Each accepted event that is processed sets its content's lease anew: that many seconds from now, or none (0).
One that names no lease gets the default lease with which a hub's broker has been opened, straight publishers included.
Lease time runs only while hubs sweep: where the last sweep is more than `SWEEP_GAP` seconds ago, the broker or every
hub was away, and where it is in the future, the broker's clock was set back; either time does not count. A lease that
was set within the first `SWEEP_GAP` of such a gap may end later by as much.

**Index.** A tenant's channels are listed with the offset and time of their latest event and their contents by phase,
which every call that changes a content keeps with it. A channel whose last content was removed stays, without
contents, as long as it has a tombstone, which is its latest event.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Final, Protocol, Self

import msgspec

from statushub.hub.model.cancel import CancelRequest
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.event import Announcement, Event
from statushub.hub.model.limits import PublishRate
from statushub.hub.model.publication import Publication
from statushub.hub.model.receipt import CancelReceipt, Receipt

SWEEP_GAP: Final = 5.0
"""Seconds between sweeps beyond which lease time stands still; hubs sweep every second."""

STALL_BATCH: Final = 1_000
"""Most contents one sweep of a tenant ends, and most it removes: bounds how long a sweep holds the broker."""

TOMBSTONE_SECONDS: Final = 24 * 3600.0
"""How long a tombstone is kept: a page that was closed for longer is reset when it comes back."""

CANCEL_LEASE: Final = 60.0
"""Seconds that a worker has to see a request to cancel, or its lease where that is shorter."""

CANCEL_GRACE: Final = 10.0
"""Further seconds, in which it cleans up."""

LISTED_CANCELS: Final = 1_000
"""Most requests of a tenant that are read together, those with the latest deadlines: a few milliseconds of the broker.
Workers learn of any other by their receipts."""

REMOVE_BATCH: Final = 100
"""Contents that one step removes on request: a few milliseconds of the broker's time."""

FORMER_RUNS: Final = 8
"""Former runs of a content that are known: late reports of more than eight retries ago no longer come."""


FOLLOW_SECONDS: Final = 30.0
"""How long a tenant is followed after `follow` was called last: a hub that was stopped for less misses nothing, and one
that died makes its tenants' publications dearer for no longer."""

PAGE_CHANNELS: Final = 1_000
"""Most channels of one page of the index, and most whose offsets are looked at for it: a few milliseconds of the
broker's time."""


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


class ChannelEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A channel in the index: the offset of its latest event and when that came, in Unix seconds, and how many contents
    it has in each phase; all of one moment.

    Of a channel that was taken over from a former version it is the time of that; 0 where it is not known.
    """

    channel: str
    offset: int
    updated_at: float
    pending: int
    processing: int
    completed: int
    failed: int
    idle: int


class ChannelPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the index. `cursor` is the tenant's clock before it was read: no channel with an event up to there is
    missing from it. `next` is that after which the next page begins, None where this is the last one."""

    cursor: Cursor
    entries: list[ChannelEntry]
    next: str | None


class Removal(msgspec.Struct, frozen=True, kw_only=True):
    """The contents that were removed. `cursor` is that of the last tombstone, or the tenant's clock where nothing was
    removed."""

    cursor: Cursor
    removed: list[str]


class Cancel(msgspec.Struct, frozen=True, kw_only=True):
    """A request to cancel an attempt that is in force; `offset` is where it is on the clock."""

    channel: str
    content_id: str
    attempt: int
    offset: int
    request: CancelRequest


class Cancels(msgspec.Struct, frozen=True, kw_only=True):
    """Requests that are in force, in no order; those that are not there yet will have offsets over `cursor`."""

    cursor: Cursor
    cancels: list[Cancel]


class Endings(msgspec.Struct, kw_only=True):
    """How many contents a broker's sweeps have ended: because their lease ran out, and because their workers did not
    heed a request to cancel."""

    stalled: int = 0
    cancelled: int = 0


class Listener(Protocol):
    """Receives a broker's reports. Calls come on the event loop and must not block or raise."""

    def announced(self, batch: Sequence[Announcement]) -> None:
        """Announcements of subscribed channels and followed tenants, in the order of their tenant's clock."""

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

    shared: bool
    """Whether other hubs may serve the same state. Otherwise this hub is the only one."""

    moves: bool
    """Whether a tenant may move to another server, which announces its events before the listener hears of it."""

    skipped: int
    """How many times a row was skipped because it is not of this program."""

    endings: Endings
    """What the sweeps of this process have ended."""

    commands_max: int
    """How many commands the broker executes, or is sent, together; more wait for one of them."""

    @property
    def commands(self) -> int:
        """How many commands are executed now, or wait."""

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

    async def follow(self, tenant: str) -> Offsets:
        """Announce every channel of the tenant to the listener, those that come into being later included, each with
        `before` and `floor`; returns only once announcements flow. Idempotent.

        Returns what `offsets` does for no channel, and every announcement up to its cursor has reached the listener
        before. Events may go unannounced where it was not called for `FOLLOW_SECONDS`, or the store has lost its data;
        that shows in the next one's `before`, or in what this returns. It outlives interruptions as subscriptions do,
        but has to be called again after each. Channels may be subscribed meanwhile: around the calls an event of theirs
        can be announced twice, never out of order.
        """

    async def unfollow(self, tenant: str) -> None:
        """Undo `follow`; subscribed channels of the tenant stay so, without a gap. Idempotent; raises nothing when the
        broker is away."""

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

    async def channels(
        self,
        tenant: str,
        *,
        prefix: str = "",
        by_name: bool = False,
        after: str | None = None,
        since: int = 0,
        limit: int,
    ) -> ChannelPage:
        """A page of the index: up to `limit` channels with a latest event over the offset `since`.

        The latest first, by offset; or, with a `prefix` that their names have or with `by_name`, by name, in the order
        of code points. `after` is the `next` of the page before, in the same order; raises `Invalid` naming `after`
        where it is not. A page has at most `PAGE_CHANNELS`, and may have less than `limit`, or none, while `next` is
        not None: `next` alone tells whether more follow.

        Pages by name, up to one without a `next`, list each channel that is there throughout exactly once. Pages of
        the latest list a channel at most once; one that has an event after the first page was read may be missing from
        all of them, and then its offset is over that page's cursor, so that `since` this cursor lists it.
        """

    async def remove(self, tenant: str, channel: str, content_ids: Sequence[str] | None = None) -> Removal:
        """Remove these contents of the channel, each atomically, and announce their tombstones; None removes all that
        are there when the call comes. What is unknown, was removed already or lives in another channel is left alone.

        More than `REMOVE_BATCH` are removed in steps, between which the broker serves others. Where a step fails,
        those before it have removed what they have; repeating the call is harmless.
        """

    async def cancel(self, tenant: str, channel: str, content_id: str, request: CancelRequest) -> CancelReceipt:
        """Ask for the content's open attempt to be cancelled, and announce it; atomic. Repeating it is harmless."""

    async def cancels(self, tenant: str) -> Cancels:
        """The requests that are in force, at most `LISTED_CANCELS`."""

    async def tenants(self) -> list[str]:
        """Every tenant that stores something, those of the hubs themselves included, in no order."""

    async def expire(self, now: float | None = None) -> int:
        """Sweep: end every content, of every tenant, whose lease ran out before `now` (Unix seconds; by default the
        broker's own clock) with `publication.stalled`, and those that were to be cancelled by then, exactly once
        however many hubs sweep, and remove those whose retention has ended.

        Returns the number of contents that this call ended; each call ends at most `STALL_BATCH` of a tenant.
        """

    async def ping(self) -> None:
        """Return when the broker answers and, where there is a listener, announcements flow."""
