"""Producers that publish until they are stopped; the checker records every acknowledgement."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

import httpx
import msgspec

from statushub.hub.model.errors import BrokerUnavailable
from statushub.hub.model.names import DEFAULT_TENANT
from statushub.hub.model.publication import Publication, publication
from statushub.hub.model.receipt import Receipt, Refusal
from statushub.producers.http_transport import HttpTransport
from statushub.producers.redis_transport import RedisTransport
from statushub.producers.transports import Transport
from tests.faults.checker import Checker
from tests.faults.history import Report, piece, written

STANDING: Final = ("encodes", "articles", "jobs/import", "jobs/export")
"""Channels that are there from the beginning."""

BORN: Final = tuple(f"jobs/born/{number}" for number in range(96))
"""Channels that come into being one after the other during the run."""

CHANNELS: Final = (*STANDING, *BORN)

BIRTH_SHARE: Final = 0.2
"""The share of works that begin a channel, until all are there."""

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

GROWTH_SHARE: Final = 0.15
"""The share of works that write a text, by deltas."""

GROWTH_STEPS: Final = 40
"""The maximum number of deltas of a text."""

GROWTH_PAUSE_SECONDS: Final = (0.005, 0.06)
"""The range of seconds between two deltas: about as many a second as the SDK sends."""

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


def grown(report: Report, *, by_delta: bool) -> Publication:
    """The publication of a report on a content that grows: with its whole text, or with what has been written since the
    report before."""
    added = {"text": piece(report.content, report.run, report.step)}
    delta = {"follows": report.step - 1, "set": {"step": report.step}, "append": added}
    status, text = "complete" if report.final else "generating", written(report.content, report.run, report.step)
    data = {"status": status, "run": report.run, "step": report.step, "text": text}
    return publication(
        channel=report.channel,
        content_id=report.content,
        attempt=report.run,
        seq=report.step,
        lease=None if report.final else KEPT_LEASE,
        data=None if by_delta else data,
        delta=delta if by_delta else None,
    )


class Abandoned(msgspec.Struct, frozen=True, kw_only=True):
    """A content whose worker died, and the end of its lease on the monotonic clock."""

    content: str
    channel: str
    ends: float


EPISODE_SHARE: Final = 0.2
"""The share of works that are removed, or cancelled, while they run."""

TOLD_REPORTS: Final = 3
"""The reports after a request to cancel by which the worker is told of it."""

ASK_SECONDS: Final = 5.0
"""The time limit for the answer to a request to cancel."""


class Producer:
    """Owns some contents, and repeats each report until it is acknowledged, through one of `transports` at a time."""

    def __init__(
        self,
        name: str,
        transports: Sequence[Transport],
        checker: Checker,
        rng: random.Random,
        *,
        hubs: Sequence[str],
        unborn: Iterator[str],
    ) -> None:
        self.name = name
        self.gone, self.cancelled = f"{name}-gone", f"{name}-cancelled"
        self.growing = f"{name}-grows"
        checker.episodes |= {self.gone, self.cancelled}
        checker.growing.add(self.growing)
        self._hubs = hubs
        self.contents = {f"{name}-{n}": STANDING[n % len(STANDING)] for n in range(CONTENTS_PER_PRODUCER)}
        self._unborn = unborn
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
        if self._rng.random() < EPISODE_SHARE:
            await self._rng.choice((self._be_removed, self._be_cancelled))()
            return
        if self._rng.random() < GROWTH_SHARE:
            await self._write(goes_on)
            return
        contents = self._rng.sample([*self.contents], self._rng.choice((1, 1, 1, 2, 5)))
        if self._rng.random() < BIRTH_SHARE and (channel := next(self._unborn, None)) is not None:
            contents.append(f"{self.name}-in-{channel}")
            self.contents[contents[-1]] = channel
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

    async def mend(self, contents: Iterable[str]) -> None:
        """Remove and end again what a broker has lost the removal or the end of."""
        for content in contents:
            if content == self.gone:
                await self._remove()
            elif content == self.cancelled:
                await self._say(content, 99, final=True)
            elif content == self.growing:
                self._begin(content)
                await self._tell(1, final=True)

    async def _write(self, goes_on: Callable[[], bool]) -> None:
        """Write a text; it ends early once `goes_on` is false."""
        self._begin(self.growing)
        last = self._rng.randrange(2, GROWTH_STEPS)
        await self._tell(1)
        for step in range(2, last):
            await asyncio.sleep(self._rng.uniform(*GROWTH_PAUSE_SECONDS))
            await self._tell(step, by_delta=True)
            if not goes_on():
                break
        await self._tell(last, final=True)

    async def _tell(self, step: int, *, by_delta: bool = False, final: bool = False) -> None:
        """Report a step of the text. What a broker has lost is told whole, as the SDK does."""
        content = self.growing
        report = Report(content=content, channel=CHANNELS[0], run=self._runs[content], step=step, final=final)
        self._checker.offer(report)
        [receipt] = await self._deliver([grown(report, by_delta=by_delta)])
        if by_delta and receipt.reason in (Refusal.GAP, Refusal.UNKNOWN):
            self._checker.doubt(f"{content} {report.rank} was refused as a delta: {receipt.reason}")
            [receipt] = await self._deliver([grown(report, by_delta=False)])
        self._checker.record_answer(report, receipt, time.monotonic())

    async def _be_removed(self) -> None:
        """Run a work that is removed while it runs, and report on it once more."""
        self._begin(self.gone)
        for step in range(1, self._rng.randrange(2, STEPS)):
            await self._say(self.gone, step)
            await asyncio.sleep(self._rng.uniform(*PAUSE_SECONDS))
        await self._remove()
        await self._say(self.gone, 1, late=True)

    async def _remove(self) -> None:
        run = self._runs[self.gone]
        while True:
            try:
                await self._transport.remove(CHANNELS[0], [self.gone])
                break
            except BrokerUnavailable as error:
                self.waits = error.message
            self._transport = next(self._transports)
            await asyncio.sleep(self._rng.uniform(*RETRY_SECONDS))
        self.waits = ""
        self._checker.record_removal(self.gone, run)

    async def _be_cancelled(self) -> None:
        """Run a work that is asked to cancel, and end it when a receipt says so."""
        self._begin(self.cancelled)
        await self._say(self.cancelled, 1)
        asked = await self._ask(self.cancelled)
        told = False
        for step in range(2, 2 + TOLD_REPORTS):
            told = told or await self._say(self.cancelled, step)
        if asked and not told:
            self._checker.doubt(f"{self.cancelled} was to be cancelled, and its receipts do not say so")
        await self._say(self.cancelled, 2 + TOLD_REPORTS, final=True)

    async def _ask(self, content: str) -> bool:
        """Ask for a content to be cancelled, at any hub that answers; returns whether it is there to be cancelled."""
        async with httpx.AsyncClient(timeout=ASK_SECONDS) as client:
            while True:
                url = f"{self._rng.choice(self._hubs)}/api/contents/{CHANNELS[0]}/cancel"
                with suppress(httpx.HTTPError):
                    answer = await client.post(url, json={"content_id": content})
                    # 409: a server that was promoted may have lost this run, and have the end of the one before.
                    if answer.status_code in (200, 404, 409):
                        return answer.status_code == httpx.codes.OK
                    self.waits = f"{url} answers {answer.status_code}"
                await asyncio.sleep(self._rng.uniform(*RETRY_SECONDS))

    def _begin(self, content: str) -> None:
        self._runs[content] = self._runs.get(content, 0) + 1

    async def _say(self, content: str, step: int, *, final: bool = False, late: bool = False) -> bool:
        """Report a step of an episode; returns whether the receipt asks to cancel."""
        report = Report(
            content=content, channel=CHANNELS[0], run=self._runs[content], step=step, final=final, late=late
        )
        if not late:
            self._checker.offer(report)
        [receipt] = await self._publish([report], KEPT_LEASE)
        return receipt.cancel is not None

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

    async def _publish(self, reports: Sequence[Report], lease: float, filler: int = 0) -> list[Receipt]:
        receipts = await self._deliver([offered(report, lease, filler) for report in reports])
        moment = time.monotonic()
        for report, receipt in zip(reports, receipts, strict=True):
            self._checker.record_answer(report, receipt, moment)
        return receipts

    async def _deliver(self, publications: Sequence[Publication]) -> list[Receipt]:
        """The receipts of these, which are repeated until they are answered."""
        while True:
            try:
                receipts = await self._transport.send(publications)
                break
            except BrokerUnavailable as error:
                self.waits = error.message
            self._transport = next(self._transports)
            await asyncio.sleep(self._rng.uniform(*RETRY_SECONDS))
        self.waits = ""
        return receipts


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
        unborn = iter(BORN)
        self.transports: list[Transport] = []
        self.producers: list[Producer] = []
        for number in range(producers):
            direct = redis is not None and number % 2 == 0
            names = "redis" if direct else "http"
            transports = list(_transports(hubs, redis if direct else None, rng))
            self.transports += transports
            own = random.Random(rng.random())
            self.producers.append(Producer(f"{names}-{number}", transports, checker, own, hubs=hubs, unborn=unborn))

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
            await producer.mend(contents)

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
