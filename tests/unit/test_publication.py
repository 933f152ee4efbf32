"""The fields that a producer may publish, and the form in which they are stored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statushub.hub.model.cursor import COUNTER_MAX, Cursor
from statushub.hub.model.errors import Invalid, TooLarge
from statushub.hub.model.event import Event, decode
from statushub.hub.model.names import BATCH_PATH, RESERVED_SEGMENTS, check_name, check_tenant
from statushub.hub.model.publication import EVENT_BYTES, Publication, publication, stalled
from statushub.hub.model.vocabulary import Phase, phase_of

ROOT = Path(__file__).parents[2]


def made(data: dict[str, Any] | None = None, **more: Any) -> tuple[Publication, dict[str, Any]]:
    """A publication of `data`, and the data as stored."""
    publication_ = publication(channel="c", content_id="x", data=data or {}, **more)
    return publication_, json.loads(publication_.data)


@pytest.mark.parametrize(
    ("status", "content_status", "processing_status", "type", "terminal"),
    [
        ("idle", "idle", None, "content_status_update", False),
        ("generating", "generating", None, "content_status_update", False),
        ("complete", "complete", "completed", "processing_complete", True),
        ("error", "error", "failed", "processing_error", True),
        ("PENDING", "idle", "pending", "encoding_progress", False),
        ("PROCESSING", "generating", None, "encoding_progress", False),
        ("READY", "complete", "completed", "processing_complete", True),
        ("FAILED", "error", "failed", "processing_error", True),
        ("pending", "idle", "pending", "content_status_update", False),
        ("processing", "generating", None, "content_status_update", False),
        ("completed", "complete", "completed", "processing_complete", True),
        ("failed", "error", "failed", "processing_error", True),
    ],
)
def test_every_vocabulary_maps_onto_that_of_the_wire(
    status: str, content_status: str, processing_status: str | None, type: str, terminal: bool
) -> None:
    """Status, processing status and type follow from the status in any vocabulary."""
    publication_, data = made({"status": status})
    assert (data["status"], data["processing_status"]) == (content_status, processing_status)
    assert (publication_.type, publication_.terminal) == (type, terminal)


@pytest.mark.parametrize(
    ("data", "type", "status"),
    [
        ({"processing_status": "summarizing"}, None, "generating"),
        ({"processing_status": "completed"}, None, "complete"),
        ({}, "encoding_progress", "generating"),
        ({}, "processing_complete", "complete"),
        ({}, "processing_error", "error"),
        ({"status": "generating"}, "my.own-type:1", "generating"),
    ],
)
def test_the_status_follows_from_other_fields(data: dict[str, Any], type: str | None, status: str) -> None:
    """A type or a known processing status implies a status; unknown types pass through."""
    publication_, stored = made(data, type=type)
    assert stored["status"] == status
    assert type in (None, publication_.type)


def test_extra_fields_keep_their_order_and_exact_values() -> None:
    """Empty lists, large numbers and any text survive unchanged."""
    extra = {"list": [], "object": {}, "large": 2**60 + 1, "text": "ü\u2028\u0000", "null": None, "float": 0.1}
    _, stored = made({"status": "generating", **extra})
    assert {key: stored[key] for key in extra} == extra
    assert list(stored)[:4] == ["content_id", "channel_id", "status", "processing_status"]
    assert list(stored)[-1] == "timestamp"


@pytest.mark.parametrize(
    ("said", "stored"),
    [
        ("2025-07-31T13:00:00Z", "2025-07-31T13:00:00.000Z"),
        ("2025-07-31T15:00:00.1239+02:00", "2025-07-31T13:00:00.123Z"),
        ("0099-01-01T00:00:00+00:00", "0099-01-01T00:00:00.000Z"),
        ("2025-07-31T13:00:00.123Z", "2025-07-31T13:00:00.123Z"),
        ("2025-07-31T13:00:00,123Z", "2025-07-31T13:00:00.123Z"),
        ("2025-07-31 13:00:00.123Z", "2025-07-31T13:00:00.123Z"),
        ("2025-07-31T15:00:00.1+02", "2025-07-31T13:00:00.100Z"),
        ("2025-W31-4T13:00:00.123Z", "2025-07-31T13:00:00.123Z"),
    ],
)
def test_timestamps_are_converted_to_utc(said: str, stored: str) -> None:
    """Stored timestamps are ISO 8601 with milliseconds and Z, whatever their offset was."""
    assert made({"status": "idle", "timestamp": said})[1]["timestamp"] == stored


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "The producer reported an error and gave no reason."),
        ({"error": "disk full"}, "disk full"),
        ({"error_reason": "codec"}, "codec"),
        ({"error_reason": "r", "error": "e"}, "e"),
        ({"error_reason": "r", "error": "e", "error_message": "m"}, "m"),
        ({"error_message": 7}, "The producer reported an error and gave no reason."),
    ],
)
def test_an_error_always_has_a_message(data: dict[str, Any], message: str) -> None:
    """`processing_error` carries `error_message`, taken from the first field that holds a text."""
    assert made({"status": "error", **data})[1]["error_message"] == message


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"channel": ""}, "channel"),
        ({"channel": None}, "channel"),
        ({"channel": "a*"}, "channel"),
        ({"channel": " a"}, "channel"),
        ({"channel": "a\nb"}, "channel"),
        ({"channel": "x" * 129}, "channel"),
        ({"content_id": 7}, "content_id"),
        ({"content_id": "a\x00"}, "content_id"),
        ({"content_id": "a\u2028b"}, "content_id"),
        ({"data": None}, "data"),
        ({"data": []}, "data"),
        ({"data": {}}, "data.status"),
        ({"data": {"status": 7}}, "data.status"),
        ({"data": {"status": "dancing"}}, "data.status"),
        ({"data": {"processing_status": "dancing"}}, "data.status"),
        ({"data": {"status": "generating", "processing_status": "completed"}}, "data.processing_status"),
        ({"data": {"status": "complete", "processing_status": "summarizing"}}, "data.processing_status"),
        ({"data": {"status": "complete", "processing_status": "dancing"}}, "data.processing_status"),
        ({"data": {"status": "idle", "processing_status": 3}}, "data.processing_status"),
        ({"data": {"status": "idle", "progress": "45"}}, "data.progress"),
        ({"data": {"status": "idle", "progress": True}}, "data.progress"),
        ({"data": {"status": "idle", "progress": -1}}, "data.progress"),
        ({"data": {"status": "idle", "progress": 100.5}}, "data.progress"),
        ({"data": {"status": "idle", "progress": float("nan")}}, "data.progress"),
        ({"data": {"status": "idle", "timestamp": "yesterday"}}, "data.timestamp"),
        ({"data": {"status": "idle", "timestamp": 7}}, "data.timestamp"),
        ({"data": {"status": "idle", "timestamp": "2025-07-31T13:00:00"}}, "data.timestamp"),
        ({"data": {"status": "idle", "timestamp": "0001-01-01T00:00:00+14:00"}}, "data.timestamp"),
        ({"data": {"status": "idle", "content_id": "other"}}, "data.content_id"),
        ({"data": {"status": "idle", "channel_id": "other"}}, "data.channel_id"),
        ({"data": {"status": "idle", "object": object()}}, "data"),
        ({"type": "ready"}, "type"),
        ({"type": "error"}, "type"),
        ({"type": "a b"}, "type"),
        ({"type": 7}, "type"),
        ({"type": "processing_complete"}, "type"),
        ({"type": "content_status_update", "data": {"status": "complete"}}, "type"),
        ({"type": "processing_complete", "data": {"status": "error"}}, "type"),
        ({"type": "my.own-type:1", "data": {"status": "complete"}}, "type"),
        ({"type": "my.own-type:1", "data": {"processing_status": "failed"}}, "type"),
        ({"attempt": -1}, "attempt"),
        ({"attempt": 1.0}, "attempt"),
        ({"attempt": True}, "attempt"),
        ({"seq": COUNTER_MAX + 1}, "seq"),
        ({"seq": "1"}, "seq"),
        ({"lease": -0.1}, "lease"),
        ({"lease": 86_401}, "lease"),
        ({"lease": float("inf")}, "lease"),
        ({"lease": float("nan")}, "lease"),
        ({"lease": "60"}, "lease"),
        ({"lease": True}, "lease"),
        ({"run": ""}, "run"),
        ({"run": 7}, "run"),
        ({"run": "a b"}, "run"),
        ({"run": "a\n"}, "run"),
        ({"run": "ü"}, "run"),
        ({"run": "x" * 65}, "run"),
        ({"run": "r", "attempt": 1}, "attempt"),
        ({"age_ms": 5}, "age_ms"),
        ({"run": "r", "age_ms": -1}, "age_ms"),
        ({"run": "r", "age_ms": 1.5}, "age_ms"),
        ({"run": "r", "age_ms": COUNTER_MAX + 1}, "age_ms"),
        ({"restart": True}, "restart"),
        ({"run": "r", "restart": 1}, "restart"),
    ],
)
def test_an_invalid_field_is_named(change: dict[str, Any], field: str) -> None:
    """The error `Invalid` gives the field as a path."""
    said: dict[str, Any] = {"channel": "c", "content_id": "x", "data": {"status": "generating"}}
    with pytest.raises(Invalid) as caught:
        publication(**(said | change))
    assert caught.value.field == field
    assert field in caught.value.message


@pytest.mark.parametrize("segment", sorted(RESERVED_SEGMENTS))
def test_a_channel_that_a_route_would_hide_is_refused(segment: str) -> None:
    """The last segment names a route of the channel before it; elsewhere in a name it is free."""
    for channel in (segment, f"jobs/{segment}", f"jobs/a/{segment}"):
        with pytest.raises(Invalid, match=segment) as caught:
            publication(channel=channel, content_id="x", data={"status": "idle"})
        assert caught.value.field == "channel"
    for channel in (f"{segment}/jobs", f"{segment}s", f"jobs/{segment.upper()}"):
        assert publication(channel=channel, content_id="x", data={"status": "idle"}).channel == channel


def test_a_channel_named_as_the_batch_poll_is_refused() -> None:
    """Only the whole name is the path of the batch poll."""
    with pytest.raises(Invalid, match="batch"):
        publication(channel=BATCH_PATH, content_id="x", data={"status": "idle"})
    assert publication(channel="batch", content_id=BATCH_PATH, data={"status": "idle"}).channel == "batch"


@pytest.mark.parametrize("lease", [None, 0, 0.5, 86_400])
def test_a_lease_may_be_none(lease: float | None) -> None:
    """0 is a lease that never runs out; a lease that is not given is left to the hubs."""
    assert made({"status": "generating"}, lease=lease)[0].lease == lease


def test_a_run_is_taken_with_its_age() -> None:
    """Its characters are those that need no quoting; the age is 0 where none is given."""
    name = "Worker-1/_a.b:7" + "x" * 49
    plain, _ = made({"status": "generating"}, run=name)
    assert (plain.run, plain.age_ms, plain.restart) == (name, 0, False)
    again, _ = made({"status": "generating"}, run=name, age_ms=1_500, seq=3, restart=True)
    assert (again.run, again.age_ms, again.seq, again.restart) == (name, 1_500, 3, True)


@pytest.mark.parametrize("separator", ["\u0085", "\u2028", "\u2029"])
def test_line_separators_are_stored_as_escapes(separator: str) -> None:
    """Readers that split lines at them get whole data, of a lease's end too; what they stand for is unchanged."""
    publication_, data = made({"status": "generating", f"a{separator}": {f"b{separator}": [f"c{separator}"]}})
    assert data[f"a{separator}"] == {f"b{separator}": [f"c{separator}"]}
    stored = Event(channel="c", content_id="x", offset=1, type=publication_.type, data=publication_.data)
    for found in (publication_.data, stalled(stored).data):
        assert found.count(f"\\u{ord(separator):04x}".encode()) == 3
        assert separator.encode() not in found


def test_the_limit_counts_escaped_separators() -> None:
    """A text that has room only as raw characters is too large."""
    made({"status": "idle", "text": "\u2028" * (EVENT_BYTES // 6 - 100)})
    with pytest.raises(TooLarge):
        made({"status": "idle", "text": "\u2028" * (EVENT_BYTES // 6)})


def test_data_over_the_limit_are_too_large() -> None:
    """The limit of 60 KiB counts the data as stored."""
    with pytest.raises(TooLarge, match="at most 61440"):
        made({"status": "idle", "text": "x" * EVENT_BYTES})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=10,
)
known_keys = st.sampled_from(["status", "processing_status", "progress", "timestamp", "content_id", "error_message"])


@given(
    data=json_values | st.dictionaries(known_keys | st.text(), json_values),
    type=json_values,
    attempt=json_values,
    seq=json_values,
    lease=json_values,
    run=st.fixed_dictionaries({}, optional={"run": json_values, "age_ms": json_values, "restart": json_values}),
)
def test_any_json_is_stored_whole_or_refused(
    data: Any, type: Any, attempt: Any, seq: Any, lease: Any, run: dict[str, Any]
) -> None:
    """Arbitrary JSON gives valid stored data or `Invalid`, and no other error."""
    try:
        publication_ = publication(
            channel="c", content_id="x", data=data, type=type, attempt=attempt, seq=seq, lease=lease, **run
        )
    except Invalid as error:
        field = error.field
    else:
        field = "none"
        stored = decode(publication_.data)
        assert stored["content_id"] == "x"
        assert phase_of(stored).terminal == publication_.terminal
    assert field


def test_a_stalled_content_keeps_its_last_fields() -> None:
    """An expired lease stores an error with a stable code; the other fields stay."""
    _, data = made({"status": "generating", "progress": 41, "title": "clip"})
    event = Event(channel="c", content_id="x", offset=3, type="t", data=json.dumps(data).encode())
    ending = stalled(event)
    said = decode(ending.data)
    assert (ending.type, ending.terminal) == ("processing_error", True)
    assert (said["status"], said["processing_status"], said["error_code"]) == ("error", "failed", "stalled")
    assert (said["progress"], said["title"]) == (41, "clip")
    assert said["error_message"]


def test_a_stalled_content_with_invalid_data_still_ends() -> None:
    """Data that are not a JSON object are replaced."""
    event = Event(channel="c", content_id="x", offset=3, type="t", data=b"\xff")
    assert decode(stalled(event).data)["content_id"] == "x"


@pytest.mark.parametrize("text", ["k3f9a2-184", "a-0", f"z-{COUNTER_MAX}"])
def test_a_cursor_round_trips(text: str) -> None:
    """A cursor's text is epoch, dash, offset."""
    assert str(Cursor.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "k", "k-", "-1", "k--1", "k-01", "K-1", "k-1 ", "k-1\n", "k-٣", f"k-{COUNTER_MAX + 1}", "k" * 70 + "-1"],
)
def test_an_invalid_cursor_is_refused(text: str) -> None:
    """The error names the field that held the cursor."""
    with pytest.raises(Invalid) as caught:
        Cursor.parse(text, field="since")
    assert caught.value.field == "since"


@given(st.text(max_size=140))
def test_a_valid_name_cannot_break_a_line_or_a_key(name: str) -> None:
    """A valid name has no control character, no separator except the space, and no star."""
    try:
        check_name(name, "channel")
    except Invalid:
        return
    assert 0 < len(name) <= 128
    assert not set(name) & set("\n\r\t\x00\x1f*\u2028\u2029\x85")
    assert name.strip() == name


@pytest.mark.parametrize("tenant", ["", "a b", "a{b}", "x" * 65, None, "ü"])
def test_tenants_have_plain_names(tenant: object) -> None:
    """A tenant's name is part of a hash tag and of a claim."""
    with pytest.raises(Invalid):
        check_tenant(tenant)
    assert check_tenant("acme-1_x") == "acme-1_x"


def test_an_unknown_status_counts_as_processing() -> None:
    """A status word of a foreign publisher ends no attempt."""
    assert phase_of({"status": "dancing"}) is Phase.PROCESSING
    assert phase_of({"status": "idle", "processing_status": "pending"}) is Phase.PENDING
    assert phase_of({"status": "idle"}) is Phase.IDLE


MOMENT = "2025-07-31T13:00:00.000Z"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"status": "generating", "remaining_seconds": 30.5}, "2025-07-31T13:00:30.500Z"),
        ({"status": "PENDING", "remaining_seconds": 0}, MOMENT),
        ({"status": "generating", "remaining_seconds": 30, "estimated_completion": None}, "2025-07-31T13:00:30.000Z"),
        ({"status": "generating", "remaining_seconds": 30, "estimated_completion": "tomorrow"}, "tomorrow"),
        ({"status": "generating"}, None),
        ({"status": "complete", "remaining_seconds": 30}, None),
        ({"status": "error", "remaining_seconds": 30}, None),
        *[
            ({"status": "generating", "remaining_seconds": wrong}, None)
            for wrong in (None, True, "30", -1, [30], 1e300)
        ],
    ],
)
def test_the_estimated_completion_follows_from_what_remains(data: dict[str, Any], expected: str | None) -> None:
    """It is stored, so that every transport has it; what the producer says stays."""
    _, stored = made({**data, "timestamp": MOMENT})
    assert stored.get("estimated_completion") == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"status": "READY"}, MOMENT),
        ({"status": "complete", "completed_at": None}, MOMENT),
        ({"status": "complete", "completed_at": "yesterday"}, "yesterday"),
        ({"status": "error"}, None),
        ({"status": "generating"}, None),
    ],
)
def test_a_completed_content_says_when(data: dict[str, Any], expected: str | None) -> None:
    """`completed_at` is the time of its status, unless the producer says another."""
    _, stored = made({**data, "timestamp": MOMENT})
    assert stored.get("completed_at") == expected
