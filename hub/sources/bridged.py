"""The publication by which the bridge brings the hub's state of a video up to that of its keys. No I/O.

Several hubs may bridge the same keys, and each of them sees each change. What they publish is the same, by the fence:

- All use one run, `RUN`, and number the states of a content. The number is kept in the data, beside a digest of the
  keys, because it follows from the state that is there: the next one is one higher. Of two hubs that publish the next
  one, the second is a repeat, which is neither stored nor announced. So an ending comes once.
- A hub looks up the content *before* it reads the keys. Where nothing was published since, what it read is at least as
  new as what is there; where something was, its number is taken. So no state goes back to an older one.
- A content whose attempt has ended is opened again, by `restart`, only where the keys have changed since.
- The run is older than any other: a producer's own run supersedes it whenever it begins, and it supersedes none. A
  content whose latest event is not the bridge's is left alone.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from statushub.hub.model import status
from statushub.hub.model.errors import Invalid
from statushub.hub.model.event import Event
from statushub.hub.model.publication import Publication, publication
from statushub.hub.model.status import Status
from statushub.hub.model.vocabulary import ERROR_TEXTS, VIDEO_STATUS

RUN: Final = "video-keys"
"""The run of all that is bridged. Runs are named within a content, so one name does for all."""

AGE_MS: Final = 10**14
"""The age of that run: 3,000 years, so that it began before any other."""

MARK: Final = "video_keys"
"""The field with the number and the digest of a state that was bridged: `3:5fce2704496ba9e5`."""

DIGEST_BYTES: Final = 8
"""Of the keys: two states of one video differ in it but once in 10^19."""

KNOWN_FIELDS: Final = frozenset(
    {"step", "step_index", "total_steps", "remaining_seconds", "hls_path", "duration", "error_reason", "progress"}
)
"""Fields that are published even where the others are invalid, or too large."""

ENDING_FIELDS: Final = frozenset({"hls_path", "duration", *ERROR_TEXTS})
"""Fields by which one ending differs from another."""

TAKEN_FIELDS: Final = frozenset(
    {"content_id", "channel_id", "processing_status", "timestamp", "completed_at", "estimated_completion", MARK}
)
"""Fields that mean something else in the hub."""

_MARK: Final = re.compile(r"(\d{1,15}):([0-9a-f]+)")

_encode = msgspec.json.Encoder(order="deterministic").encode


def bridged(
    channel: str, content_id: str, event: Event | None, keys: Status | None, *, changed: bool
) -> Publication | None:
    """What to publish, given the content's latest `event` and what the keys say; None where nothing is to be.

    `changed` tells that the keys were seen to change: an ending that was not, of a content that the hub does not know,
    is an old one, and is left to the source. Raises `Invalid` for an id that no content may have.
    """
    if keys is None:
        return None
    digest = _digest(keys)
    number, restart = 1, False
    if event is None or event.removed:
        if keys.phase.terminal and not changed:
            return None
    else:
        held = status.read(event)
        mark = _mark(held.data)
        if mark is None or mark[1] == digest:
            return None
        number, restart = mark[0] + 1, held.phase.terminal
    data = {"status": VIDEO_STATUS[keys.phase], MARK: f"{number}:{digest}"}
    fence: dict[str, Any] = {"run": RUN, "age_ms": AGE_MS, "seq": number, "restart": restart}
    try:
        return publication(channel=channel, content_id=content_id, data={**_fields(keys.data), **data}, **fence)
    except Invalid:
        known = {name: value for name, value in keys.data.items() if name in KNOWN_FIELDS}
        return publication(channel=channel, content_id=content_id, data={**_valid(known), **data}, **fence)


def _fields(data: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name not in TAKEN_FIELDS}


def _valid(data: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is no text and no number: their size is limited by that of a value."""
    return {name: value for name, value in data.items() if isinstance(value, str | int | float)}


def _digest(keys: Status) -> str:
    # An ending is the same one while only the progress changes, as it does before a video is encoded again.
    ending = keys.phase.terminal
    data = {name: value for name, value in keys.data.items() if not ending or name in ENDING_FIELDS}
    said = _encode([keys.phase, data])
    return hashlib.blake2b(said, digest_size=DIGEST_BYTES).hexdigest()


def _mark(data: Mapping[str, Any]) -> tuple[int, str] | None:
    """The number and the digest of a state that was bridged; None for one that was not."""
    mark = data.get(MARK)
    match = _MARK.fullmatch(mark) if isinstance(mark, str) else None
    return None if match is None else (int(match[1]), match[2])
