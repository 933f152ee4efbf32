"""The fence: whether a content accepts a publication. Pure; the rules are in contract.py."""

from __future__ import annotations

import msgspec

from statushub.hub.brokers.contract import FORMER_RUNS
from statushub.hub.model.publication import Publication
from statushub.hub.model.receipt import Refusal


class FenceState(msgspec.Struct, frozen=True, kw_only=True):
    """What the fence knows of a content. `seq_offset` is the offset of the event that brought `seq`; `runs` are the
    former runs, the latest first; `began` is when the attempt's run began, in milliseconds of the clock's time;
    `processing` tells whether the content is, and so can grow."""

    channel: str
    attempt: int
    seq: int | None
    seq_offset: int | None
    closed: bool
    run: str | None = None
    runs: tuple[str, ...] = ()
    began: int = 0
    processing: bool = True


class RemovedState(msgspec.Struct, frozen=True, kw_only=True):
    """What the fence knows of a content that was removed on request; `removed` is when, in milliseconds."""

    attempt: int
    seq: int | None
    run: str | None
    runs: tuple[str, ...]
    removed: int


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """Store it, with this attempt, seq and run. `seq_offset` is None where the seq is the publication's own."""

    attempt: int
    seq: int | None
    seq_offset: int | None = None
    run: str | None = None
    runs: tuple[str, ...] = ()
    began: int = 0


class Repeat(msgspec.Struct, frozen=True, kw_only=True):
    """It is stored already, at `offset`."""

    offset: int
    attempt: int


def evaluate(state: FenceState | None, publication: Publication, now: int) -> Accepted | Repeat | Refusal:
    """The verdict on `publication` at `now` (in milliseconds), given the state of its content; None for an unknown
    content."""
    attempt, run = publication.attempt, publication.run
    began = now - publication.age_ms
    if state is None and publication.delta is not None:
        return Refusal.UNKNOWN
    if state is None:
        return Accepted(attempt=1 if attempt is None else attempt, seq=publication.seq, run=run, began=began)
    if publication.channel != state.channel:
        return Refusal.WRONG_CHANNEL
    if run is not None and run != state.run:
        # A restart that comes in the millisecond in which the content's run began comes after it.
        later = began > state.began or (publication.restart and began == state.began)
        if run in state.runs or not later:
            return Refusal.SUPERSEDED
        if publication.delta is not None:
            return Refusal.GAP
        return _opened(state, publication, state.attempt + 1, began)
    if run is None and attempt is not None and attempt != state.attempt:
        if attempt < state.attempt:
            return Refusal.SUPERSEDED
        return _opened(state, publication, attempt, began) if publication.delta is None else Refusal.GAP
    return _joined(state, publication, began)


def evaluate_removed(state: RemovedState, publication: Publication, now: int) -> Accepted | Refusal:
    """As `evaluate`, given the state of a content that was removed on request."""
    attempt, run, seq = publication.attempt, publication.run, publication.seq
    began = now - publication.age_ms
    if run is not None:
        former = run == state.run or run in state.runs
        later = began > state.removed or (publication.restart and not former and began == state.removed)
        old = not later or (former and not publication.restart)
    elif attempt is not None:
        old = attempt <= state.attempt
    else:
        old = seq is not None and state.seq is not None and seq <= state.seq
    if old:
        return Refusal.REMOVED
    if publication.delta is not None:
        return Refusal.UNKNOWN
    runs = tuple(it for it in (state.run, *state.runs) if it is not None and it != run)[:FORMER_RUNS]
    opened = state.attempt + 1 if attempt is None else attempt
    return Accepted(attempt=opened, seq=seq, run=run, runs=runs, began=began)


def _opened(state: FenceState, publication: Publication, attempt: int, began: int) -> Accepted:
    former = state.runs if state.run is None else (state.run, *state.runs)[:FORMER_RUNS]
    return Accepted(attempt=attempt, seq=publication.seq, run=publication.run, runs=former, began=began)


def _joined(state: FenceState, publication: Publication, began: int) -> Accepted | Repeat | Refusal:
    seq, attempt = publication.seq, state.attempt
    if seq is not None and state.seq is not None and state.seq_offset is not None:
        if seq == state.seq:
            return Repeat(offset=state.seq_offset, attempt=attempt)
        if seq < state.seq:
            return Refusal.SUPERSEDED
    if state.closed:
        if not publication.restart:
            return Refusal.CLOSED
        attempt += 1
    if publication.delta is not None and (not state.processing or publication.delta.follows != state.seq):
        return Refusal.GAP
    return Accepted(
        attempt=attempt,
        seq=state.seq if seq is None else seq,
        seq_offset=state.seq_offset if seq is None else None,
        run=state.run,
        runs=state.runs,
        began=state.began if publication.run is None else min(state.began, began),
    )
