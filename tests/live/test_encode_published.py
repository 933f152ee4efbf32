"""A real encode, published by the real SDK to a real hub, seen by its routes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from statushub import Producer
from statushub.producers.clip import write_clip
from statushub.producers.encode import NotAVideo, Options, encode
from tests.support.live import live_hub

pytestmark = pytest.mark.anyio

TIMEOUT = 20.0
QUICK = Options(preset="ultrafast", report_seconds=0.02)


async def progress_of(url: str, content_id: str) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=url) as client:
        answer = await client.get(f"/api/v1/media/videos/{content_id}/progress/")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


async def test_progress_route_tells_of_the_encode_and_its_end(tmp_path: Path) -> None:
    """While a video is encoded the route says how far it is; afterwards, where the result is."""
    clip = write_clip(tmp_path / "clip.mp4", seconds=4, width=320, height=180)
    seen: list[dict[str, Any]] = []
    with live_hub() as hub:
        async with Producer(hub.base_url, rate=100) as producer, anyio.create_task_group() as group:

            async def watch() -> None:
                with anyio.fail_after(TIMEOUT):
                    while not seen or seen[-1]["status"] in ("PENDING", "PROCESSING"):
                        seen.append(await progress_of(hub.base_url, "v1"))

            group.start_soon(watch)
            await encode(
                clip, channel="c", content_id="v1", destination=tmp_path / "out", producer=producer, options=QUICK
            )
    running = [state for state in seen if state["status"] == "PROCESSING"]
    assert [state["progress"] for state in running] == sorted(state["progress"] for state in running)
    assert any(state["step"] == "transcoding" and state["step_index"] == 4 for state in running)
    assert {state["total_steps"] for state in running} == {7}
    assert seen[-1]["status"] == "READY"
    assert seen[-1]["progress"] == 100
    assert seen[-1]["hls_path"] == f"{tmp_path / 'out'}/master.m3u8"
    assert seen[-1]["duration"] == 4


async def test_progress_route_tells_why_an_encode_failed(tmp_path: Path) -> None:
    """A file that is no video ends as FAILED with a reason."""
    (tmp_path / "notes.txt").write_text("no pictures here")
    with live_hub() as hub:
        async with Producer(hub.base_url) as producer:
            with pytest.raises(NotAVideo):
                await encode(
                    tmp_path / "notes.txt", channel="c", content_id="v2", destination=tmp_path, producer=producer
                )
        state = await progress_of(hub.base_url, "v2")
    assert state["status"] == "FAILED"
    assert "not a video" in state["error_reason"]


async def test_cancelled_encode_is_published_as_cancelled(tmp_path: Path) -> None:
    """Whoever watches an encode that was cancelled is told."""
    clip = write_clip(tmp_path / "clip.mp4", seconds=4, width=320, height=180)
    with live_hub() as hub:
        async with Producer(hub.base_url, rate=100) as producer, anyio.create_task_group() as group:
            slow = Options(preset="veryslow", report_seconds=0.02)

            async def cancel() -> None:
                with anyio.fail_after(TIMEOUT):
                    while (await progress_of(hub.base_url, "v3"))["step"] != "transcoding":
                        pass
                group.cancel_scope.cancel()

            group.start_soon(cancel)
            await encode(
                clip, channel="c", content_id="v3", destination=tmp_path / "out", producer=producer, options=slow
            )
        state = await progress_of(hub.base_url, "v3")
    assert state["status"] == "FAILED"
    assert state["error_reason"] == "cancelled"
    assert not (tmp_path / "out" / "master.m3u8").exists()
