"""What a hub counts, by its metrics."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.sync.client import connect

from statushub.hub.api import changes
from statushub.hub.brokers.redis.client import CONCURRENT_COMMANDS
from statushub.hub.http.handover import HandoverProtocol
from statushub.hub.metrics import STATUSES
from tests.support.live import LiveHub, live_hub
from tests.support.publishing import publish
from tests.support.redis_server import running_redis
from tests.support.sse_client import stream
from tests.support.tokens import SECRET, bearer
from tests.support.waiting import eventually

PATHS = [pytest.param(HandoverProtocol, id="handover"), pytest.param("h11", id="portable")]
CHANNEL = "/api/contents/{channel_id}"


def samples(hub: LiveHub) -> dict[str, float]:
    """Each sample of the hub by its name and labels: `name{label="value"}`, labels in the order of their names."""
    text = httpx.get(f"{hub.base_url}/metrics").text
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for it in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(it.labels.items()))
            found[f"{it.name}{{{labels}}}" if labels else it.name] = it.value
    return found


def requests(route: str, kind: str, status: str = "2xx") -> str:
    return f'statushub_requests_total{{kind="{kind}",route="{route}",status="{status}"}}'


def took(route: str) -> str:
    return f'statushub_request_duration_seconds_count{{route="{route}"}}'


@pytest.mark.parametrize("http", PATHS)
def test_requests_are_counted_by_route_and_not_by_name(http: Any) -> None:
    """Whatever channels and paths are asked for, they make no series."""
    with live_hub(http=http) as hub:
        before = len(samples(hub))
        cursor = publish(hub, "a", "generating", channel="one/two")
        for name in ("one%2Ftwo", "three", "four"):
            httpx.get(f"{hub.base_url}/api/contents/{name}").raise_for_status()
            httpx.get(f"{hub.base_url}/api/contents/{name}/status").raise_for_status()
        httpx.get(f"{hub.base_url}/api/contents/one%2Ftwo/changes", params={"since": cursor}).raise_for_status()
        waited = httpx.get(f"{hub.base_url}/api/contents/x/changes", params={"since": cursor, "wait": "0.01"})
        assert waited.status_code == 200
        assert httpx.get(f"{hub.base_url}/api/contents/{'x' * 200}").status_code == 422
        for path in ("/nowhere", "/api/nothing/there"):
            assert httpx.get(f"{hub.base_url}{path}").status_code == 404
        with stream(hub, channel="one%2Ftwo") as viewer:
            viewer.until("ready")
        found = samples(hub)
    expected = {
        requests(CHANNEL, "poll"): 3,
        requests(CHANNEL, "poll", "4xx"): 1,
        requests(f"{CHANNEL}/status", "poll"): 3,
        requests(f"{CHANNEL}/changes", "poll"): 1,
        requests(f"{CHANNEL}/changes?wait", "long_poll"): 1,
        requests(f"{CHANNEL}/events", "stream"): 1,
        requests("/api/publish", "publish"): 1,
        requests("other", "other", "4xx"): 2,
        took(CHANNEL): 4,
        took(f"{CHANNEL}/changes?wait"): 1,
        took(f"{CHANNEL}/events"): 1,
    }
    assert {name: found[name] for name in expected} == expected
    # The durations of the routes that were asked; each has its buckets, a count and a sum.
    asked = sum(name.startswith("statushub_request_duration_seconds_count") for name in found)
    assert len(found) <= before + asked * 18


@pytest.mark.parametrize("path", [route.path for route in changes.routes] + ["/api/cancels"])
def test_long_polls_have_a_route_of_their_own(path: str) -> None:
    """What they wait is no answer time of a poll."""
    with live_hub() as hub:
        asked = {"wait": "0.01"} | ({"match": "c/*"} if path == "/api/changes" else {})
        httpx.get(f"{hub.base_url}{path.replace('{channel_id:path}', 'c')}", params=asked).raise_for_status()
        found = samples(hub)
    route = path.replace(":path", "")
    assert (found[took(f"{route}?wait")], found.get(took(route), 0)) == (1, 0)


def test_each_route_has_counters_from_the_start() -> None:
    """An alert on errors sees the first one."""
    with live_hub() as hub:
        found = samples(hub)
    for status in STATUSES:
        assert found[requests("/api/publish", "publish", status)] == 0
    assert found['statushub_catch_ups_total{cause="stalled"}'] == 0
    assert found["process_resident_memory_bytes"] > 0


def test_catch_ups_and_lag_are_counted() -> None:
    """A stream that is opened and one that is resumed, and an event that is written to both within seconds."""
    with live_hub() as hub:
        cursor = publish(hub, "a", "generating")
        with stream(hub) as opened, stream(hub, cursor=cursor) as resumed:
            opened.until("ready")
            resumed.until("ready")
            publish(hub, "a", "complete")
            opened.until("processing_complete")
            found = samples(hub)
    assert found['statushub_catch_ups_total{cause="opened"}'] == 1
    assert found['statushub_catch_ups_total{cause="resumed"}'] == 1
    assert found["statushub_deliveries_total"] == 2
    assert found["statushub_delivery_lag_seconds_count"] == 1
    assert found['statushub_delivery_lag_seconds_bucket{le="30.0"}'] == 1


def test_a_stalled_viewer_is_counted_and_so_is_its_return() -> None:
    """Its socket is full, then it reads on and catches up."""
    with live_hub() as hub, stream(hub, receive_buffer=4096) as slow:
        slow.until("ready")
        stalls = 0
        while not stalls:
            publish(hub, "a", "generating", filler="x" * 50_000)
            stalls = hub.hub.counts.stalls
        publish(hub, "b", "complete")
        slow.until_content(content_id="b")
        eventually(lambda: samples(hub)['statushub_catch_ups_total{cause="stalled"}'] == stalls)


def test_viewers_that_take_nothing_are_counted() -> None:
    """They are closed after the time limit."""
    with live_hub(stall_timeout=0.5, heartbeat=0.5) as hub, stream(hub, receive_buffer=4096) as slow:
        slow.until("ready")
        while not hub.hub.counts.stalls:
            publish(hub, "a", "generating", filler="x" * 50_000)
        eventually(lambda: samples(hub)["statushub_stall_timeouts_total"] == 1)


def test_streams_that_last_are_attempts_that_succeeded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream and a socket each count once; a long poll waits for an event, and is neither."""
    monkeypatch.setattr("statushub.hub.viewers.attempts.LIVE_SECONDS", 0.5)
    with live_hub() as hub, stream(hub) as viewer:
        viewer.until("ready")
        address = f"{hub.base_url.replace('http', 'ws', 1)}/api/contents/c/ws"
        with connect(address, proxy=None):
            cursor = publish(hub, "a", "generating")
            waiting = {"since": cursor, "wait": "3"}
            httpx.get(f"{hub.base_url}/api/contents/c/changes", params=waiting).raise_for_status()
            eventually(lambda: samples(hub)['statushub_live_attempts_total{result="succeeded"}'] >= 2)
            assert samples(hub)['statushub_live_attempts_total{result="succeeded"}'] == 2


def test_the_lag_is_sampled_again_and_again() -> None:
    """Not of the first event only."""
    with live_hub() as hub, stream(hub) as viewer:
        viewer.until("ready")

        def sampled() -> bool:
            publish(hub, "a", "generating")
            return samples(hub)["statushub_delivery_lag_seconds_count"] >= 3

        eventually(sampled)


def test_pages_that_poll_tell_so() -> None:
    """With their interval, and with the attempts that failed; nonsense counts as nothing, and too much as a limit."""
    with live_hub() as hub:
        for said in ("polling=3000", "polling=10000&failed=2", "polling=x&failed=-1", "failed=999999", "polling=9" * 2):
            httpx.get(f"{hub.base_url}/api/contents/c/changes?{said}").raise_for_status()
        found = samples(hub)
    assert found["statushub_polling_seconds_total"] == 13
    assert found['statushub_live_attempts_total{result="failed"}'] == 102


def test_only_those_who_may_read_are_believed() -> None:
    """A request that is refused counts as a request only."""
    with live_hub(secret=SECRET) as hub:
        url = f"{hub.base_url}/api/contents/c/changes?polling=3000&failed=1"
        assert httpx.get(url).status_code == 401
        httpx.get(url, headers=bearer()).raise_for_status()
        found = samples(hub)
    assert found["statushub_polling_seconds_total"] == 3
    assert found['statushub_live_attempts_total{result="failed"}'] == 1


@pytest.mark.parametrize("broker", ["memory:", pytest.param("redis", marks=pytest.mark.redis)])
def test_endings_by_the_hub_are_counted(broker: str, tmp_path: Path) -> None:
    """A content whose worker died, and one whose worker does not heed a request to cancel, which is counted, too."""
    with running_redis(tmp_path) as redis, live_hub(redis.url if broker == "redis" else broker) as hub:
        publish(hub, "dead", "generating")
        event = {"channel": "c", "content_id": "dead", "data": {"status": "generating"}, "lease": 1}
        httpx.post(f"{hub.base_url}/api/publish", json=event).raise_for_status()
        publish(hub, "deaf", "generating")
        asked = {"content_id": "deaf"}
        for _ in range(2):
            httpx.post(f"{hub.base_url}/api/contents/c/cancel", json=asked).raise_for_status()
        eventually(lambda: samples(hub)["statushub_contents_stalled_total"])
        # A sweep that is late by more than a few seconds does not count.
        for late in range(2, 100, 4):
            hub.run(hub.hub.broker.expire(time.time() + late))
        found = samples(hub)
    assert found["statushub_contents_stalled_total"] == 1
    assert found["statushub_contents_cancelled_total"] == 1
    assert found["statushub_cancel_requests_total"] == 1


@pytest.mark.redis
def test_returns_of_redis_are_counted(tmp_path: Path) -> None:
    """Once for each; viewers that were live have to catch up then."""
    with running_redis(tmp_path) as redis, live_hub(redis.url) as hub, stream(hub) as viewer:
        viewer.until("ready")
        assert samples(hub)["statushub_broker_commands_max"] == CONCURRENT_COMMANDS
        redis.kill()
        eventually(lambda: samples(hub)["statushub_broker_lost_seconds"] > 0)
        redis.start()
        eventually(lambda: samples(hub)["statushub_broker_reconnects_total"] == 1)
        assert samples(hub)['statushub_catch_ups_total{cause="interrupted"}'] == 1


@pytest.mark.redis
def test_commands_that_wait_are_shown(tmp_path: Path) -> None:
    """While Redis does not answer, what is asked of it adds up."""
    with running_redis(tmp_path) as redis, live_hub(redis.url) as hub:
        eventually(lambda: samples(hub)["statushub_broker_commands"] == 0)
        redis.pause()
        try:
            eventually(lambda: samples(hub)["statushub_broker_commands"] > 0)
        finally:
            redis.resume()
        eventually(lambda: samples(hub)["statushub_broker_commands"] == 0)


@pytest.mark.redis
def test_hits_of_a_source_s_cache_are_counted(tmp_path: Path) -> None:
    """The first poll of a video asks the source, and the second one its cache."""
    with running_redis(tmp_path) as redis, live_hub(video_keys=redis.url) as hub:
        redis.command("SET", "tenant:default:video:v:status", '{"status":"READY"}')
        url = f"{hub.base_url}/api/v1/media/videos/v/progress/"

        def hits() -> dict[str, float]:
            assert httpx.get(url).json()["status"] == "READY"
            return {
                result: samples(hub)[
                    f'statushub_source_reads_total{{cache="status",result="{result}",source="video_keys"}}'
                ]
                for result in ("hit", "miss")
            }

        assert hits() == {"hit": 0, "miss": 1}
        # Answers are fresh for a second.
        eventually(lambda: hits()["hit"])
        assert hits()["miss"] >= 1
