from __future__ import annotations

from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from tests.support.redis_server import running_redis
from tests.support.serving import serving

pytestmark = pytest.mark.anyio


async def test_a_hub_with_its_broker_is_alive_and_ready() -> None:
    """Both routes answer 200, and their answers must not be stored."""
    async with serving() as (_hub, client):
        alive, ready = await client.get("/healthz"), await client.get("/readyz")
    assert (alive.status_code, alive.json()) == (200, {"status": "ok"})
    assert (ready.status_code, ready.json()) == (200, {"status": "ready"})
    assert {answer.headers["cache-control"] for answer in (alive, ready)} == {"no-store"}


async def test_a_hub_that_goes_down_is_alive_and_not_ready() -> None:
    """A load balancer sends no more requests, and no supervisor restarts the process."""
    async with serving() as (hub, client):
        hub.drain()
        alive, ready = await client.get("/healthz"), await client.get("/readyz")
    assert alive.status_code == 200
    assert (ready.status_code, ready.json()["error"]["code"]) == (503, "broker_unavailable")
    assert int(ready.headers["retry-after"]) >= 1


async def test_metrics_are_in_the_prometheus_format() -> None:
    """The exposition is valid, and its counters count."""
    async with serving() as (_hub, client):
        event = {"channel": "ch", "content_id": "a", "data": {"status": "idle"}}
        await client.post("/api/publish", json=event)
        await client.get("/api/contents/ch")
        answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "statushub_contents 1.0" in answer.text


@pytest.mark.redis
async def test_every_route_reports_an_outage_of_redis(tmp_path: Path) -> None:
    """The answer is 503 with `Retry-After`, or PENDING for players, and 200 once Redis is back."""
    with running_redis(tmp_path) as redis:
        async with serving(redis.url) as (_hub, client):
            event = {"channel": "ch", "content_id": "a", "data": {"status": "complete"}}
            (await client.post("/api/publish", json=event)).raise_for_status()
            redis.kill()
            away = [
                await client.get("/readyz"),
                await client.post("/api/publish", json=event),
                await client.post("/api/contents/status/batch", json={"content_ids": ["a"]}),
                await client.post("/v1/ai/jobs/batch-status", json={"job_ids": ["a"]}),
                await client.get("/api/contents/ch"),
            ]
            alive = await client.get("/healthz")
            video = await client.get("/api/v1/media/videos/a/progress/")
            redis.start()
            with anyio.fail_after(30):
                while (await client.get("/readyz")).status_code != 200:
                    await anyio.lowlevel.checkpoint()
            back = await client.get("/api/v1/media/videos/a/progress/")
    assert {answer.status_code for answer in away} == {503}
    assert {answer.json()["error"]["code"] for answer in away} == {"broker_unavailable"}
    assert min(int(answer.headers["retry-after"]) for answer in away) >= 1
    assert alive.status_code == 200
    assert (video.status_code, video.json()["status"], back.json()["status"]) == (200, "PENDING", "READY")
