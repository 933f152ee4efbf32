"""Why a hub refused a status, as one sentence."""

from __future__ import annotations

from typing import Final

from statushub.hub.cli.failure import REFUSED, Failure
from statushub.hub.cli.terminal import printable
from statushub.hub.model.receipt import Refusal

REASONS: Final = {
    Refusal.SUPERSEDED: "a later run or attempt, or a later seq of this one, is already stored",
    Refusal.CLOSED: "the attempt has ended; --restart begins another",
    Refusal.QUOTA_EXCEEDED: "the tenant or the channel stores as much as it may",
    Refusal.REMOVED: "the content was removed, and this belongs to what was removed; --restart begins it anew",
    Refusal.UNKNOWN: "there is no such content yet, which a delta could change",
    Refusal.GAP: "the delta does not follow the content's last event",
    Refusal.TOO_LARGE: "the delta would have the content grow beyond its limits",
    Refusal.OCCUPIED: "another program's key lies where the content would be stored",
}


def refused(reason: Refusal, channel: str, content_id: str, *, home: str | None = None) -> Failure:
    """The error for a refusal. `home` is the channel that the content belongs to, as far as the hub has told it."""
    sentence = REASONS.get(reason)
    if sentence is None:
        where = "another channel" if home is None else f"the channel {printable(home)!r}"
        sentence = f"the content {content_id!r} belongs to {where} and not to {channel!r}; choose another id"
    return Failure(f"refused, {reason}: {sentence}", REFUSED)
