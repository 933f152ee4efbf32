"""What a producer says, checked and brought into the form that is stored."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, get_args

import msgspec

from statushub.hub.model.cancel import CANCEL_REQUESTED, CancelRequest, requested
from statushub.hub.model.cursor import COUNTER_MAX
from statushub.hub.model.delta import Delta, check_delta
from statushub.hub.model.delta import encode as encode_delta
from statushub.hub.model.errors import Invalid, TooLarge
from statushub.hub.model.event import Event, decode
from statushub.hub.model.line import one_line
from statushub.hub.model.names import check_name, check_published_channel
from statushub.hub.model.timestamp import estimated_completion, is_timestamp, timestamp
from statushub.hub.model.vocabulary import (
    CANCELLED,
    COMPLETE,
    CONTENT_DELTA,
    CONTENT_STATUS,
    ENCODING_PROGRESS,
    ERROR,
    ERROR_TEXTS,
    PROCESSING_PHASES,
    RESERVED_TYPES,
    STALLED,
    STATUS_UPDATE,
    TIMEOUT,
    TYPE_PHASES,
    ContentStatus,
    Phase,
    advice,
    meaning_of,
    phase_of,
)

EVENT_BYTES: Final = 60 * 1024
"""Largest `data` of one event, as JSON: its frame, with all else, fits into the 64 KiB that readers such as Go's
`bufio.Scanner` take by default. A status is a few hundred bytes; results belong behind a URL."""

EVENT_BYTES_MAX: Final = 64 * 1024
"""The most that a hub may allow, for clients whose readers take more."""

BATCH_EVENTS: Final = 1_000
"""Most events of one publish over HTTP: a second of a busy producer, and a few milliseconds of the broker's time."""

LEASE_SECONDS_MAX: Final = 24 * 3600.0
"""Longest lease. A worker that is silent for a day is not late, it is gone."""

RUN_CHARACTERS: Final = 64
"""Longest name of a run: a UUID or a host and a counter fit, and eight former ones are kept with each content."""

_REASONS: Final[Mapping[str | None, str]] = {
    CANCELLED: "The work was cancelled.",
    TIMEOUT: "The work exceeded its time limit.",
}
"""The `error_message` of a failure whose producer gives none, by its `error_code`."""

_TYPE = re.compile(r"[A-Za-z0-9_.:-]+", re.ASCII)
_RUN = re.compile(rf"[A-Za-z0-9_.:/-]{{1,{RUN_CHARACTERS}}}", re.ASCII)

_WORDS: Final = f"{', '.join(get_args(ContentStatus))}, or a word for one of them"

_encoder = msgspec.json.Encoder()


class Publication(msgspec.Struct, frozen=True, kw_only=True):
    """One status of one content, as a producer offers it. `publication` makes and checks it.

    `run` names the try of the work that reports, `age_ms` is for how many milliseconds it has been running, and
    `restart` says that it goes on after its attempt has ended. `lease` is in seconds; 0 is none. With a `delta`, `data`
    are what announces it.
    """

    channel: str
    content_id: str
    type: str
    data: bytes
    phase: Phase
    attempt: int | None = None
    seq: int | None = None
    lease: float | None = None
    run: str | None = None
    age_ms: int = 0
    restart: bool = False
    delta: Delta | None = None

    @property
    def terminal(self) -> bool:
        """Whether it ends its attempt."""
        return self.phase.terminal


def publication(
    *,
    channel: object,
    content_id: object,
    data: object = None,
    type: object = None,
    attempt: object = None,
    seq: object = None,
    lease: object = None,
    run: object = None,
    age_ms: object = None,
    restart: object = None,
    delta: object = None,
    max_bytes: int = EVENT_BYTES,
) -> Publication:
    """Check what a producer says and bring it into the form that is stored.

    `data` is a mapping that holds at least a `status` (any word that `meaning_of` knows) unless `type` or a
    known `processing_status` implies it. The stored `data` is that mapping with `content_id`,
    `channel_id`, `status` (content vocabulary), `processing_status` and `timestamp` filled in; of a failure also
    `error_message` and, where the word names one, `error_code`, of a completed content `completed_at`, and where
    `remaining_seconds` says what remains, `estimated_completion`.

    Instead of `data` and a `type`, a `delta` `{"follows","set","append"}` says what changed in the open attempt since
    the publication with the seq `follows`: fields with new values, and texts and lists with what is appended to them.
    It has a `seq`, and its phase is that of a content that is processed.

    Raises `Invalid` naming the field at fault, `TooLarge` where the stored `data` have more than `max_bytes`.
    """
    channel = check_published_channel(channel)
    content_id = check_name(content_id, "content_id")
    if delta is not None:
        changed = _delta(delta, data, type, restart, _counter(seq, "seq"))
        return Publication(
            channel=channel,
            content_id=content_id,
            type=CONTENT_DELTA,
            data=_fitting(encode_delta(content_id, changed), "delta", max_bytes),
            phase=Phase.PROCESSING,
            attempt=_counter(attempt, "attempt"),
            seq=_counter(seq, "seq"),
            lease=_lease(lease),
            run=_run(run, attempt, age_ms, restart),
            age_ms=_counter(age_ms, "age_ms") or 0,
            delta=changed,
        )
    if not isinstance(data, Mapping):
        raise Invalid("data must be an object", field="data")
    if type is not None:
        _check_type(type)
    _check_echo(data, "content_id", content_id)
    _check_echo(data, "channel_id", channel)
    if CANCEL_REQUESTED in data:
        raise Invalid(
            f"data.{CANCEL_REQUESTED} is set by the hub, and must be left out", field=f"data.{CANCEL_REQUESTED}"
        )
    phase = _phase(data, type)
    processing_status = _processing_status(data, phase)
    _check_progress(data, "data.progress")

    said = {
        "content_id": content_id,
        "channel_id": channel,
        "status": CONTENT_STATUS[phase],
        "processing_status": processing_status,
    }
    # They come first, and as they are said here.
    filled: dict[str, Any] = {**said, **data, **said}
    if phase is Phase.FAILED:
        filled.update(_failure(data))
    filled["timestamp"] = moment = _timestamp(data, "data.timestamp")
    if phase is Phase.COMPLETED and data.get("completed_at") is None:
        filled["completed_at"] = moment
    if not phase.terminal and data.get("estimated_completion") is None:
        estimated = estimated_completion(moment, data.get("remaining_seconds"))
        if estimated is not None:
            filled["estimated_completion"] = estimated

    return Publication(
        channel=channel,
        content_id=content_id,
        type=type if isinstance(type, str) else _type(data, phase),
        data=_encode(filled, max_bytes),
        phase=phase,
        attempt=_counter(attempt, "attempt"),
        seq=_counter(seq, "seq"),
        lease=_lease(lease),
        run=_run(run, attempt, age_ms, restart),
        age_ms=_counter(age_ms, "age_ms") or 0,
        restart=_flag(restart, "restart"),
    )


def stalled(event: Event) -> Publication:
    """The ending of a content whose lease ran out: all it last said, and that it stalled."""
    return _ending(event, STALLED, "The worker stopped reporting before the work ended.")


def cancelled(event: Event) -> Publication:
    """The ending of a content whose worker did not end it after a request to cancel, which its last state has."""
    return _ending(event, CANCELLED, cancel_message(requested(event.data)))


def cancel_message(request: CancelRequest | None) -> str:
    """The `error_message` of a work that was cancelled on request."""
    said = _REASONS[CANCELLED]
    return said if request is None or request.reason is None else f"{said.rstrip('.')}: {request.reason}"


def _ending(event: Event, code: str, message: str) -> Publication:
    try:
        data = decode(event.data)
    except Invalid:
        data = {"content_id": event.content_id, "channel_id": event.channel}
    data.pop(CANCEL_REQUESTED, None)
    data.update(
        status=CONTENT_STATUS[Phase.FAILED],
        processing_status=Phase.FAILED.value,
        error_code=code,
        error_message=message,
        timestamp=timestamp(),
    )
    return Publication(
        channel=event.channel,
        content_id=event.content_id,
        type=ERROR,
        data=one_line(_encoder.encode(data)),
        phase=Phase.FAILED,
    )


def _check_type(value: object) -> None:
    check_name(value, "type")
    if not isinstance(value, str) or _TYPE.fullmatch(value) is None:
        raise Invalid("type may hold only the characters A-Z a-z 0-9 _ . : -", field="type")
    if value in RESERVED_TYPES:
        raise Invalid(f"type {value!r} is reserved", field="type")


def _check_echo(data: Mapping[str, Any], key: str, expected: str) -> None:
    if data.get(key, expected) != expected:
        raise Invalid(f"data.{key} contradicts the publication, which says {expected!r}", field=f"data.{key}")


def _phase(data: Mapping[str, Any], type: object) -> Phase:
    implied = TYPE_PHASES.get(type) if isinstance(type, str) else None
    phase = _said_phase(data, implied)
    # A page learns of an ending by its type, and listens for no others: an ending has that type and no other.
    ending = implied if implied is not None and implied.terminal else None
    if type is not None and ending is not (phase if phase.terminal else None):
        raise Invalid(f"type {type!r} contradicts the status, which is {CONTENT_STATUS[phase]!r}", field="type")
    return phase


def _said_phase(data: Mapping[str, Any], implied: Phase | None) -> Phase:
    status, processing_status = data.get("status"), data.get("processing_status")
    if status is None:
        known = PROCESSING_PHASES.get(processing_status) if isinstance(processing_status, str) else None
        if (phase := implied or known) is None:
            raise Invalid("data.status is missing", field="data.status")
        return phase
    if meaning_of(status) is None:
        said = f"{status!r:.60}" if isinstance(status, str) else "no text"
        raise Invalid(f"data.status is {said}, and must be one of {_WORDS}.{advice(status)}", field="data.status")
    return phase_of(data)


def _processing_status(data: Mapping[str, Any], phase: Phase) -> str | None:
    value = data.get("processing_status")
    if value is None:
        return phase.value if phase.terminal or phase is Phase.PENDING else None
    said = PROCESSING_PHASES.get(value) if isinstance(value, str) else None
    if said is None:
        check_name(value, "data.processing_status")
    if said is None and phase.terminal and (meaning := meaning_of(value)) is not None and meaning.phase is phase:
        return phase.value
    if (said is not None and said.terminal and said is not phase) or (phase.terminal and said is not phase):
        raise Invalid(
            f"data.processing_status {value!r} contradicts the status, which is {CONTENT_STATUS[phase]!r}",
            field="data.processing_status",
        )
    return str(value)


def _check_progress(data: Mapping[str, Any], field: str) -> None:
    value = data.get("progress")
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
        raise Invalid(f"{field} must be a number from 0 to 100", field=field)


def _delta(value: object, data: object, type: object, restart: object, seq: int | None) -> Delta:
    """The delta that a producer says, with the fields that are filled in."""
    for name, said in (("data", data), ("type", type)):
        if said is not None:
            raise Invalid(f"{name} must be left out where there is a delta", field=name)
    if restart:
        raise Invalid("restart must be left out where there is a delta, which opens no attempt", field="restart")
    delta = check_delta(value)
    if seq is None or seq <= delta.follows:
        raise Invalid("seq must be there with a delta, and be over delta.follows", field="seq")
    said_sets = value.get("set") if isinstance(value, Mapping) else None
    fields: Mapping[str, Any] = said_sets or {}
    _check_progress(fields, "delta.set.progress")
    moment = _timestamp(fields, "delta.set.timestamp")
    filled = {"timestamp": moment}
    if fields.get("estimated_completion") is None:
        estimated = estimated_completion(moment, fields.get("remaining_seconds"))
        if estimated is not None:
            filled["estimated_completion"] = estimated
    return Delta(
        follows=delta.follows,
        sets={**delta.sets, **{name: _encoder.encode(it) for name, it in filled.items()}},
        appends=delta.appends,
    )


def _failure(data: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that say why it failed: what the producer says, else what its word for the failure means."""
    meaning = meaning_of(data.get("status"))
    code = data.get("error_code") or (meaning and meaning.error_code)
    said = next((text for key in ERROR_TEXTS if isinstance(text := data.get(key), str) and text), None)
    known = _REASONS.get(code) if isinstance(code, str) else None
    message = said or known or "The producer reported an error and gave no reason."
    return {"error_message": message} if code is None else {"error_message": message, "error_code": code}


def _timestamp(data: Mapping[str, Any], field: str) -> str:
    value = data.get("timestamp")
    if value is None:
        return timestamp()
    try:
        moment = datetime.fromisoformat(value)
        if is_timestamp(value):
            return str(value)
        if moment.tzinfo is None:
            raise Invalid(f"{field} must say its time zone, such as Z", field=field)
        return timestamp(moment)
    except (TypeError, ValueError, OverflowError) as error:
        raise Invalid(f"{field} must be an ISO 8601 date and time", field=field) from error


def _type(data: Mapping[str, Any], phase: Phase) -> str:
    if phase is Phase.COMPLETED:
        return COMPLETE
    if phase is Phase.FAILED:
        return ERROR
    return ENCODING_PROGRESS if data.get("status") in ("PENDING", "PROCESSING") else STATUS_UPDATE


def _counter(value: object, field: str) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= COUNTER_MAX:
        raise Invalid(f"{field} must be a whole number from 0 to 2^53 - 1", field=field)
    return value


def _run(value: object, attempt: object, age_ms: object, restart: object) -> str | None:
    if value is None:
        if restart:
            raise Invalid("restart needs a run, which is the one that goes on", field="restart")
        if age_ms is not None:
            raise Invalid("age_ms needs a run, whose age it is", field="age_ms")
        return None
    if attempt is not None:
        raise Invalid("attempt must be left out where there is a run, which is given its attempt", field="attempt")
    if not isinstance(value, str) or _RUN.fullmatch(value) is None:
        raise Invalid(f"run must be 1 to {RUN_CHARACTERS} of the characters A-Z a-z 0-9 _ . : / -", field="run")
    return value


def _flag(value: object, field: str) -> bool:
    if value is not None and not isinstance(value, bool):
        raise Invalid(f"{field} must be true or false", field=field)
    return bool(value)


def _lease(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LEASE_SECONDS_MAX:
        raise Invalid(f"lease must be a number of seconds from 0 (none) to {LEASE_SECONDS_MAX:g}", field="lease")
    return float(value)


def _encode(data: Mapping[str, Any], max_bytes: int) -> bytes:
    try:
        encoded = one_line(_encoder.encode(data))
    except (TypeError, ValueError, RecursionError) as error:
        raise Invalid(f"data cannot be written as JSON: {error}", field="data") from error
    return _fitting(encoded, "data", max_bytes)


def _fitting(encoded: bytes, field: str, max_bytes: int) -> bytes:
    if len(encoded) > max_bytes:
        raise TooLarge(f"{field} has {len(encoded)} bytes; at most {max_bytes} are allowed", field=field, limit="event")
    return encoded
