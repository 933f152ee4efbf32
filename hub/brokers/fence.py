"""The fence: whether a content accepts a publication. Pure; the rules are in contract.py."""

from __future__ import annotations

import msgspec

from statushub.hub.model.publication import Publication
from statushub.hub.model.receipt import Refusal


class FenceState(msgspec.Struct, frozen=True, kw_only=True):
    """What the fence knows of a content. `seq_offset` is the offset of the event that brought `seq`; Redis' field and
    SQLite's column are named `given`."""

    channel: str
    attempt: int
    seq: int | None
    seq_offset: int | None
    closed: bool


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """Store it, with this attempt and seq. `seq_offset` is None where the seq is the publication's own."""

    attempt: int
    seq: int | None
    seq_offset: int | None = None


class Repeat(msgspec.Struct, frozen=True, kw_only=True):
    """It is stored already, at `offset`."""

    offset: int


def evaluate(state: FenceState | None, publication: Publication) -> Accepted | Repeat | Refusal:
    """The verdict on `publication`, given the state of its content; None for an unknown content."""
    attempt = publication.attempt
    if state is None:
        return Accepted(attempt=1 if attempt is None else attempt, seq=publication.seq)
    if publication.channel != state.channel:
        return Refusal.WRONG_CHANNEL
    if attempt is None or attempt == state.attempt:
        return _evaluate_seq(state, publication.seq)
    if attempt < state.attempt:
        return Refusal.SUPERSEDED
    return Accepted(attempt=attempt, seq=publication.seq)


def _evaluate_seq(state: FenceState, seq: int | None) -> Accepted | Repeat | Refusal:
    if seq is not None and state.seq is not None and state.seq_offset is not None:
        if seq == state.seq:
            return Repeat(offset=state.seq_offset)
        if seq < state.seq:
            return Refusal.SUPERSEDED
    if state.closed:
        return Refusal.CLOSED
    if seq is None:
        return Accepted(attempt=state.attempt, seq=state.seq, seq_offset=state.seq_offset)
    return Accepted(attempt=state.attempt, seq=seq)
