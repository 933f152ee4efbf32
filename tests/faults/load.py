"""Producers that publish until they are stopped; the checker records every acknowledgement."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec

from statushub.hub.model.errors import BrokerUnavailable
from statushub.hub.model.names import DEFAULT_TENANT
from statushub.hub.model.publication import Publication, publication
from statushub.producers.http_transport import HttpTransport
from statushub.producers.redis_transport import RedisTransport
from statushub.producers.transports import Transport
from tests.faults.checker import Checker
from tests.faults.history import Report

CHANNELS: Final = ("encodes", "articles", "jobs/import", "jobs/export")

CONTENTS_PER_PRODUCER: Final = 12
"""Producers work on each content repeatedly, with higher attempts, so that the stored data do not grow with the run."""

STEPS: Final = 6
"""The maximum number of reports in one run."""

PAUSE_SECONDS: Final = (0.02, 0.15)
"""The range of seconds between two reports of a producer: eight producers send about 100 reports a second."""

RETRY_SECONDS: Final = (0.1, 0.4)
"""The range of seconds before an unacknowledged report is sent again."""

KEPT_LEASE: Final = 15.0
"""The lease of live work. It exceeds the 5 s timeout of a transport and the 5 s of an outage that sweeps do not notice,
so that an expired one is an error."""

LATE_SHARE: Final = 0.1
"""The share of reports that are followed by a late one."""

FILLER_BYTES: Final = 500
FLOOD_BYTES: Final = 12_000
"""The size of a report that fills sockets."""


def offered(report: Report, lease: float | None, filler: int = 0) -> Publication:
    """The publication of a report."""
    data = {"status": "complete" if report.final else "generating", "run": report.run, "step": report.step}
    return publication(
        channel=report.channel,
        content_id=report.content,
        data={**data, "filler": "·" * (filler // 2)},
        attempt=report.run,
        seq=report.step,
        lease=None if report.final else lease,
    )


class Abandoned(msgspec.Struct, frozen=True, kw_only=True):
    """A content whose worker died, and the end of its lease on the monotonic clock."""

    content: str
    channel: str
    ends: float


class Producer:
    """Owns some contents, and repeats each report until it is acknowledged, through one of `transports` at a time."""

    def __init__(self, name: str, transports: Sequence[Transport], checker: Checker, rng: random.Random) -> None:
        self.name = name
        self.contents = {f"{name}-{n}": CHANNELS[n % len(CHANNELS)] for n in range(CONTENTS_PER_PRODUCER)}
        self._transports = itertools.cycle(transports)
        self._transport = next(self._transports)
        self._checker = checker
        self._rng = rng
        self._runs: dict[str, int] = {}
        self.waits = ""

    async def work(self, goes_on: Callable[[], bool], filler: int = 0) -> None:
        """Run the work on a few contents, reported in batches; it ends early once `goes_on` is false.

        All reports but the last have `filler` bytes, or few where it is 0.
        """
        contents = self._rng.sample([*self.contents], self._rng.choice((1, 1, 1, 2, 5)))
        last = self._rng.randrange(1, STEPS)
        for content in contents:
            self._runs[content] = self._runs.get(content, 0) + 1
        for step in range(1, last):
            await self._report(contents, step, filler=filler)
            await asyncio.sleep(self._rng.uniform(*PAUSE_SECONDS))
            if not goes_on():
                break
            await self._sometimes_late(contents, step)
        # Without the filler, so that a viewer with a small buffer reads the rest quickly.
        await self._report(contents, last, final=True)
        await self._sometimes_late(contents, last)

    async def finish(self, contents: Iterable[str]) -> None:
        """Run contents again whose final state a broker has lost."""
        for content in contents:
            self._runs[content] = self._runs.get(content, 0) + 1
            await self._report([content], 1, final=True)

    async def abandon(self, content: str, channel: str, lease: float) -> float:
        """Begin the work on a content and die; returns the time since which its lease runs."""
        self._checker.abandoned.add(content)
        report = Report(content=content, channel=channel, run=1, step=1, final=False)
        self._checker.offer(report)
        await self._publish([report], lease)
        return time.monotonic()

    async def _sometimes_late(self, contents: Sequence[str], step: int) -> None:
        """Sometimes repeat a report from before `step`, like a worker that was declared dead."""
        if step > 1 and self._rng.random() < LATE_SHARE:
            await self._report(contents[:1], self._rng.randrange(1, step), late=True)

    async def _report(
        self, contents: Sequence[str], step: int, *, final: bool = False, late: bool = False, filler: int = 0
    ) -> None:
        reports = [
            Report(content=it, channel=self.contents[it], run=self._runs[it], step=step, final=final, late=late)
            for it in contents
        ]
        for report in reports:
            if not late:
                self._checker.offer(report)
        await self._publish(reports, KEPT_LEASE, filler or self._rng.randrange(FILLER_BYTES))

    async def _publish(self, reports: Sequence[Report], lease: float, filler: int = 0) -> None:
        publications = [offered(report, lease, filler) for report in reports]
        while True:
            try:
                receipts = await self._transport.send(publications)
                break
            except BrokerUnavailable as error:
                self.waits = error.message
            self._transport = next(self._transports)
            await asyncio.sleep(self._rng.uniform(*RETRY_SECONDS))
        moment, self.waits = time.monotonic(), ""
        for report, receipt in zip(reports, receipts, strict=True):
            self._checker.record_answer(report, receipt, moment)


class Load:
    """Producers that publish over HTTP to any hub and, where there is one, straight into Redis."""

    def __init__(
        self, hubs: Sequence[str], redis: str | None, producers: int, checker: Checker, rng: random.Random
    ) -> None:
        self.flooding = False
        self._going = asyncio.Event()
        self._working = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._dying = itertools.count()
        self._rng = rng
        self.transports: list[Transport] = []
        self.producers: list[Producer] = []
        for number in range(producers):
            direct = redis is not None and number % 2 == 0
            names = "redis" if direct else "http"
            transports = list(_transports(hubs, redis if direct else None, rng))
            self.transports += transports
            self.producers.append(Producer(f"{names}-{number}", transports, checker, random.Random(rng.random())))

    def runs(self) -> list[Coroutine[Any, Any, None]]:
        """The coroutines of the producers, which run until they are cancelled."""
        return [self._run(producer) for producer in self.producers]

    async def aclose(self) -> None:
        """Close the producers' connections."""
        for transport in self.transports:
            await transport.aclose()

    def start(self) -> None:
        """Start the producers' work."""
        self._going.set()

    async def stop(self) -> None:
        """Let producers finish their runs; returns once the last report is acknowledged."""
        self._going.clear()
        await self._quiet.wait()

    def waits(self) -> list[str]:
        """The error for which each unacknowledged producer waits."""
        return [f"{producer.name} waits: {producer.waits}" for producer in self.producers if producer.waits]

    async def finish(self, contents: Sequence[str]) -> None:
        """Run contents again whose final state a broker has lost, while the producers are stopped."""
        for producer in self.producers:
            await producer.finish(content for content in contents if content in producer.contents)

    async def abandon(self, lease: float) -> Abandoned:
        """Let a worker begin a content and die."""
        content, channel = f"dead-{next(self._dying)}", self._rng.choice(CHANNELS)
        begun = await self._rng.choice(self.producers).abandon(content, channel, lease)
        return Abandoned(content=content, channel=channel, ends=begun + lease)

    async def _run(self, producer: Producer) -> None:
        while True:
            await self._going.wait()
            self._working += 1
            self._quiet.clear()
            try:
                await producer.work(self._going.is_set, FLOOD_BYTES if self.flooding else 0)
            finally:
                self._working -= 1
                if not self._working:
                    self._quiet.set()


def _transports(hubs: Sequence[str], redis: str | None, rng: random.Random) -> Iterator[Transport]:
    if redis is not None:
        yield RedisTransport(redis, tenant=DEFAULT_TENANT)
        return
    for hub in rng.sample([*hubs], len(hubs)):
        yield HttpTransport(hub)
