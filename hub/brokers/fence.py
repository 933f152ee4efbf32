"""The fence: whether a publication may follow what its content last said. Pure; the rules are in contract.py."""

from __future__ import annotations

import msgspec

from statushub.hub.model.publication import Publication
from statushub.hub.model.receipt import Refusal


class FenceState(msgspec.Struct, frozen=True, kw_only=True):
    """Where a content stands: `given` is the offset that its last `seq` was given."""

    channel: str
    attempt: int
    seq: int | None
    given: int | None
    closed: bool


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """Store it, with this attempt and seq; `given` is None where the seq is the publication's own."""

    attempt: int
    seq: int | None
    given: int | None = None


class Repeat(msgspec.Struct, frozen=True, kw_only=True):
    """It is stored already, at `offset`."""

    offset: int


def evaluate(standing: FenceState | None, publication: Publication) -> Accepted | Repeat | Refusal:
    """What becomes of `publication`, offered to a content that stands there, or that is unknown (None)."""
    attempt = publication.attempt
    if standing is None:
        return Accepted(attempt=1 if attempt is None else attempt, seq=publication.seq)
    if publication.channel != standing.channel:
        return Refusal.WRONG_CHANNEL
    if attempt is None or attempt == standing.attempt:
        return _evaluate_seq(standing, publication.seq)
    if attempt < standing.attempt:
        return Refusal.SUPERSEDED
    return Accepted(attempt=attempt, seq=publication.seq)


def _evaluate_seq(standing: FenceState, seq: int | None) -> Accepted | Repeat | Refusal:
    if seq is not None and standing.seq is not None and standing.given is not None:
        if seq == standing.seq:
            return Repeat(offset=standing.given)
        if seq < standing.seq:
            return Refusal.SUPERSEDED
    if standing.closed:
        return Refusal.CLOSED
    if seq is None:
        return Accepted(attempt=standing.attempt, seq=standing.seq, given=standing.given)
    return Accepted(attempt=standing.attempt, seq=seq)
