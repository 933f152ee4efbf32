"""The keys in which video workers keep what they do: their names, and what their values say. No I/O.

tenant:{tenant_id}:video:{video_id}:status    {"status","hls_path","duration","error_reason",…}
tenant:{tenant_id}:video:{video_id}:progress  {"percent","step","remaining_seconds",…}
job:video:{video_id}:progress                 the same, of older workers, which name no tenant
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from statushub.hub.model.status import Status
from statushub.hub.model.video_steps import VideoSteps
from statushub.hub.model.vocabulary import VIDEO_STATUS, Phase, meaning_of

VALUE_BYTES: Final = 64 * 1024
"""Largest value that is read, as large as the largest event: a status is a few hundred bytes."""

LARGEST: Final = 2**53 - 1
"""Largest whole number that every reader of JSON keeps exact; beyond it none is meant."""

OWN_FIELDS: Final = frozenset({"status", "percent", "progress"})
"""Fields whose values are read here; the others are taken as they are."""

_WORDS: Final[Mapping[str, Phase]] = {word: phase for phase, word in VIDEO_STATUS.items() if phase is not Phase.IDLE}

_STATUS: Final = re.compile(r"tenant:([^:]+):video:(.+):(?:status|progress)", re.DOTALL)
_JOB: Final = re.compile(r"job:video:(.+):progress", re.DOTALL)

_decoder = msgspec.json.Decoder(dict[str, Any])


class VideoKey(msgspec.Struct, frozen=True, kw_only=True):
    """What the name of a key says; `tenant_id` is None for the older one."""

    tenant_id: str | None
    video_id: str


def status_key(tenant_id: str, video_id: str) -> str:
    """The key of a video's status."""
    return f"tenant:{tenant_id}:video:{video_id}:status"


def progress_key(tenant_id: str, video_id: str) -> str:
    """The key of a video's progress."""
    return f"tenant:{tenant_id}:video:{video_id}:progress"


def job_key(video_id: str) -> str:
    """The older key of a video's progress."""
    return f"job:video:{video_id}:progress"


def key_patterns(prefix: str) -> tuple[str, str]:
    """Patterns of Redis that every key matches, and few others; `prefix` holds nothing that is special in one."""
    return f"{prefix}tenant:*:video:*", f"{prefix}job:video:*:progress"


def parse_key(name: bytes, prefix: str) -> VideoKey | None:
    """The key with this name; None for any other."""
    try:
        text = name.decode()
    except UnicodeDecodeError:
        return None
    if not text.startswith(prefix):
        return None
    text = text.removeprefix(prefix)
    if match := _STATUS.fullmatch(text):
        return VideoKey(tenant_id=match[1], video_id=match[2])
    if match := _JOB.fullmatch(text):
        return VideoKey(tenant_id=None, video_id=match[1])
    return None


def video_status(said: bytes | None, progress: bytes | None, job: bytes | None, steps: VideoSteps) -> Status | None:
    """What the values of the three keys say; None where there is no status.

    A value counts as missing that is empty, no JSON object, or larger than `VALUE_BYTES`; a field that holds None or
    NaN is none, and a percentage out of range is the nearest that is in it.
    """
    status = read_value(said)
    if status is None:
        return None
    phase = _phase(status.get("status"))
    if phase is Phase.COMPLETED:
        # What the progress key says is of a moment before.
        return Status(phase=phase, data={**_others(status), "progress": 100})
    told = read_value(progress)
    if told is None:
        told = read_value(job) or {}
    data = {**_others(told), **_others(status)}
    if phase.terminal:
        data.pop("remaining_seconds", None)
    percent = _percent(told)
    if percent is None:
        percent = steps.percent(told.get("step"))
    return Status(phase=phase, data=data if percent is None else {**data, "progress": percent})


def read_value(value: bytes | None) -> dict[str, Any] | None:
    """The JSON object in a value; None where there is none. Python's `NaN` and `Infinity`, which are no JSON, are
    None."""
    if not value or len(value) > VALUE_BYTES:
        return None
    try:
        return _decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        read = json.loads(value.decode(), parse_constant=lambda name: None)
    except (ValueError, RecursionError):
        return None
    return read if isinstance(read, dict) else None


def _phase(word: object) -> Phase:
    if not isinstance(word, str):
        return Phase.PENDING
    # In this vocabulary `ready` says that it is done, in small letters, too.
    if (known := _WORDS.get(word.strip().upper())) is not None:
        return known
    meaning = meaning_of(word.strip())
    # An unknown one is a word for a part of the work.
    return Phase.PROCESSING if meaning is None else meaning.phase


def _percent(told: Mapping[str, Any]) -> int | float | None:
    for name in ("percent", "progress"):
        value = told.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and _sound(value):
            return min(max(value, 0), 100)
    return None


def _others(value: Mapping[str, Any]) -> dict[str, Any]:
    return {name: each for name, each in value.items() if name not in OWN_FIELDS and _sound(name) and _sound(each)}


def _sound(value: object) -> bool:
    """Whether it is a value, and one that can be sent on."""
    match value:
        case None:
            return False
        case float():
            return math.isfinite(value)
        case int():
            return abs(value) <= LARGEST
        case str():
            return not any("\ud800" <= character <= "\udfff" for character in value)
        case _:
            return True
