"""The progress route over the keys of video workers: whatever is wrong with them, the answer is 200."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from statushub.hub.model.names import DEFAULT_TENANT
from statushub.hub.model.video_steps import VIDEO_STEPS
from statushub.hub.sources import open_video_keys
from statushub.hub.sources.contract import SourceUnavailable
from statushub.hub.sources.read_through import ReadThrough
from statushub.hub.sources.redis_keys import RedisKeys
from tests.support.live import LiveHub, live_hub
from tests.support.patience import patient_sources
from tests.support.publishing import publish
from tests.support.redis_server import RedisServer, running_redis
from tests.support.tokens import SECRET, bearer
from tests.support.waiting import eventually, until

pytestmark = pytest.mark.redis

ORIGIN = "https://page.example"
READY = {"status": "READY", "hls_path": "v/master.m3u8", "duration": 12.5, "error_reason": None}


@pytest.fixture(scope="module")
def hub(redis_server: RedisServer) -> Iterator[LiveHub]:
    """A hub that reads keys, for one tenant."""
    with ExitStack() as stack:
        with patient_sources():
            hub = stack.enter_context(live_hub(video_keys=redis_server.url, cors_origins=(ORIGIN,)))
        yield hub


def write(redis: RedisServer, video: str, status: object, progress: object = None, *, tenant: str = "default") -> None:
    """Write the keys as workers do; None writes nothing."""
    for kind, value in (("status", status), ("progress", progress)):
        if value is not None:
            text = value if isinstance(value, str) else json.dumps(value)
            redis.command("SET", f"tenant:{tenant}:video:{video}:{kind}", text)


def ask(hub: LiveHub, video: str, **headers: str) -> dict[str, Any]:
    """The answer to a page of another origin, which must be 200 and readable there."""
    answer = httpx.get(
        f"{hub.base_url}/api/v1/media/videos/{video}/progress/", headers={"Origin": ORIGIN, **headers}, timeout=30
    )
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] in (ORIGIN, "*")
    found = answer.json()
    assert found.pop("id") == video
    return {name: value for name, value in found.items() if value is not None}


def test_a_video_that_only_its_keys_tell_of_is_answered(hub: LiveHub, redis_server: RedisServer) -> None:
    """Both keys are read, and an answer is not cached by browsers."""
    progress = {"percent": 43, "step": "transcoding", "remaining_seconds": 31.5, "step_index": 4, "total_steps": 7}
    write(redis_server, "both", {"status": "PROCESSING", "hls_path": None}, progress)
    told = {"status": "PROCESSING", "progress": 43, "step": "transcoding", "remaining_seconds": 31.5}
    assert ask(hub, "both") == {**told, "step_index": 4, "total_steps": 7}
    write(redis_server, "ready", READY, progress)
    assert ask(hub, "ready") == {"status": "READY", "progress": 100, "hls_path": "v/master.m3u8", "duration": 12.5}
    write(redis_server, "failed", {"status": "FAILED", "error_reason": "no audio"}, {"step": "validating"})
    assert ask(hub, "failed") == {
        "status": "FAILED",
        "progress": 82,
        "step": "validating",
        "error_reason": "no audio",
    }


@pytest.mark.parametrize(
    "commands",
    [
        [],
        [("SET", "")],
        [("SET", "null")],
        [("SET", "[1]")],
        [("SET", '{"status":')],
        [("LPUSH", "READY")],
        [("HSET", "status", "READY")],
        [("SADD", "READY")],
    ],
    ids=lambda it: str(it[0][0] + it[0][-1] if it else "missing"),
)
@pytest.mark.parametrize("progress", ["", "null", '{"percent":50}', "x"])
def test_without_a_status_a_video_is_pending(
    hub: LiveHub, redis_server: RedisServer, commands: list[tuple[str, ...]], progress: str, request: Any
) -> None:
    """Missing, empty, broken, no object or of another type: the progress is not looked at."""
    video = f"pending-{abs(hash(request.node.name))}"
    for command, *values in commands:
        redis_server.command(command, f"tenant:default:video:{video}:status", *values)
    redis_server.command("SET", f"tenant:default:video:{video}:progress", progress)
    redis_server.command("SET", f"job:video:{video}:progress", '{"percent":60}')
    assert ask(hub, video) == {"status": "PENDING", "progress": 0}


def test_a_progress_of_another_type_is_missing(hub: LiveHub, redis_server: RedisServer) -> None:
    """The status is answered, with the progress of the older key."""
    write(redis_server, "typed", {"status": "PROCESSING"})
    redis_server.command("RPUSH", "tenant:default:video:typed:progress", "1")
    redis_server.command("SET", "job:video:typed:progress", '{"progress":60}')
    assert ask(hub, "typed") == {"status": "PROCESSING", "progress": 60}


def test_the_state_of_the_hub_wins(hub: LiveHub, redis_server: RedisServer) -> None:
    """Also where the keys say that the video is ready; a step alone makes a percentage there, too."""
    write(redis_server, "known", READY)
    publish(hub, "known", "generating", "encodes", step="downloading")
    assert ask(hub, "known") == {"status": "PROCESSING", "progress": 1, "step": "downloading"}


def test_one_poll_is_one_round_trip(hub: LiveHub, redis_server: RedisServer) -> None:
    """The commands of a poll come in one packet, so that Redis handles them in one turn."""
    reads = [int(stat(redis_server, "total_reads_processed"))]
    for number in range(5):
        ask(hub, f"trip-{number}")
        reads.append(int(stat(redis_server, "total_reads_processed")))
    # One for the poll, and two for the question; a new connection has more.
    assert min(later - earlier for earlier, later in pairwise(reads)) <= 3


def stat(redis: RedisServer, name: str) -> str:
    lines = redis.command("INFO", "stats").splitlines()
    return next(line.partition(":")[2].strip() for line in lines if line.startswith(f"{name}:"))


def test_tenants_are_kept_apart(redis_server: RedisServer) -> None:
    """`{tenant_id}` is that of the token's tenant, the older key is read for those who are named, and a token must
    read the channel of videos."""
    write(redis_server, "shared", {"status": "PROCESSING"}, {"percent": 1}, tenant="4711")
    write(redis_server, "shared", {"status": "PROCESSING"}, tenant="beta")
    redis_server.command("SET", "job:video:shared:progress", '{"percent":77}')
    settings: dict[str, Any] = {"video_tenants": ("acme=4711", "gamma=delta"), "video_job_tenants": ("beta",)}
    with live_hub(video_keys=redis_server.url, secret=SECRET, cors_origins=(ORIGIN,), **settings) as hub:
        assert ask(hub, "shared", **bearer(tenant="acme"))["progress"] == 1
        assert ask(hub, "shared", **bearer(tenant="beta"))["progress"] == 77
        write(redis_server, "older", {"status": "PROCESSING"}, tenant="4711")
        redis_server.command("SET", "job:video:older:progress", '{"percent":77}')
        assert ask(hub, "older", **bearer(tenant="acme"))["progress"] == 0
        pending = {"status": "PENDING", "progress": 0}
        assert ask(hub, "shared", **bearer(tenant="4711")) == pending
        assert ask(hub, "shared", **bearer(tenant="acme", read=["encodes"])) == pending
        write(redis_server, "theirs", READY, tenant="delta")
        assert ask(hub, "theirs", **bearer(tenant="delta")) == pending
        assert ask(hub, "theirs", **bearer(tenant="gamma"))["status"] == "READY"
        # Known to the hub in a channel that this token does not read.
        body = {"channel": "secret", "content_id": "hidden", "data": {"status": "generating"}}
        assert httpx.post(f"{hub.base_url}/api/publish", json=body, headers=bearer()).status_code == 200
        write(redis_server, "hidden", READY, tenant="4711")
        assert ask(hub, "hidden", **bearer(tenant="acme", read=["videos"])) == pending


def test_keys_may_have_a_prefix_and_steps_of_their_own(redis_server: RedisServer) -> None:
    """The prefix of the address begins each key, and the settings say how much a step weighs."""
    redis_server.command("SET", "app:tenant:default:video:v:status", '{"status":"PROCESSING"}')
    redis_server.command("SET", "app:tenant:default:video:v:progress", '{"step":"packing"}')
    url = f"{redis_server.url}?prefix=app"
    with live_hub(video_keys=url, video_steps=("encoding=3", "packing=1"), cors_origins=(ORIGIN,)) as hub:
        assert ask(hub, "v") == {"status": "PROCESSING", "progress": 75, "step": "packing"}


@pytest.mark.parametrize("fault", ["away", "slow", "denied"])
def test_a_redis_that_does_not_answer_is_a_metric(tmp_path: Path, fault: str, caplog: pytest.LogCaptureFixture) -> None:
    """Every poll is answered PENDING, one line is logged, the failures are counted, and it recovers by itself."""
    with (
        caplog.at_level(logging.INFO, "statushub"),
        running_redis(tmp_path) as redis,
        live_hub(video_keys=redis.url, cors_origins=(ORIGIN,)) as hub,
    ):
        write(redis, "v", {"status": "PROCESSING"}, {"percent": 9})
        eventually(lambda: ask(hub, "v").get("progress") == 9)
        caplog.clear()
        if fault == "away":
            redis.stop()
        elif fault == "slow":
            redis.pause()
        else:
            redis.command("ACL", "SETUSER", "default", "-getrange")
        eventually(lambda: ask(hub, "v") == {"status": "PENDING", "progress": 0})
        assert ask(hub, "other") == {"status": "PENDING", "progress": 0}
        eventually(lambda: ask(hub, "v") and failures(hub) >= 3)
        warnings = [it for it in caplog.records if it.levelno >= logging.WARNING and "video_keys" in it.getMessage()]
        assert len(warnings) == 1, [it.getMessage() for it in warnings]
        if fault == "away":
            redis.start()
        elif fault == "slow":
            redis.resume()
        else:
            redis.command("ACL", "SETUSER", "default", "+getrange")
        eventually(lambda: ask(hub, "v").get("progress") == 9)
    assert any("answers again" in it.getMessage() for it in caplog.records)


def failures(hub: LiveHub) -> float:
    lines = httpx.get(f"{hub.base_url}/metrics").text.splitlines()
    return float(
        next(line for line in lines if line.startswith('statushub_source_failures_total{source="video_keys"}')).split()[
            -1
        ]
    )


@pytest.mark.anyio
async def test_polls_of_one_moment_share_a_read(redis_server: RedisServer) -> None:
    """Single-flight: what is asked while a read runs waits for it, or for the next one; an answer is kept a moment."""
    for number in range(50):
        write(redis_server, f"many-{number}", {"status": "PROCESSING"}, {"percent": number})
    keys = open_keys(redis_server.url)
    counted = Counted(keys)
    found: dict[int, Any] = {}

    async with keys, anyio.create_task_group() as tasks:
        read = ReadThrough(counted, tasks.start_soon)

        async def poll(number: int) -> None:
            [found[number]] = await read.find(DEFAULT_TENANT, [f"many-{number % 50}"])

        async with anyio.create_task_group() as polls:
            for number in range(200):
                polls.start_soon(poll, number)
        assert [found[number].status.percent for number in range(200)] == [number % 50 for number in range(200)]
        assert counted.reads <= 2
        await read.find(DEFAULT_TENANT, ["many-7"])
        assert counted.reads <= 2


def open_keys(url: str) -> RedisKeys:
    return open_video_keys(url, channel="videos", tenants=(), jobs=(DEFAULT_TENANT,), steps=VIDEO_STEPS)


class Counted:
    """A source whose reads are counted, and whose answers are kept for as long as a test may take."""

    fresh = 600.0

    def __init__(self, source: RedisKeys) -> None:
        self.source = source
        self.reads = 0
        self.asked: list[Any] = []
        self.gate: anyio.Event | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.source, name)

    async def find(self, tenant: str, content_ids: Any) -> Any:
        self.reads += 1
        self.asked.append(content_ids)
        if self.gate is not None:
            await self.gate.wait()
        return await self.source.find(tenant, content_ids)


@pytest.mark.anyio
async def test_a_poll_joins_the_read_that_runs(redis_server: RedisServer) -> None:
    """While a source is slow there is one read of it, and the next one asks for all who wait for others."""
    write(redis_server, "slow-a", {"status": "PROCESSING"})
    counted, found = Counted(open_keys(redis_server.url)), dict[str, Any]()
    counted.gate = anyio.Event()
    async with counted.source, anyio.create_task_group() as tasks:
        read = ReadThrough(counted, tasks.start_soon)

        async def poll(name: str, video: str) -> None:
            [found[name]] = await read.find(DEFAULT_TENANT, [video])

        async with anyio.create_task_group() as polls:
            polls.start_soon(poll, "first", "slow-a")
            await until(lambda: counted.reads == 1)
            for number in range(20):
                polls.start_soon(poll, f"a-{number}", "slow-a")
                polls.start_soon(poll, f"b-{number}", f"slow-b-{number}")
            await anyio.wait_all_tasks_blocked()
            assert counted.reads == 1
            counted.gate.set()
    assert (counted.reads, len(found)) == (2, 41)
    assert all((it is not None) == (name == "first" or name.startswith("a")) for name, it in found.items())
    assert "slow-a" not in counted.asked[1]


@pytest.mark.anyio
async def test_a_source_raises_only_that_it_is_unavailable() -> None:
    """Nothing listens there."""
    keys = open_keys("redis://127.0.0.1:1")
    async with keys:
        with pytest.raises(SourceUnavailable):
            await keys.find(DEFAULT_TENANT, ["v"])
