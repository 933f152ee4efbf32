"""The open viewers of a hub."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from statushub.hub.metrics import Counts
from statushub.hub.replicas.encodings import Encodings
from statushub.hub.replicas.replica import Replica
from statushub.hub.replicas.scheduler import Scheduler
from statushub.hub.replicas.sync import Synchronizer
from statushub.hub.viewers.heartbeat import Heartbeat
from statushub.hub.viewers.quotas import ChannelQuota, StreamQuota
from statushub.hub.viewers.viewer import Host, Viewer


class Viewers:
    """Lets viewers in and out, and is their `Host`."""

    def __init__(
        self,
        synchronizer: Synchronizer,
        heartbeat: Heartbeat,
        streams: StreamQuota,
        channels: ChannelQuota,
        counts: Counts,
        drain_ms: tuple[int, int],
        scheduler: Scheduler,
        encodings: Encodings,
    ) -> None:
        self.counts = counts
        self.scheduler = scheduler
        self.encodings = encodings
        self.drain_ms = drain_ms
        self.draining = False
        self._synchronizer = synchronizer
        self._heartbeat = heartbeat
        self._streams = streams
        self._channels = channels

    def __len__(self) -> int:
        return len(self._streams)

    def __iter__(self) -> Iterator[Viewer]:
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

    def attach(self, viewer: Viewer) -> None:
        self._streams.take(viewer.identity, viewer.address)
        self._channels.take(viewer.identity, viewer.address, viewer.channels)
        viewer.join()
        self._heartbeat.add(viewer)

    def detach(self, viewer: Viewer) -> None:
        self._streams.leave(viewer.identity, viewer.address)
        self._channels.leave(viewer.identity, viewer.address, viewer.channels)
        viewer.leave()
        self._heartbeat.discard(viewer)

    def drain(self) -> None:
        """Close every viewer; those that come from now on are closed immediately."""
        self.draining = True
        for viewer in tuple(self):
            viewer.shutdown()


_fits: type[Host] = Viewers
