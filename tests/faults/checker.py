"""The guarantees, as assertions over what was acknowledged, stored and shown. No I/O.

The broker's durability decides what may be lost, and nothing weaker is accepted:

- The embedded broker, and a Redis with `appendfsync always`, restarted with its data: nothing that was acknowledged or
  shown, because Redis writes its file before it answers or announces. `kept_until` is `NOTHING_LOST`.
- A Redis that lost its file, or never had one: everything. `kept_until` is `ANYTHING_LOST`.
- A promoted replica: what had not reached it. `kept_until` is the moment of the last `WAIT`, and everything that was
  acknowledged before it must be there.

A broker that may have lost something must begin a new epoch, and all that it holds from then on is one *life*.
Within a life, whatever its epochs, these guarantees hold for every viewer, over all of its connections:

1. ids strictly increase until a `reset`, and the epoch changes only at a `reset`;
2. no state of a content is older than one already shown, and each one was offered by a producer;
3. a report is stored once: the same run and step of a content always have the same offset;
4. at each `ready` the view is exactly what the broker held at its cursor, also after a `reset`; except where
   announcements were dropped, which a hub cannot know yet;
5. no regular report is refused, and no late one accepted;
6. a removed content is not stored, and is not shown once its removal was shown, but for a later run; nothing of the
   removed run is accepted;
7. a worker whose content is to be cancelled is told so by its receipts;
8. the broker holds the last acknowledged state of every content; each content whose worker died ends as stalled,
   once, and no other does;
9. each state of a content that grows, stored or shown, has the text of all steps up to its own, each character once;
   and each delta builds on the state that its viewer has.

That each view becomes equal to the broker's state in time is awaited while the viewer runs (`Viewer.until`).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

import msgspec

from statushub.hub.model.cursor import Cursor
from statushub.hub.model.receipt import Receipt
from tests.faults.history import Entry, Gone, Misfit, Rank, Ready, Report, Reset, State, Stored, written

NOTHING_LOST: Final = math.inf
ANYTHING_LOST: Final = -math.inf


class Acknowledged(msgspec.Struct, frozen=True, kw_only=True):
    """A report that the broker accepted, with the time of the monotonic clock."""

    report: Report
    cursor: Cursor
    at: float


class Watch:
    """What one viewer has been shown, as the checker tracks it."""

    def __init__(self, name: str, channels: frozenset[str]) -> None:
        self.name = name
        self.channels = channels
        self.cursor: Cursor | None = None
        self.view: dict[str, State] = {}
        self.life = 0
        self.seen: dict[str, Rank] = {}
        self.gone: dict[str, int] = {}


class Checker:
    """Knows every report of one world and its outcome."""

    def __init__(self) -> None:
        self.violations: list[str] = []
        self.publishes = 0
        self.deliveries = 0
        self.abandoned: set[str] = set()
        self._reported = 0
        self.episodes: set[str] = set()
        """Contents that are removed or cancelled, of which rules 3, 4 and 8 do not speak."""
        self.growing: set[str] = set()
        """Contents that grow."""
        self._removed: dict[str, int] = {}
        self._doubts: list[str] = []
        self._offered: dict[tuple[str, int, int], Report] = {}
        self._acknowledged: list[Acknowledged] = []
        self._last: dict[str, Acknowledged] = {}
        self._lives: dict[str, int] = {}
        self._life = 0
        self._placed: dict[str, dict[Rank, int]] = defaultdict(dict)
        self._channels: dict[str, str] = {}

    def offer(self, report: Report) -> None:
        """Record a report that a producer is about to publish."""
        self._offered[report.content, report.run, report.step] = report
        self._channels[report.content] = report.channel

    def record_answer(self, report: Report, receipt: Receipt, at: float) -> None:
        """Record the broker's answer to a report."""
        if receipt.cursor is not None:
            self.publishes += 1
            if report.content in self.episodes:
                if report.late:
                    self.doubt(f"{report.content} {report.rank} was removed, and was accepted")
                return
            self._acknowledged.append(Acknowledged(report=report, cursor=receipt.cursor, at=at))
        elif not report.late:
            self._violated(f"{report.content} {report.rank} was refused: {receipt.reason}")

    def record_removal(self, content: str, run: int) -> None:
        """Record that the broker has removed this run of a content, and all before it."""
        self._removed[content] = run

    def doubt(self, what: str) -> None:
        """Record what is a violation where nothing was lost until the end of the round."""
        self._doubts.append(what)

    def evaluate(
        self,
        stored: Stored,
        seen: Sequence[tuple[Watch, Sequence[Entry]]],
        *,
        kept_until: float = NOTHING_LOST,
        announced: bool = True,
    ) -> None:
        """Check one round, after which the broker held `stored`. `announced`: no announcement was dropped."""
        self._begin_life(stored, kept_until)
        self._place(stored)
        self._check_kept(stored, kept_until)
        self._check_removed(stored, kept_until)
        for watch, entries in seen:
            self._follow(watch, entries, announced=announced)
        self._acknowledged.clear()
        for places in self._placed.values():
            # Every viewer has seen the last state, so that no later `ready` is before it.
            offset, rank = max((offset, rank) for rank, offset in places.items())
            places.clear()
            places[rank] = offset

    def new_violations(self) -> list[str]:
        """The violations since the last call."""
        new, self._reported = self.violations[self._reported :], len(self.violations)
        return new

    # Lives

    def _begin_life(self, stored: Stored, kept_until: float) -> None:
        """Assign unknown epochs to the current life: a new one where something may have been lost."""
        if kept_until < NOTHING_LOST:
            if stored.epoch in self._lives:
                self._violated(f"epoch {stored.epoch} continues, although its server may have lost states")
            self._life += 1
            self._placed.clear()
        for epoch in (stored.epoch, *(it.cursor.epoch for it in self._acknowledged)):
            self._lives.setdefault(epoch, self._life)

    def _place(self, stored: Stored) -> None:
        """Record the offset of each report in this life; there must be only one."""
        for state in stored.states.values():
            if state.content in self.episodes:
                continue
            self._put(state.content, state.rank, state.offset)
        for it in self._acknowledged:
            if self._of_this_life(it):
                self._put(it.report.content, it.report.rank, it.cursor.offset)

    def _put(self, content: str, rank: Rank, offset: int) -> None:
        there = self._placed[content].setdefault(rank, offset)
        if there != offset:
            self._violated(f"{content} {rank} has two offsets: {there} and {offset}")

    def _of_this_life(self, it: Acknowledged) -> bool:
        return self._lives[it.cursor.epoch] == self._life

    # What the broker holds

    def _check_kept(self, stored: Stored, kept_until: float) -> None:
        kept: dict[str, Acknowledged] = {}
        for it in (*self._last.values(), *self._acknowledged):
            if not self._of_this_life(it) and it.at >= kept_until:
                continue
            before = kept.get(it.report.content)
            if before is None or self._age(before) <= self._age(it):
                kept[it.report.content] = it
            elif it.report.late and self._of_this_life(before):
                self._violated(f"{it.report.content} {it.report.rank} was late and was accepted")
        self._last = kept
        for content, last in kept.items():
            state = stored.states.get(content)
            if state is None or state.rank[:2] < last.report.rank[:2]:
                there = "nothing" if state is None else state.rank
                self._violated(f"{content} {last.report.rank} was acknowledged, and {there} is stored")
        for state in stored.states.values():
            self._check_offered(state, "stored")
            if not state.final:
                self._violated(f"{state.content} {state.rank} is stored, and is not its final state")

    def _check_removed(self, stored: Stored, kept_until: float) -> None:
        if kept_until == NOTHING_LOST:
            self.violations += self._doubts
        self._doubts.clear()
        for content, run in self._removed.items():
            state = stored.states.get(content)
            if state is not None and state.rank[0] <= run:
                self._violated(f"{content} {state.rank} is stored, and was removed")

    def _age(self, it: Acknowledged) -> tuple[int, Rank]:
        return self._lives[it.cursor.epoch], it.report.rank

    def _check_offered(self, state: State, where: str) -> None:
        run, step, stalled = state.rank
        report = self._offered.get((state.content, run, step))
        if report is None or report.channel != state.channel or report.final != (state.final and not stalled):
            self._violated(f"{state.content} {state.rank} is {where} as {state.type}, and was not offered")
        elif stalled and state.content not in self.abandoned:
            self._violated(f"{state.content} {state.rank} is {where} as stalled, and its worker is alive")
        if state.content in self.growing and state.text != (expected := written(state.content, run, step)):
            self._violated(f"{state.content} {state.rank} is {where} with {state.text!r}, and {expected!r} was written")

    # What viewers see

    def _follow(self, watch: Watch, entries: Sequence[Entry], *, announced: bool) -> None:
        for entry in entries:
            if isinstance(entry, Reset):
                watch.cursor = None
                watch.view.clear()
            elif isinstance(entry, Ready):
                if announced:
                    self._check_complete(watch, entry.cursor)
            elif isinstance(entry, Misfit):
                self._violated(
                    f"{watch.name} was sent a delta of {entry.content} after {entry.after}, and has {entry.held}"
                )
            elif isinstance(entry, Gone):
                watch.cursor = entry.cursor
                watch.view.pop(entry.content, None)
                if entry.content in watch.seen:
                    watch.gone[entry.content] = watch.seen[entry.content][0]
            else:
                self.deliveries += 1
                self._show(watch, entry.state)

    def _show(self, watch: Watch, state: State) -> None:
        self._check_offered(state, f"shown to {watch.name}")
        cursor = Cursor(epoch=state.epoch, offset=state.offset)
        if watch.cursor is not None and watch.cursor.epoch != state.epoch:
            self._violated(f"{watch.name} was shown {cursor} after {watch.cursor} without a reset")
        elif watch.cursor is not None and watch.cursor.offset >= state.offset:
            self._violated(f"{watch.name} was shown {cursor} after {watch.cursor}: ids do not increase")
        # An epoch that ended before its first read or publish belongs to the life that it began.
        life = self._lives.setdefault(state.epoch, self._life)
        if life > watch.life:
            watch.life = life
            watch.seen.clear()
            watch.gone.clear()
        elif life < watch.life:
            self._violated(f"{watch.name} was shown {cursor}, of an earlier life")
        if watch.seen.get(state.content, state.rank) > state.rank:
            self._violated(f"{watch.name} was shown {state.content} {state.rank} after {watch.seen[state.content]}")
        if state.rank[0] <= watch.gone.get(state.content, 0):
            self._violated(f"{watch.name} was shown {state.content} {state.rank}, whose removal it was shown before")
        if life == self._life and state.content not in self.episodes:
            self._put(state.content, state.rank, state.offset)
        watch.cursor = cursor
        watch.view[state.content] = state
        watch.seen[state.content] = max(state.rank, watch.seen.get(state.content, state.rank))

    def _check_complete(self, watch: Watch, cursor: Cursor) -> None:
        """At `cursor` the view must hold the latest state of each content of this life."""
        if self._lives.get(cursor.epoch) != self._life:
            return
        for content, places in self._placed.items():
            if self._channels[content] not in watch.channels:
                continue
            known = max(((offset, rank) for rank, offset in places.items() if offset <= cursor.offset), default=None)
            state = watch.view.get(content)
            shown = None if state is None else (state.offset, state.rank)
            if known is not None and shown != known:
                self._violated(f"{watch.name} was ready at {cursor} with {shown} of {content}, which was at {known}")

    def _violated(self, what: str) -> None:
        self.violations.append(what)
