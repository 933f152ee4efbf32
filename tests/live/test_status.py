"""Polls over data that workers stored without the hub's validation."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statushub.hub.model import status
from statushub.hub.model.event import Event
from statushub.hub.model.vocabulary import COMPLETE, ERROR
from tests.support.serving import serving, write

DEEP = b'{"content_id":"x","channel_id":"ch","status":"idle","deep":' + b"[" * 5000 + b"]" * 5000 + b"}"

STRANGE = {
    "nothing": b"",
    "spaces": b"  ",
    "an empty object": b"{}",
    "an empty object in spaces": b" { } ",
    "an array": b'[{"status":"complete"}]',
    "a number": b"7",
    "cut short": b'{"content_id":"x","channel_id":"ch","status":"idle"',
    "something after it": b'{"content_id":"x","channel_id":"ch","status":"idle"}}',
    "another line": b'{"content_id":"x","channel_id":"ch","status":"idle"},{"id":"y","content_id":"y","status":"idle"}',
    "a comma at its end": b'{"content_id":"x","channel_id":"ch","status":"idle",}',
    "broken UTF-8": b'{"content_id":"x","channel_id":"ch","status":"idle","text":"\xff"}',
    "a control character": b'{"content_id":"x","channel_id":"ch","status":"idle","text":"\x01"}',
    "a broken escape": b'{"content_id":"x","channel_id":"ch","status":"idle","text":"\\x"}',
    "NaN": b'{"content_id":"x","channel_id":"ch","status":"idle","progress":NaN}',
    "a byte order mark": b'\xef\xbb\xbf{"content_id":"x","channel_id":"ch","status":"idle"}',
    "too deep": DEEP,
    "an id of its own": b'{"content_id":"x","channel_id":"ch","status":"idle","id":"evil"}',
    "an id of its own, escaped": b'{"content_id":"x","channel_id":"ch","status":"idle","\\u0069d":"evil"}',
    "another content's id": b'{"content_id":"evil","channel_id":"ch","status":"idle"}',
    "another vocabulary": b'{"content_id":"x","channel_id":"ch","status":"READY"}',
    "the word of unknown contents": b'{"content_id":"x","channel_id":"ch","status":"not_found"}',
    "a status of a wrong type": b'{"content_id":"x","channel_id":"ch","status":["idle"]}',
    "space before it": b'\n {"content_id":"x","channel_id":"ch","status":"idle"}',
    "space after it": b'{"content_id":"x","channel_id":"ch","status":"idle"} \n',
    "a huge number": b'{"content_id":"x","status":"idle","n":1%b,"x":1e999}' % (b"0" * 4000),
    "wrong types all over": b'{"status":1,"processing_status":{},"progress":"abc","timestamp":[],"error_message":3}',
    "an end beyond time": b'{"status":"generating","remaining_seconds":1e300,"timestamp":"2025-07-31T13:00:00Z"}',
    "an end after nonsense": b'{"status":"generating","remaining_seconds":1,"timestamp":"soon"}',
}


def strict(text: bytes) -> Any:
    """Decode strict JSON: neither NaN nor duplicate keys are accepted."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs), pairs
        return dict(pairs)

    def refuse(constant: str) -> Any:
        raise AssertionError(constant)

    return json.loads(text.decode(), object_pairs_hook=unique, parse_constant=refuse)


@pytest.mark.anyio
@pytest.mark.parametrize("data", STRANGE.values(), ids=STRANGE)
async def test_invalid_stored_data_break_no_answer(data: bytes) -> None:
    """Every route answers valid JSON with the right ids and a known status."""
    asked = {"content_ids": ["a", "x", "unknown", "b"]}
    async with serving() as (hub, client):
        for name in ("a", "b"):
            await write(hub, name, b'{"content_id":"%b","channel_id":"ch","status":"complete"}' % name.encode())
        await write(hub, "x", data)
        batch = await client.post("/api/contents/status/batch", json=asked)
        contents = await client.get("/api/contents/ch")
        changes = await client.get("/api/contents/ch/changes")
        others = [
            await client.get("/api/contents/ch/status"),
            await client.get("/api/contents/ch/status?view=list"),
            await client.post("/v1/ai/jobs/batch-status", json={"job_ids": ["a", "x"]}),
            await client.get("/api/v1/media/videos/x/progress/"),
        ]
    assert {answer.status_code for answer in (batch, contents, changes, *others)} == {200}
    lines = strict(batch.content)["statuses"]
    assert [line["id"] for line in lines] == asked["content_ids"]
    assert [line.get("content_id") for line in lines] == ["a", "x", None, "b"]
    assert [line["status"] in ("idle", "generating", "complete", "error") for line in lines] == [
        True,
        True,
        False,
        True,
    ]
    assert [line["content_id"] for line in strict(contents.content)["contents"]] == ["x", "b", "a"]
    assert [event["data"]["content_id"] for event in strict(changes.content)["events"]] == ["a", "b", "x"]
    for answer in others:
        strict(answer.content)


@pytest.mark.anyio
async def test_two_invalid_contents_do_not_combine_into_valid_json() -> None:
    """A string opened in one content's data and closed in the next one's does not change the answer's structure."""
    async with serving() as (hub, client):
        await write(hub, "x", b'{"content_id":"x","status":"idle","text":"')
        await write(hub, "y", b'","text":""},{"id":"y","content_id":"y","status":"complete"}')
        batch = await client.post("/api/contents/status/batch", json={"content_ids": ["x", "y"]})
        changes = await client.get("/api/contents/ch/changes")
    assert [line["id"] for line in strict(batch.content)["statuses"]] == ["x", "y"]
    assert [event["data"]["content_id"] for event in strict(changes.content)["events"]] == ["x", "y"]


@pytest.mark.anyio
async def test_valid_data_are_passed_on_unchanged() -> None:
    """Numbers keep their spelling and arrays their emptiness, since the data are not decoded."""
    data = b'{"content_id":"x","channel_id":"ch","status":"idle","n":1.50,"big":12345678901234567890123,"none":[]}'
    async with serving() as (hub, client):
        await write(hub, "x", data)
        batch = await client.post("/api/contents/status/batch", json={"content_ids": ["x"]})
        contents = await client.get("/api/contents/ch")
    assert batch.content == b'{"statuses":[{"id":"x",%b]}' % data[1:]
    assert contents.content.startswith(b'{"contents":[%b]' % data)


@pytest.mark.parametrize(
    ("type", "implied"),
    [(COMPLETE, "complete"), (ERROR, "error"), ("encoding_progress", "generating"), ("x", "generating")],
)
@pytest.mark.parametrize("data", [b"{}", b'{"status":null}', b'{"status":"on fire"}', b"broken"])
def test_the_type_implies_a_missing_status(type: str, implied: str, data: bytes) -> None:
    """A content whose last event is final must not be shown as processing."""
    event = Event(channel="ch", content_id="x", offset=1, type=type, data=data)
    assert json.loads(status.line(event))["status"] == implied


@given(st.binary() | st.sampled_from(sorted(STRANGE.values())))
def test_any_stored_bytes_make_a_valid_line(stored: bytes) -> None:
    """The line has the content's id, whatever was stored."""
    event = Event(channel="ch", content_id="c", offset=1, type="t", data=stored)
    assert strict(status.line(event))["id"] == "c"
    assert strict(bytes(status.whole(event)))["content_id"] == "c"
