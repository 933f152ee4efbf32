"""Which keys of video workers change: told by Redis' keyspace notifications, or found by scans where these are off.

Notifications are not kept: what changed while the connection was broken is found by the scan that follows each
connection. Nothing is written, and no setting of the server is changed.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

import anyio
from redis.exceptions import ResponseError

from statushub.hub.brokers.redis.errors import reported
from statushub.hub.brokers.redis.topology import Execute, open_topology
from statushub.hub.brokers.redis.url import Address
from statushub.hub.model.backoff import Backoff
from statushub.hub.model.errors import BrokerUnavailable
from statushub.hub.model.video_keys import VideoKey, key_patterns, parse_key
from statushub.hub.sources.bridge import Follower, Scanned
from statushub.hub.sources.notifications import Notifications
from statushub.hub.sources.redis_keys import address_of, key_prefix

DEADLINE_SECONDS: Final = 5.0
"""For Redis to answer, as for a hub's broker."""

CHECK_SECONDS: Final = 30.0
"""Between checks of whether notifications are on, and of which servers there are."""

SCAN_SECONDS: Final = 5.0
"""Between scans where notifications are off: a video that no page has asked for appears within this time."""

SCAN_COUNT: Final = 500
"""Keys that one SCAN looks at: a fraction of a millisecond of Redis' time."""

SCAN_PAUSE_SECONDS: Final = 0.02
"""Between two of them: 25,000 keys a second at most."""

FIRST_PAUSE_SECONDS: Final = 0.2
LONGEST_PAUSE_SECONDS: Final = 5.0
"""The first and the longest pause while Redis is away."""

OPTION: Final = "notify-keyspace-events"

T = TypeVar("T")

logger = logging.getLogger(__name__)


class Keyspace:
    """Follows the keys at an address. `check` and `scan` are the seconds between checks, and between scans."""

    def __init__(self, address: Address, *, check: float = CHECK_SECONDS, scan: float = SCAN_SECONDS) -> None:
        self.notified = False
        self._prefix = key_prefix(address)
        self._db = address.db
        self._topology = open_topology(address, DEADLINE_SECONDS)
        self._check = check
        self._scan = scan
        self._backoff = Backoff(FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
        self._wanted = anyio.Event()
        self._away = False
        self._said: str | None = None

    def rescan(self) -> None:
        self._wanted.set()

    async def run(self, changed: Callable[[VideoKey], None], bridge: Scanned) -> None:
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._scan_regularly, bridge)
                while True:
                    await self._guarded(lambda: self._follow(changed))
        finally:
            with anyio.CancelScope(shield=True):
                await self._topology.aclose()

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do `work`; pause where Redis is away, or it fails."""
        try:
            with reported(self._topology.where):
                await work()
        except BrokerUnavailable as error:
            if not self._away:
                self._away = True
                logger.warning("video keys are not followed: %s", error.message)
        except Exception:
            logger.exception("following video keys failed")
        else:
            return
        self.notified = False
        await anyio.sleep(self._backoff.next())

    async def _follow(self, changed: Callable[[VideoKey], None]) -> None:
        """Follow until the connection breaks, or what there is to follow is another."""
        on = await self._are_on()
        self._present()
        if on is False:
            self._say("the notifications are off, so they are read regularly; CONFIG SET notify-keyspace-events K$")
            await anyio.sleep(self._check)
            return
        try:
            await self._receive(on, changed)
        except ExceptionGroup as group:
            raise _first(group) from group
        finally:
            self.notified = False

    async def _receive(self, on: bool | None, changed: Callable[[VideoKey], None]) -> None:
        nodes = self._topology.nodes()
        async with anyio.create_task_group() as tasks:
            for node in nodes:
                connection = Notifications(self._topology.connection(node), self._heard(changed))
                await connection.subscribe([f"__keyspace@{self._db}__:{it}" for it in key_patterns(self._prefix)])
                tasks.start_soon(connection.run)
                tasks.start_soon(connection.ping)
            self.notified = bool(on)
            self._say("they are followed by notifications" if on else "CONFIG is not permitted, so they are read, too")
            # What changed before.
            self.rescan()
            while True:
                await anyio.sleep(self._check)
                if on != await self._are_on() or nodes != self._topology.nodes():
                    break
            tasks.cancel_scope.cancel()

    def _heard(self, changed: Callable[[VideoKey], None]) -> Callable[[bytes], None]:
        """What takes the name of a key that was written."""

        def heard(name: bytes) -> None:
            # Where CONFIG is not permitted, this is how it is known that notifications are on.
            self.notified = True
            if (key := parse_key(name, self._prefix)) is not None:
                changed(key)

        return heard

    async def _are_on(self) -> bool | None:
        """Whether every server sends notifications; None where that is not told."""
        await _in_time(self._topology.refresh())
        answers = [await _in_time(_flags(execute)) for execute in self._topology.primaries()]
        if None in answers:
            return None
        return all("K" in flags and ("A" in flags or "$" in flags) for flags in answers if flags is not None)

    async def _scan_regularly(self, bridge: Scanned) -> None:
        while True:
            with anyio.move_on_after(self._check if self.notified else self._scan):
                await self._wanted.wait()
            if self._wanted.is_set() or not self.notified:
                self._wanted = anyio.Event()
                await self._guarded_scan(bridge)

    async def _guarded_scan(self, bridge: Scanned) -> None:
        try:
            with reported(self._topology.where):
                for execute in self._topology.primaries():
                    for pattern in key_patterns(self._prefix):
                        await self._scan_server(execute, pattern, bridge)
        except BrokerUnavailable as error:
            logger.debug("video keys are not scanned: %s", error.message)
            await anyio.sleep(LONGEST_PAUSE_SECONDS)
            self.rescan()
        except Exception:
            logger.exception("scanning video keys failed")

    async def _scan_server(self, execute: Execute, pattern: str, bridge: Scanned) -> None:
        cursor: Any = 0
        while True:
            cursor, names = await _in_time(execute("SCAN", cursor, "MATCH", pattern, "COUNT", SCAN_COUNT))
            found = [parse_key(name if isinstance(name, bytes) else str(name).encode(), self._prefix) for name in names]
            await bridge.scanned([key for key in found if key is not None])
            if int(cursor) == 0:
                return
            await anyio.sleep(SCAN_PAUSE_SECONDS)

    def _present(self) -> None:
        self._backoff.reset()
        if self._away:
            self._away = False
            logger.info("video keys: %s answers again", self._topology.where)

    def _say(self, sentence: str) -> None:
        if sentence != self._said:
            self._said = sentence
            logger.info("video keys at %s: %s", self._topology.where, sentence)


def follow(url: str) -> Keyspace:
    """Follows the keys at `url`. Raises `ConfigError` where it is malformed, or names files that cannot be used."""
    return Keyspace(address_of(url))


async def _flags(execute: Execute) -> str | None:
    """The option's value; None where the server does not tell it."""
    try:
        answer: Sequence[Any] = await execute("CONFIG", "GET", OPTION)
    except ResponseError:
        return None
    value = answer.get(OPTION, "") if isinstance(answer, dict) else answer[1] if len(answer) > 1 else ""
    return value.decode() if isinstance(value, bytes) else str(value)


def _first(error: Exception) -> Exception:
    """The first of the exceptions in groups."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


async def _in_time(answer: Awaitable[T]) -> T:
    with anyio.fail_after(DEADLINE_SECONDS):
        return await answer


_fits: type[Follower] = Keyspace
