"""An encode that the SDK publishes to a live hub, read through the hub's routes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
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


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", seconds=4, width=320, height=180)


@pytest.fixture
def hub() -> Iterator[str]:
    with live_hub() as live:
        yield live.base_url


@pytest.fixture
async def client(hub: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=hub) as client:
        yield client


async def progress_of(client: httpx.AsyncClient, content_id: str) -> dict[str, Any]:
    answer = await client.get(f"/api/v1/media/videos/{content_id}/progress/")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


async def test_progress_route_follows_the_encode_to_its_end(
    hub: str, client: httpx.AsyncClient, clip: Path, tmp_path: Path
) -> None:
    """The route has the progress during the encode, and the path of the result afterwards."""
    seen: list[dict[str, Any]] = []
    async with Producer(hub, rate=100) as producer, anyio.create_task_group() as group:

        async def watch() -> None:
            with anyio.fail_after(TIMEOUT):
                while not seen or seen[-1]["status"] in ("PENDING", "PROCESSING"):
                    seen.append(await progress_of(client, "v1"))

        group.start_soon(watch)
        await encode(clip, channel="c", content_id="v1", destination=tmp_path / "out", producer=producer, options=QUICK)
    running = [state for state in seen if state["status"] == "PROCESSING"]
    assert [state["progress"] for state in running] == sorted(state["progress"] for state in running)
    assert any(state["step"] == "transcoding" and state["step_index"] == 4 for state in running)
    assert {state["total_steps"] for state in running} == {7}
    assert seen[-1]["status"] == "READY"
    assert seen[-1]["progress"] == 100
    assert seen[-1]["hls_path"] == f"{tmp_path / 'out'}/master.m3u8"
    assert seen[-1]["duration"] == 4


async def test_progress_route_has_the_reason_of_a_failure(hub: str, client: httpx.AsyncClient, tmp_path: Path) -> None:
    """A file that is not a video ends as FAILED with a reason."""
    (tmp_path / "notes.txt").write_text("no video here")
    async with Producer(hub) as producer:
        with pytest.raises(NotAVideo):
            await encode(tmp_path / "notes.txt", channel="c", content_id="v2", destination=tmp_path, producer=producer)
    state = await progress_of(client, "v2")
    assert state["status"] == "FAILED"
    assert "not a video" in state["error_reason"]


async def test_cancelled_encode_is_published_as_cancelled(
    hub: str, client: httpx.AsyncClient, clip: Path, tmp_path: Path
) -> None:
    """A cancelled encode ends as FAILED with the reason `cancelled`."""
    slow = Options(preset="veryslow", report_seconds=0.02)
    async with Producer(hub, rate=100) as producer, anyio.create_task_group() as group:

        async def cancel() -> None:
            with anyio.fail_after(TIMEOUT):
                while (await progress_of(client, "v3"))["step"] != "transcoding":
                    pass
            group.cancel_scope.cancel()

        group.start_soon(cancel)
        await encode(clip, channel="c", content_id="v3", destination=tmp_path / "out", producer=producer, options=slow)
    state = await progress_of(client, "v3")
    assert state["status"] == "FAILED"
    assert state["error_reason"] == "cancelled"
    assert not (tmp_path / "out" / "master.m3u8").exists()
