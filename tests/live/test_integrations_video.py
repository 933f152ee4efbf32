"""Video workers that report with `record_progress` and `record_status`: to a real hub, and into a real Redis."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from statushub.integrations.video import arecord_progress, arecord_status, record_progress, record_status
from statushub.producers.integrations import video
from tests.support.command import environment
from tests.support.live import LiveHub, live_hub
from tests.support.redis_server import RedisServer
from tests.support.sse_client import stream
from tests.support.waiting import eventually

pytestmark = pytest.mark.redis


@pytest.fixture(scope="module")
def hub() -> Iterator[LiveHub]:
    with live_hub() as hub:
        yield hub


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch, hub: LiveHub) -> None:
    """Reporters of the test's own hub, as of a new process."""
    for name in ("KEYS", "TENANTS", "STEPS", "CHANNEL"):
        monkeypatch.delenv(f"STATUSHUB_VIDEO_{name}", raising=False)
    monkeypatch.setenv("STATUSHUB_URL", hub.base_url)
    for remembered in (video._reporters, video._told):
        remembered.clear()


def content(hub: LiveHub, id: str, channel: str = "videos") -> dict[str, Any]:
    """What the hub knows of a video; empty where nothing."""
    contents = httpx.get(f"{hub.base_url}/api/contents/{channel}").json()["contents"]
    return next((it for it in contents if it["content_id"] == id), {})


def shown(hub: LiveHub, id: str, channel: str = "videos", **expected: Any) -> None:
    """Return once the hub shows these fields."""
    eventually(lambda: expected.items() <= content(hub, id, channel).items())


def key(redis: RedisServer, name: str) -> tuple[Any, int]:
    """The value of a key, and its TTL in seconds."""
    return json.loads(redis.command("GET", name)), int(redis.command("TTL", name))


def test_progress_and_status_are_published(hub: LiveHub) -> None:
    """A step makes a percentage where none is said, fields are merged, and the end is the last word."""
    record_progress(job_id="video:a", step="downloading", extra={"title": "t", "percent": None})
    shown(hub, "a", status="generating", step="downloading", progress=1, title="t")
    record_progress(job_id="video:a", step="transcoding", extra={"percent": 43, "remaining_seconds": 31})
    shown(hub, "a", progress=43, remaining_seconds=31, step="transcoding", title="t")
    record_status(job_id="video:a", status="READY", hls_path="a.m3u8", duration=9.5)
    shown(hub, "a", status="complete", hls_path="a.m3u8", duration=9.5)
    record_progress(job_id="video:a", step="thumbnail")
    record_status(job_id="video:b", status="FAILED", error_reason="no audio")
    shown(hub, "b", status="error", error_reason="no audio")
    assert content(hub, "a")["status"] == "complete"


def test_a_video_is_encoded_again(hub: LiveHub) -> None:
    """A status that begins it opens the next attempt."""
    for number in range(2):
        record_status(job_id="video:again", status="PENDING")
        shown(hub, "again", processing_status="pending")
        record_status(job_id="video:again", status="FAILED", error_reason=str(number))
        shown(hub, "again", status="error", error_reason=str(number))


def test_keys_are_written_where_asked(hub: LiveHub, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """With their TTL, before the call returns; with the older key where there is no tenant."""
    monkeypatch.setenv("STATUSHUB_VIDEO_KEYS", redis_server.url)
    monkeypatch.setenv("STATUSHUB_VIDEO_CHANNEL", "of-keys")
    record_progress(job_id="video:k", step="probing", extra={"remaining_seconds": None}, tenant="4711", ttl=500)
    value, ttl = key(redis_server, "tenant:4711:video:k:progress")
    assert value == {"remaining_seconds": None, "step": "probing", "percent": 10}
    assert 400 < ttl <= 500
    record_progress(job_id="video:k", step="probing", extra={"progress": float("nan")})
    assert key(redis_server, "job:video:k:progress")[0] == {"step": "probing", "percent": 10}
    record_status("video:k", "READY", "4711", hls_path="k.m3u8", extra={"size": 7})
    value, ttl = key(redis_server, "tenant:4711:video:k:status")
    assert value == {"status": "READY", "size": 7, "hls_path": "k.m3u8", "duration": None, "error_reason": None}
    assert ttl > 80_000
    shown(hub, "k", "of-keys", size=7, status="complete")
    record_status("video:k", "PROCESSING", keys="")
    shown(hub, "k", "of-keys", status="generating")
    assert redis_server.command("EXISTS", "tenant:default:video:k:status") == "0"


@pytest.mark.anyio
async def test_asyncio_has_the_same(hub: LiveHub, redis_server: RedisServer) -> None:
    """Published, and written."""
    await arecord_progress("video:async", "uploading", keys=redis_server.url)
    assert key(redis_server, "job:video:async:progress")[0] == {"step": "uploading", "percent": 88}
    await arecord_status("video:async", "FAILED", error_reason="e", keys=redis_server.url)
    assert key(redis_server, "tenant:default:video:async:status")[0]["error_reason"] == "e"
    await anyio.to_thread.run_sync(partial(shown, hub, "async", status="error"))


def test_unknown_words_are_told(hub: LiveHub, caplog: pytest.LogCaptureFixture) -> None:
    """Once each, with the one that was meant; the video is reported as being processed."""
    for _ in range(2):
        record_status("video:word", "PROCESING")
    shown(hub, "word", status="generating")
    told = [it.getMessage() for it in caplog.records if "PROCESING" in it.getMessage()]
    assert told == [
        "the status 'PROCESING' of a video is none of FAILED, PENDING, PROCESSING, READY. Did you mean 'processing'?"
    ]


WRONG: Any = {
    "job": None,
    "step": object(),
    "extra": 7,
    "fields": {7: float("nan"), "content_id": "y"},
    "lease": "long",
}
"""Values of no type that is asked for."""


@pytest.mark.parametrize(
    "call",
    [
        partial(record_progress, "video:x", "s", url="nonsense"),
        partial(record_progress, "video:x", "s", keys="redis://127.0.0.1:1"),
        partial(record_progress, "video:x", "s", keys="nonsense"),
        partial(record_progress, WRONG["job"], WRONG["step"], extra=WRONG["extra"]),
        partial(record_progress, "video:x", "s", extra=WRONG["fields"]),
        partial(record_progress, "video:x", "s", tenant="a b:c"),
        partial(record_progress, "video:" + "x" * 500, "s"),
        partial(record_status, "video:x", WRONG["job"]),
        partial(record_status, "video:x", "READY", duration=float("nan"), lease=WRONG["lease"]),
    ],
    ids=range(9),
)
def test_nothing_hurts_the_work(call: Any, hub: LiveHub) -> None:
    """Neither an address, nor a value, nor a Redis that is away raises."""
    call()
    call()


def test_processes_take_turns_with_one_video(hub: LiveHub, tmp_path: Path) -> None:
    """A process that ends neither cancels the video nor ends it, and the end comes from another one."""
    with stream(hub, channel="videos") as viewer:
        for step in ("downloading", "transcoding"):
            code = f"from statushub.integrations.video import record_progress as r; r('video:turns', {step!r})"
            env = environment({"STATUSHUB_URL": hub.base_url})
            subprocess.run([sys.executable, "-c", code], check=True, timeout=60, env=env, cwd=tmp_path)
            viewer.until_content(content_id="turns", step=step)
        record_status("video:turns", "READY")
        seen = viewer.until_content(content_id="turns", status="complete")
    assert {frame.json["status"] for frame in seen if frame.json.get("content_id") == "turns"} == {"complete"}


def test_an_ending_is_the_last_word(hub: LiveHub) -> None:
    """Also of a process whose run another one has superseded."""
    record_progress("video:last", "probing")
    shown(hub, "last", step="probing")
    body = {
        "channel": "videos",
        "content_id": "last",
        "run": "r",
        "seq": 1,
        "data": {"status": "generating", "step": "s"},
    }
    assert httpx.post(f"{hub.base_url}/api/publish", json=body).status_code == 200
    shown(hub, "last", step="s")
    record_status("video:last", "FAILED", error_reason="no video")
    shown(hub, "last", status="error", error_reason="no video")
