"""Scopes: what a reader reads. A fixed set of channels; or a selection, whose channels grow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Protocol

from statushub.hub.model.event import Event
from statushub.hub.replicas.interests import Interested
from statushub.hub.replicas.replica import Replica, Write, merged
from statushub.hub.replicas.subscriber import Paced, Recipient, Subscriber
from statushub.hub.wire.format import WireFormat

NOTHING: Final[Mapping[str, str]] = {}


class ScopeHost(Protocol):
    """What a scope needs of the hub."""

    def live(self, replicas: Sequence[Replica]) -> bool:
        """Whether announcements keep all of these true, on one epoch."""

    def readable(self, replicas: Sequence[Replica]) -> bool:
        """Whether these stand at one moment of the clock."""

    def verify(self, replica: Replica) -> None:
        """Find out whether cursors ahead of this replica are ahead of the clock, and void."""

    def expect(self, replica: Replica, epoch: str) -> bool:
        """Look for another epoch of the replica's clock than the known one; False where it is void."""


class Scope(Protocol):
    """Some channels of one tenant, at one place of its clock."""

    @property
    def channels(self) -> list[str]:
        """Their names."""

    @property
    def about(self) -> Mapping[str, str]:
        """The fields that name it in the messages of a socket."""

    @property
    def exceeded(self) -> tuple[str, int] | None:
        """A pattern that names more channels than can be followed, and how many can; None where all are followed."""

    @property
    def epoch(self) -> str | None:
        """That of the clock; None before anything is known of it."""

    @property
    def position(self) -> int:
        """How far the clock is known, for these channels."""

    @property
    def floor(self) -> int:
        """A cursor below it may have missed a removal."""

    @property
    def has_removals(self) -> bool:
        """Whether any event may be a tombstone."""

    @property
    def grows(self) -> bool:
        """Whether any content is kept in parts."""

    @property
    def spans_channels(self) -> bool:
        """Whether several channels share a reader's one cursor."""

    def live(self, host: ScopeHost) -> bool:
        """Whether announcements keep it true."""

    def readable(self, host: ScopeHost) -> bool:
        """Whether it stands at one moment of the clock."""

    def verify(self, host: ScopeHost) -> None:
        """Find out whether cursors ahead of it are ahead of the clock, and void."""

    def expect(self, host: ScopeHost, epoch: str) -> bool:
        """Look for another epoch than the known one; False where it is void."""

    def after(self, offset: int) -> Iterator[Event]:
        """The events with a greater offset, in offset order; they cost what is read of them."""

    def join(self, subscriber: Subscriber, *, polls: bool) -> None:
        """Tell this subscriber what happens; with each event, where it `polls`."""

    def leave(self, subscriber: Subscriber) -> None:
        """Undo `join`."""

    def add_writer(self, format: WireFormat, subscriber: Recipient, write: Write) -> None:
        """Write each event in `format` to this subscriber as it is applied."""

    def remove_writer(self, format: WireFormat, subscriber: Recipient) -> None:
        """Undo `add_writer`."""

    def hold(self, viewer: Paced) -> None:
        """Release this viewer when something ends."""

    def unhold(self, viewer: Paced) -> None:
        """Undo `hold`."""


class Channels(tuple[Replica, ...]):
    """A fixed set of channels, at least one."""

    __slots__ = ()

    @property
    def replicas(self) -> Sequence[Replica]:
        """Each of them."""
        return self

    @property
    def audiences(self) -> Sequence[Interested]:
        """Those whose events reach its readers: each of them."""
        return self

    @property
    def channels(self) -> list[str]:
        return [replica.channel for replica in self]

    @property
    def about(self) -> Mapping[str, str]:
        return {"channel_id": self[0].channel} if len(self) == 1 else NOTHING

    @property
    def exceeded(self) -> None:
        return None

    @property
    def epoch(self) -> str | None:
        return self[0].epoch

    # Most scopes are one channel, and each viewer that comes asks these several times.

    @property
    def position(self) -> int:
        return self[0].last if len(self) == 1 else max(replica.last for replica in self)

    @property
    def floor(self) -> int:
        return self[0].floor if len(self) == 1 else max(replica.floor for replica in self)

    @property
    def has_removals(self) -> bool:
        return self[0].has_removals if len(self) == 1 else any(replica.has_removals for replica in self)

    @property
    def grows(self) -> bool:
        return self[0].growing > 0 if len(self) == 1 else any(replica.growing for replica in self)

    @property
    def spans_channels(self) -> bool:
        return len(self) > 1

    def live(self, host: ScopeHost) -> bool:
        return host.live(self)

    def readable(self, host: ScopeHost) -> bool:
        return host.readable(self)

    def verify(self, host: ScopeHost) -> None:
        host.verify(self[0])

    def expect(self, host: ScopeHost, epoch: str) -> bool:
        return host.expect(self[0], epoch)

    def after(self, offset: int) -> Iterator[Event]:
        return merged(self, offset)

    def join(self, subscriber: Subscriber, *, polls: bool) -> None:
        for replica in self:
            replica.subscribers.add(subscriber)
            if polls:
                replica.pollers.add(subscriber)

    def leave(self, subscriber: Subscriber) -> None:
        for replica in self:
            replica.remove(subscriber)

    def add_writer(self, format: WireFormat, subscriber: Recipient, write: Write) -> None:
        for replica in self:
            replica.add_writer(format, subscriber, write)

    def remove_writer(self, format: WireFormat, subscriber: Recipient) -> None:
        for replica in self:
            replica.remove_writer(format, subscriber)

    def hold(self, viewer: Paced) -> None:
        for replica in self:
            replica.held.add(viewer)

    def unhold(self, viewer: Paced) -> None:
        for replica in self:
            replica.held.discard(viewer)


_fits: type[Scope] = Channels
