from __future__ import annotations

import logging
from typing import Any

import pytest

from tests.support.serving import serving, write

pytestmark = pytest.mark.anyio

PENDING = {
    "id": "v",
    "status": "PENDING",
    "progress": 0,
    "step": None,
    "step_index": None,
    "total_steps": None,
    "remaining_seconds": None,
    "hls_path": None,
    "duration": None,
    "error_reason": None,
}
PATHS = ["/api/v1/media/videos/v/progress/", "/api/v1/media/videos/v/progress"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"status": "PENDING"}, {}),
        (
            {
                "status": "PROCESSING",
                "progress": 43,
                "step": "transcoding",
                "step_index": 4,
                "total_steps": 7,
                "remaining_seconds": 31,
            },
            {
                "status": "PROCESSING",
                "progress": 43,
                "step": "transcoding",
                "step_index": 4,
                "total_steps": 7,
                "remaining_seconds": 31,
            },
        ),
        (
            {"status": "READY", "hls_path": "v/master.m3u8", "duration": 12.5},
            {"status": "READY", "progress": 100, "hls_path": "v/master.m3u8", "duration": 12.5},
        ),
        ({"status": "READY", "progress": 99}, {"status": "READY", "progress": 99}),
        (
            {"status": "FAILED", "progress": 43, "error_reason": "no audio"},
            {"status": "FAILED", "progress": 43, "error_reason": "no audio"},
        ),
        ({"status": "FAILED", "error_message": "no video"}, {"status": "FAILED", "error_reason": "no video"}),
        (
            {"status": "FAILED", "error_reason": "reason", "error": "error", "error_message": "message"},
            {"status": "FAILED", "error_reason": "message"},
        ),
        (
            {"status": "FAILED", "error_reason": "reason", "error": "error"},
            {"status": "FAILED", "error_reason": "error"},
        ),
        ({"status": "PROCESSING", "error_reason": "of the last attempt"}, {"status": "PROCESSING"}),
    ],
)
async def test_a_video_is_answered_in_the_video_vocabulary(
    path: str, data: dict[str, Any], told: dict[str, Any]
) -> None:
    """The path may end with a slash; unknown fields are null, and the tag is the cursor."""
    async with serving() as (_hub, client):
        body = {"channel": "encodes", "content_id": "v", "data": data}
        cursor = (await client.post("/api/publish", json=body)).json()["cursor"]
        answer = await client.get(path)
    assert answer.status_code == 200
    assert answer.json() == PENDING | told
    assert answer.headers["etag"] == f'"{cursor}"'


@pytest.mark.parametrize("path", PATHS)
async def test_an_unknown_video_is_pending(path: str) -> None:
    """A page may poll before its upload has begun, and the answer has no tag."""
    async with serving() as (_hub, client):
        answer = await client.get(path)
    assert (answer.status_code, answer.json()) == (200, PENDING)
    assert "etag" not in answer.headers
    assert answer.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "fields",
    [
        b'"progress":"abc","step":7,"step_index":"four","total_steps":[],"remaining_seconds":{},"hls_path":false',
        b'"progress":-1,"step":"","step_index":1.5,"total_steps":-7,"remaining_seconds":-0.1,"duration":true',
        b'"progress":1e9,"step":null,"duration":"12"',
    ],
)
async def test_fields_of_wrong_types_count_as_missing(fields: bytes) -> None:
    """A worker may store any data through the broker; a player must be able to read the answer."""
    async with serving() as (hub, client):
        await write(hub, "v", b'{"status":"PROCESSING",%b}' % fields)
        answer = await client.get(PATHS[0])
    assert (answer.status_code, answer.json()) == (200, PENDING | {"status": "PROCESSING"})


@pytest.mark.parametrize("data", [b"", b"{", b"[1]", b'"READY"', b'{"status":"\xff"}', b'{"a":' + b"[" * 5000])
async def test_broken_data_are_pending_and_logged(data: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """The player keeps polling; the log says what is wrong."""
    async with serving() as (hub, client):
        await write(hub, "v", data)
        with caplog.at_level(logging.WARNING, "statushub"):
            answer = await client.get(PATHS[0])
    assert (answer.status_code, answer.json()) == (200, PENDING)
    assert [record.name for record in caplog.records] == ["statushub.hub.api.videos"]


async def test_a_failing_hub_is_pending_and_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A failure inside the hub does not end a player's loop."""
    async with serving() as (hub, client):
        monkeypatch.delattr(hub.registry, "tenants")
        with caplog.at_level(logging.ERROR, "statushub"):
            answer = await client.get(PATHS[0])
        monkeypatch.undo()
    assert (answer.status_code, answer.json()) == (200, PENDING)
    assert "tenants" in caplog.text


async def test_an_illegal_id_is_pending() -> None:
    """Players poll on, since the answer is 200."""
    async with serving() as (_hub, client):
        answer = await client.get("/api/v1/media/videos/a*b/progress/")
    assert (answer.status_code, answer.json()) == (200, PENDING | {"id": "a*b"})
