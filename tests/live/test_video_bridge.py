"""The bridge: workers of today, unchanged, appear on the streams, at every hub, each state and each ending once."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.command import END_SECONDS, environment
from tests.support.frames import Frame
from tests.support.live import LiveHub, live_hub
from tests.support.publishing import publish
from tests.support.redis_server import RedisServer, running_redis
from tests.support.sse_client import StreamClient, stream
from tests.support.video_worker import STATES
from tests.support.waiting import eventually

pytestmark = [pytest.mark.redis, pytest.mark.timeout(120)]

ON = ("--notify-keyspace-events", "K$")


class Worker:
    """Today's worker, which goes on when it is told to."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def go_on(self) -> None:
        """Let it write its next state, and return when it has."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "written\n"


@contextlib.contextmanager
def working(redis: RedisServer, video: str, tenant_id: str = "default") -> Iterator[Worker]:
    """A worker's process for the block."""
    arguments = [sys.executable, "-m", "tests.support.video_worker", str(redis.port), tenant_id, video]
    with subprocess.Popen(
        arguments,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env=environment(),
    ) as process:
        yield Worker(process)
        assert process.wait(END_SECONDS) == 0


@contextlib.contextmanager
def watching(hub: LiveHub, channel: str) -> Iterator[StreamClient]:
    """The stream of a channel, whose next event may come after a pause of a bridge that has lost its Redis."""
    with stream(hub, channel=channel) as viewer:
        viewer.socket.settimeout(END_SECONDS * 2)
        yield viewer


def write(redis: RedisServer, video: str, kind: str = "status", tenant: str = "default", **value: Any) -> None:
    redis.command("SET", f"tenant:{tenant}:video:{video}:{kind}", json.dumps(value), "EX", "600")


def progress(hub: LiveHub, video: str) -> dict[str, Any]:
    answer = httpx.get(f"{hub.base_url}/api/v1/media/videos/{video}/progress/", timeout=30)
    assert answer.status_code == 200
    return {name: value for name, value in answer.json().items() if value is not None and name != "id"}


def numbers(frames: list[Frame]) -> list[int]:
    return [int(frame.json["video_keys"].partition(":")[0]) for frame in frames]


def until(client: StreamClient, **expected: Any) -> list[Frame]:
    return client.until_content(**expected)


@pytest.mark.parametrize("arguments", [ON, (), ("--rename-command", "CONFIG", "")], ids=["told", "off", "denied"])
def test_a_worker_of_today_appears_on_stream_and_page(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """By notifications; by reading what the page asks for, where they are off; and where CONFIG is not permitted."""
    with (
        running_redis(tmp_path, arguments=arguments) as redis,
        live_hub(video_keys=redis.url, video_bridge=True) as hub,
        watching(hub, "videos") as viewer,
        working(redis, "v") as worker,
    ):
        viewer.until("ready")
        assert progress(hub, "v") == {"status": "PENDING", "progress": 0}
        worker.go_on()
        seen = until(viewer, processing_status="pending")
        worker.go_on()
        seen += until(viewer, status="generating", step="probing", progress=10)
        worker.go_on()
        seen += until(viewer, step="transcoding", progress=12)
        worker.go_on()
        worker.go_on()
        seen += until(viewer, step="transcoding", progress=61.5, remaining_seconds=20)
        eventually(lambda: progress(hub, "v").get("progress") == 61.5)
        # A time without a status: what was said holds.
        worker.go_on()
        assert progress(hub, "v")["progress"] == 61.5
        worker.go_on()
        seen += until(viewer, status="complete", hls_path="v/master.m3u8", duration=12.5, progress=100)
        ready = {"status": "READY", "progress": 100, "hls_path": "v/master.m3u8", "duration": 12.5}
        eventually(lambda: progress(hub, "v") == ready)
    assert numbers(seen) == [*range(1, len(seen) + 1)]
    assert [frame.event for frame in seen].count("processing_complete") == 1
    assert len(STATES) == 7


@pytest.mark.parametrize("arguments", [ON, ()], ids=["told", "off"])
def test_a_video_that_no_page_asks_for_is_found(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Scans find what is under way, also what was written before the hub started, and not what ended long ago."""
    with running_redis(tmp_path, arguments=arguments) as redis:
        write(redis, "old", status="READY", hls_path="old.m3u8")
        write(redis, "going", status="PROCESSING")
        with live_hub(video_keys=redis.url, video_bridge=True) as hub, watching(hub, "videos") as viewer:
            until(viewer, content_id="going", status="generating")
            write(redis, "going", status="READY")
            until(viewer, content_id="going", status="complete")
            assert progress(hub, "old")["status"] == "READY"
            contents = httpx.get(f"{hub.base_url}/api/contents/videos").json()["contents"]
            assert [it["content_id"] for it in contents] == ["going"]


@pytest.mark.parametrize("arguments", [ON, ()], ids=["told", "off"])
def test_several_hubs_publish_each_state_once(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Three bridges see each change; viewers see each state and each ending once, through a second encode, too."""
    keys: dict[str, Any] = {"video_bridge": True, "video_channel": "v"}
    with running_redis(tmp_path, arguments=arguments) as redis, contextlib.ExitStack() as stack:
        hubs = [stack.enter_context(live_hub(redis.url, video_keys=redis.url, **keys)) for _ in range(3)]
        viewer = stack.enter_context(watching(hubs[0], "v"))
        viewer.until("ready")
        for hub in hubs:
            assert progress(hub, "a")["status"] == "PENDING"
        seen: list[Frame] = []
        for encode in range(2):
            for percent in (5, 20, 40):
                write(redis, "a", "progress", percent=percent, step="transcoding")
                write(redis, "a", status="PROCESSING")
                seen += until(viewer, status="generating", progress=percent)
            write(redis, "a", status="FAILED", error_reason=f"disk {encode}")
            seen += until(viewer, status="error", error_reason=f"disk {encode}")
        # Whatever the other bridges publish after the end comes before this.
        eventually(lambda: sum(bridged(hub) for hub in hubs) >= len(seen))
        write(redis, "b", status="PROCESSING")
        progress(hubs[1], "b")
        rest = until(viewer, content_id="b")
    assert [frame.json["content_id"] for frame in rest] == ["b"]
    assert numbers(seen) == [*range(1, len(seen) + 1)]
    assert [frame.event for frame in seen].count("processing_error") == 2


def bridged(hub: LiveHub) -> float:
    lines = httpx.get(f"{hub.base_url}/metrics").text.splitlines()
    return float(next(line for line in lines if line.startswith("statushub_bridged_total")).split()[-1])


def test_a_producer_wins_over_the_keys(tmp_path: Path) -> None:
    """A content of a producer is left alone, and a run that begins takes over one that was bridged."""
    with (
        running_redis(tmp_path, arguments=ON) as redis,
        live_hub(video_keys=redis.url, video_bridge=True) as hub,
        watching(hub, "videos") as viewer,
    ):
        viewer.until("ready")
        publish(hub, "theirs", "generating", "videos", progress=1)
        write(redis, "theirs", status="READY")
        write(redis, "taken", status="PROCESSING")
        seen = until(viewer, content_id="taken")
        body = {"channel": "videos", "content_id": "taken", "run": "r", "seq": 1, "data": {"status": "generating"}}
        answer = httpx.post(f"{hub.base_url}/api/publish", json=body)
        assert (answer.status_code, answer.json()["attempt"]) == (200, 2)
        write(redis, "taken", status="FAILED")
        write(redis, "last", status="PROCESSING")
        seen += until(viewer, content_id="last")
    assert [(frame.json["content_id"], frame.json["status"]) for frame in seen] == [
        ("theirs", "generating"),
        ("taken", "generating"),
        ("taken", "generating"),
        ("last", "generating"),
    ]


@pytest.mark.parametrize("arguments", [ON, ()], ids=["told", "off"])
def test_the_bridge_survives_restarts_of_redis(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """What is written while the connection is broken is found after it, an ending included; other hubs' too."""
    with (
        running_redis(tmp_path, arguments=arguments) as redis,
        live_hub(video_keys=redis.url, video_bridge=True) as hub,
        watching(hub, "videos") as viewer,
    ):
        viewer.until("ready")
        write(redis, "v", status="PROCESSING")
        assert progress(hub, "v")
        until(viewer, content_id="v", status="generating")
        for number in range(2):
            redis.kill()
            redis.start()
            write(redis, "v", status="FAILED" if number else "PROCESSING", title=str(number))
            until(viewer, content_id="v", status="error" if number else "generating", title=str(number))
        write(redis, "w", status="PROCESSING")
        assert progress(hub, "w")
        until(viewer, content_id="w", status="generating")


def test_tenants_of_keys_are_those_of_the_hub(tmp_path: Path) -> None:
    """An id is published for the tenant that is mapped to it; the older key for the tenants that read it."""
    settings: dict[str, Any] = {"video_tenants": ("default=4711",), "video_bridge": True}
    with (
        running_redis(tmp_path, arguments=ON) as redis,
        live_hub(video_keys=redis.url, **settings) as hub,
        watching(hub, "videos") as viewer,
    ):
        viewer.until("ready")
        write(redis, "not-ours", tenant="default", status="PROCESSING")
        write(redis, "v", tenant="4711", status="PROCESSING")
        [first] = until(viewer, content_id="v")
        redis.command("SET", "job:video:v:progress", '{"percent":55}')
        [second] = until(viewer, progress=55)
    assert numbers([first, second]) == [1, 2]
