"""The bridge: publishes what video workers write into their keys, so that old workers appear on the streams.

Ids of videos whose keys may have changed wait in one set; each round compares their keys with the hub's state, and
publishes what differs (`bridged`). So it does not matter why an id is there, how often, or at how many hubs.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Protocol

import anyio

from statushub.hub.brokers.contract import Found
from statushub.hub.model.backoff import Backoff
from statushub.hub.model.errors import BrokerUnavailable, Invalid
from statushub.hub.model.publication import Publication
from statushub.hub.model.receipt import Receipt, Refusal
from statushub.hub.model.video_keys import VideoKey
from statushub.hub.model.video_tenants import VideoTenants
from statushub.hub.sources.bridged import bridged
from statushub.hub.sources.contract import Record, SourceUnavailable

ROUND_SECONDS: Final = 0.1
"""Between rounds: of many changes of a video in this time the last is published, as by the SDK."""

ROUND_IDS: Final = 500
"""Most videos of one round: their keys are a few milliseconds of Redis' time."""

PENDING_MAX: Final = 10_000
"""Videos that wait for a round. Of what changes beyond that, the next scan finds what has not ended."""

SCAN_PENDING: Final = 1_000
"""Videos that wait beyond which a scan stands still."""

POLL_SECONDS: Final = 1.0
"""Between reads of a video that is under way, where there are no notifications."""

SLOW_POLL_SECONDS: Final = 10.0
"""The same of one that has no keys, or has ended and may be encoded again, unless pages ask for it."""

WATCHED_MAX: Final = 10_000
"""Videos that are read so, those that were asked for or changed last: 10,000 a second at most."""

WATCH_SECONDS: Final = 3_600.0
"""For how long a video is read that is not under way, and that no page asks for."""

FIRST_PAUSE_SECONDS: Final = 0.2
LONGEST_PAUSE_SECONDS: Final = 5.0
"""The first and the longest pause while the hub's broker, or the Redis of the keys, is away."""

AGAIN: Final = frozenset({Refusal.CLOSED, Refusal.SUPERSEDED})
"""Refusals that say that another hub, or a producer, was faster: the next round sees what is there."""

logger = logging.getLogger(__name__)


class Keys(Protocol):
    """The keys, as `RedisKeys` reads them."""

    channel: str
    tenants: VideoTenants

    async def find(self, tenant: str, content_ids: Sequence[str]) -> list[Record | None]:
        """As `Source.find`."""


class Target(Protocol):
    """Where the bridge publishes, and what is there: a broker, or another process's hub."""

    async def lookup(self, tenant: str, content_ids: Sequence[str]) -> Found:
        """As `Broker.lookup`."""

    async def publish(self, tenant: str, publications: Sequence[Publication]) -> list[Receipt]:
        """As `Broker.publish`."""


class Follower(Protocol):
    """Tells which keys may have changed."""

    notified: bool
    """Whether every change is told. Otherwise, videos that are under way have to be read regularly."""

    async def run(self, changed: Callable[[VideoKey], None], bridge: Scanned) -> None:
        """Call `changed` for each key that changes, and `bridge.scanned` for keys that exist, until cancelled."""

    def rescan(self) -> None:
        """Look for all keys that exist, soon: changes were missed."""


class Scanned(Protocol):
    """Takes the keys that a scan finds."""

    async def scanned(self, keys: Iterable[VideoKey]) -> None:
        """Take these; returns when there is room for more."""


class Watched:
    """A video that is read regularly, slowly where it is not under way. `known` tells that its keys were read before,
    so that what is new has changed."""

    __slots__ = ("due", "known", "slow", "until")

    def __init__(self, now: float) -> None:
        self.due = now + POLL_SECONDS
        self.until = now + WATCH_SECONDS
        self.known = self.slow = False


Video = tuple[str, str]
"""A tenant, and an id."""


class Bridge:
    """Publishes what changes in the keys, by itself where several hubs do the same."""

    published: int
    """Publications that were accepted."""

    def __init__(self, keys: Keys, target: Target, follower: Follower) -> None:
        self.published = 0
        self._keys = keys
        self._target = target
        self._follower = follower
        # With whether the keys were seen to change.
        self._pending: dict[Video, bool] = {}
        self._watched: OrderedDict[Video, Watched] = OrderedDict()
        self._wake = anyio.Event()
        self._room = anyio.Event()
        self._backoff = Backoff(FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
        self._away = False
        self._warned: set[str] = set()

    async def run(self) -> None:
        """Follow the keys until cancelled. Raises nothing."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._follower.run, self.changed, self)
            tasks.start_soon(self._poll)
            await self._serve()

    def changed(self, key: VideoKey) -> None:
        """A key was written."""
        for video in self._videos(key):
            self._add(video, changed=True)

    async def scanned(self, keys: Iterable[VideoKey]) -> None:
        for key in keys:
            for video in self._videos(key):
                self._add(video, changed=False)
        while len(self._pending) > SCAN_PENDING:
            self._room = anyio.Event()
            await self._room.wait()

    def asked(self, tenant: str, content_ids: Sequence[str]) -> None:
        """A page has asked for contents that the hub has no state of."""
        now = time.monotonic()
        for content_id in content_ids:
            watched = self._watched.get((tenant, content_id))
            if watched is None:
                self._add((tenant, content_id), changed=False)
                watched = self._watch((tenant, content_id), now)
            watched.until = now + WATCH_SECONDS
            watched.due = min(watched.due, now + POLL_SECONDS)

    def _videos(self, key: VideoKey) -> list[Video]:
        if key.tenant_id is None:
            return [(tenant, key.video_id) for tenant in self._keys.tenants.jobs]
        tenant = self._keys.tenants.tenant_of(key.tenant_id)
        return [] if tenant is None else [(tenant, key.video_id)]

    def _add(self, video: Video, *, changed: bool) -> None:
        if video not in self._pending and len(self._pending) >= PENDING_MAX:
            self._follower.rescan()
            return
        self._pending[video] = changed or self._pending.get(video, False)
        self._wake.set()

    def _watch(self, video: Video, now: float) -> Watched:
        watched = self._watched[video] = Watched(now)
        while len(self._watched) > WATCHED_MAX:
            self._watched.popitem(last=False)
        return watched

    async def _poll(self) -> None:
        while True:
            await anyio.sleep(POLL_SECONDS)
            now = time.monotonic()
            for video, watched in [*self._watched.items()]:
                if watched.until < now:
                    del self._watched[video]
                elif watched.due <= now and not self._follower.notified:
                    watched.due = now + (SLOW_POLL_SECONDS if watched.slow else POLL_SECONDS)
                    self._add(video, changed=watched.known)

    async def _serve(self) -> None:
        while True:
            await self._wake.wait()
            await anyio.sleep(ROUND_SECONDS)
            for tenant, videos in self._take().items():
                await self._round(tenant, videos)
            if len(self._pending) <= SCAN_PENDING:
                self._room.set()
            if not self._pending:
                self._wake = anyio.Event()

    def _take(self) -> dict[str, dict[str, bool]]:
        taken: dict[str, dict[str, bool]] = {}
        for tenant, content_id in [*self._pending][:ROUND_IDS]:
            taken.setdefault(tenant, {})[content_id] = self._pending.pop((tenant, content_id))
        return taken

    async def _round(self, tenant: str, videos: Mapping[str, bool]) -> None:
        try:
            await self._reconcile(tenant, videos)
        except (BrokerUnavailable, SourceUnavailable) as error:
            if not self._away:
                self._away = True
                logger.warning("the bridge of video keys waits: %s", error.message)
            for content_id, changed in videos.items():
                self._add((tenant, content_id), changed=changed)
            await anyio.sleep(self._backoff.next())
        except Exception:
            logger.exception("the bridge of video keys failed for %d videos", len(videos))
            await anyio.sleep(self._backoff.next())
        else:
            self._backoff.reset()
            if self._away:
                self._away = False
                logger.info("the bridge of video keys goes on")
                # What is stored may have been lost meanwhile.
                self._follower.rescan()

    async def _reconcile(self, tenant: str, videos: Mapping[str, bool]) -> None:
        content_ids = [*videos]
        # In this order: see `bridged`.
        held = await self._target.lookup(tenant, content_ids)
        records = await self._keys.find(tenant, content_ids)
        publications = list[Publication]()
        for content_id, event, record in zip(content_ids, held.events, records, strict=True):
            state = None if record is None else record.status
            self._seen((tenant, content_id), None if state is None else state.phase.terminal)
            try:
                made = bridged(self._keys.channel, content_id, event, state, changed=videos[content_id])
            except (Invalid, ValueError, TypeError, OverflowError, RecursionError) as error:
                self._warn(type(error).__name__, f"video {content_id!r} cannot be published: {error}")
                continue
            if made is not None:
                publications.append(made)
        if publications:
            receipts = await self._target.publish(tenant, publications)
            for publication, receipt in zip(publications, receipts, strict=True):
                self._settle(tenant, publication, receipt)

    def _settle(self, tenant: str, publication: Publication, receipt: Receipt) -> None:
        if receipt.reason is None:
            self.published += 1
        elif receipt.reason not in AGAIN:
            self._warn(receipt.reason, f"video {publication.content_id!r} is refused: {receipt.reason}")
            return
        # Where another hub was faster, with an older reading of the keys, the next round publishes this one.
        self._add((tenant, publication.content_id), changed=True)

    def _seen(self, video: Video, ended: bool | None) -> None:
        """The keys of a video were read; `ended` is None where there are none."""
        now = time.monotonic()
        watched = self._watched.get(video)
        if watched is None:
            if ended is not False or self._follower.notified:
                return
            watched = self._watch(video, now)
        watched.known, watched.slow = True, ended is not False
        if not watched.slow:
            watched.until = now + WATCH_SECONDS

    def _warn(self, kind: str, sentence: str) -> None:
        if kind not in self._warned:
            self._warned.add(kind)
            logger.warning("the bridge of video keys: %s; further ones are not logged", sentence)
