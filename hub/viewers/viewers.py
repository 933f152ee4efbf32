"""The open sessions of a hub."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from statushub.hub.auth.patterns import Patterns
from statushub.hub.metrics import Counts
from statushub.hub.model.errors import Invalid, StatushubError, TooManyRequests
from statushub.hub.model.feed_names import FEED_CHANNEL, stats_id
from statushub.hub.replicas.directories import Directories
from statushub.hub.replicas.encodings import Encodings
from statushub.hub.replicas.filtered import Filtered
from statushub.hub.replicas.loader import Start
from statushub.hub.replicas.replica import Replica
from statushub.hub.replicas.scheduler import Scheduler
from statushub.hub.replicas.scope import Channels, Scope
from statushub.hub.replicas.selection import Selection
from statushub.hub.replicas.sync import Synchronizer
from statushub.hub.viewers.attempts import Attempts
from statushub.hub.viewers.heartbeat import Heartbeat
from statushub.hub.viewers.quotas import ChannelQuota, StreamQuota
from statushub.hub.viewers.session import Host, Session, Then

FULL_SECONDS: Final = 10.0
"""When a client that was refused may come back: others have left by then, and idle replicas were evicted."""

DRAIN_MS: Final = (500, 4_000)
"""Least and most milliseconds before a viewer of a stopping hub reconnects: all of its viewers are closed
simultaneously, and a restart takes a few seconds."""

RETURNS_PER_SECOND: Final = 2_500
"""Viewers of a stopping hub that come back in a second where they are many: the other hubs open as many streams, and
go on delivering to those that they have."""


class Viewers:
    """Lets sessions in and out, and is their `Host`."""

    def __init__(
        self,
        synchronizer: Synchronizer,
        directories: Directories,
        start: Start,
        heartbeat: Heartbeat,
        streams: StreamQuota,
        channels: ChannelQuota,
        counts: Counts,
        scheduler: Scheduler,
        encodings: Encodings,
        *,
        grace: float,
        alone: bool,
        feeds: bool = False,
    ) -> None:
        """`grace` are the seconds in which a stopping hub ends; `alone` tells that no other hub takes its viewers;
        `feeds` that the counters of videos are announced here."""
        self.counts = counts
        self.attempts = Attempts(counts.live_attempts)
        self.scheduler = scheduler
        self.encodings = encodings
        self.drain_ms = DRAIN_MS
        self.draining = False
        self._grace = grace
        self._alone = alone
        self._feeds = feeds
        self._synchronizer = synchronizer
        self._directories = directories
        self._start = start
        self._heartbeat = heartbeat
        self._streams = streams
        self._channels = channels

    def __len__(self) -> int:
        return len(self._streams)

    def __iter__(self) -> Iterator[Session]:
        return iter(self._heartbeat)

    @property
    def heartbeat_interval(self) -> float:
        return self._heartbeat.interval

    def live(self, replicas: Sequence[Replica]) -> bool:
        return self._synchronizer.live(replicas)

    def readable(self, replicas: Sequence[Replica]) -> bool:
        return self._synchronizer.readable(replicas)

    def verify(self, replica: Replica) -> None:
        self._synchronizer.verify(replica)

    def expect(self, replica: Replica, epoch: str) -> bool:
        return self._synchronizer.expect(replica, epoch)

    def attach(self, session: Session, *, lasting: bool = True) -> None:
        self._streams.take(session.identity, session.address)
        self._channels.take(session.identity, session.address, session.channels)
        for selection in session.selections:
            self._channels.select(session.identity, session.address, selection)
        session.join()
        self._heartbeat.add(session)
        if lasting:
            self.attempts.began(session)

    def detach(self, session: Session) -> None:
        self._streams.leave(session.identity, session.address)
        self._channels.leave(session.identity, session.address, session.channels)
        for selection in session.selections:
            self._channels.deselect(session.identity, session.address, selection)
        session.leave()
        self._heartbeat.discard(session)
        self.attempts.ended(session)

    def follow(self, session: Session, channel: str) -> Replica:
        identity, address = session.identity, session.address
        if limit := self._channels.full(identity, address, (channel,)):
            raise TooManyRequests("too many channels are followed at this hub", retry_after=FULL_SECONDS, limit=limit)
        self._channels.take(identity, address, (channel,))
        return self._synchronizer.obtain(identity.tenant, channel)

    def unfollow(self, session: Session, channel: str) -> None:
        self._channels.leave(session.identity, session.address, (channel,))

    def match(self, session: Session, patterns: Patterns, then: Then, *, resumes: bool, stats: bool) -> None:
        self._start(self._match, session, patterns, then, resumes, stats or not self._feeds)

    async def _match(self, session: Session, patterns: Patterns, then: Then, resumes: bool, stats: bool) -> None:
        try:
            selection = await self._directories.select(session.identity, patterns, resumes=resumes, stats=stats)
        except StatushubError as error:
            then(None, error)
        else:
            then(selection, None)

    def select(self, session: Session, selection: Selection) -> Selection:
        identity, address = session.identity, session.address
        if limit := self._channels.full_with(identity, address, selection):
            raise TooManyRequests("too many channels are followed at this hub", retry_after=FULL_SECONDS, limit=limit)
        selection = self._directories.current(identity, selection)
        self._channels.select(identity, address, selection)
        return selection

    def filtered(self, scope: Channels | Selection, content_ids: frozenset[str] | None) -> Scope:
        if content_ids is None:
            return scope
        wanted = content_ids
        if self._feeds and _names_stats(scope):
            # A page names videos; their counters are contents of their own.
            wanted = content_ids | {stats_id(video) for video in content_ids}
        return Filtered(scope, wanted, asked=content_ids)

    def check_filter(self, channel: str, content_ids: frozenset[str] | None) -> None:
        if self._feeds and channel == FEED_CHANNEL and content_ids is None:
            raise Invalid(
                f"{FEED_CHANNEL} has the counters of all videos: name those that are shown by content_id",
                field="content_id",
            )

    def deselect(self, session: Session, selection: Selection) -> None:
        self._channels.deselect(session.identity, session.address, selection)

    def drain(self) -> None:
        """Close every session; those that come from now on are closed immediately."""
        if not self.draining:
            self.drain_ms = self._drain_ms()
        self.draining = True
        for session in tuple(self):
            session.shutdown()

    def _drain_ms(self) -> tuple[int, int]:
        """When its viewers come back: within the grace period, and soon where this hub is the only one, since it will
        be up again; else they are spread for the others, the longer the more they are."""
        least, most = DRAIN_MS
        spread = 0 if self._alone else round(1000 * len(self) / RETURNS_PER_SECOND)
        return least, max(least, min(round(1000 * self._grace), max(most, spread)))


def _names_stats(scope: Channels | Selection) -> bool:
    if isinstance(scope, Selection):
        return scope.criteria.patterns.match(FEED_CHANNEL)
    return FEED_CHANNEL in scope.channels


_fits: type[Host] = Viewers
