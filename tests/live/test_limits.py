"""Limits: each one is reached, answered as documented, counted, and available again."""

from __future__ import annotations

import contextlib
import re
import socket
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from statushub.hub.auth.identity import ANONYMOUS, Identity
from statushub.hub.brokers.sqlite.rates import MAX_PUBLISHERS, Rates
from statushub.hub.config import Config
from statushub.hub.http.compatibility import http_protocol
from statushub.hub.http.handover import HandoverProtocol
from statushub.hub.intervals import Intervals
from statushub.hub.metrics import LIMITS
from statushub.hub.model.errors import TooManyRequests
from statushub.hub.model.limits import PublishRate
from statushub.hub.viewers.quotas import ChannelLimits, ChannelQuota, StreamLimits, StreamQuota
from tests.support.command import serving
from tests.support.live import LiveHub, live_hub
from tests.support.sse_client import open_stream
from tests.support.tokens import SECRET, bearer
from tests.support.waiting import eventually

PATHS = [pytest.param(HandoverProtocol, id="handover"), pytest.param("h11", id="portable")]
STREAM = "/api/contents/c/events"
OFFER = {"channel": "c", "content_id": "a", "data": {"status": "generating"}}

LONG_ID = OFFER | {"content_id": "123456789"}


def refused(base_url: str) -> dict[str, int]:
    """The number of refusals by limit, from the metrics."""
    text = httpx.get(f"{base_url}/metrics").text
    found = re.findall(r'^statushub_refusals_total\{limit="(\w+)"\} ([\d.]+)', text, re.MULTILINE)
    return {name: int(float(count)) for name, count in found}


@pytest.mark.parametrize("http", PATHS)
@pytest.mark.parametrize(
    ("setting", "limit", "outsider"),
    [
        ("max_streams", "streams_hub", None),
        ("max_streams_tenant", "streams_tenant", {"tenant": "other"}),
        ("max_streams_sub", "streams_sub", {"sub": "bob"}),
        ("max_streams_address", "streams_address", None),
    ],
)
def test_streams_are_limited(http: Any, setting: str, limit: str, outsider: dict[str, Any] | None) -> None:
    """A stream over the quota is sent `drain` with a long retry; other identities, and later streams, are admitted."""
    limited: dict[str, Any] = {setting: 2}
    with live_hub(secret=SECRET, http=http, **limited) as hub, contextlib.ExitStack() as stack:
        head = bearer(sub="eve")
        first = stack.enter_context(contextlib.ExitStack())
        first.enter_context(open_stream(hub.base_url, STREAM, head)).until("ready")
        stack.enter_context(open_stream(hub.base_url, STREAM, head)).until("ready")
        with open_stream(hub.base_url, STREAM, head) as turned_away:
            assert turned_away.status == 200
            frame = turned_away.event()
            assert frame.event == "drain"
            assert (frame.retry or 0) >= 10_000
        assert refused(hub.base_url)[limit] == 1
        if outsider:
            stack.enter_context(open_stream(hub.base_url, STREAM, bearer(**outsider))).until("ready")
        # A long poll over the quota is answered without waiting.
        assert httpx.get(f"{hub.base_url}/api/contents/c/changes?wait=25", headers=head).status_code == 200
        before = len(hub.hub.viewers)
        first.close()
        eventually(lambda: len(hub.hub.viewers) == before - 1)
        stack.enter_context(open_stream(hub.base_url, STREAM, head)).until("ready")


def channels_path(*channels: str) -> str:
    """The path of a stream over these channels."""
    return "/api/events?" + "&".join(f"channel={channel}" for channel in channels)


@pytest.mark.parametrize("http", PATHS)
@pytest.mark.parametrize(
    ("setting", "limit", "claims", "outsider"),
    [
        ("max_channels_tenant", "channels_tenant", {"sub": "eve"}, {"tenant": "other"}),
        ("max_channels_sub", "channels_sub", {"sub": "eve"}, {"sub": "bob"}),
        ("max_channels_sub", "channels_sub", {"jti": "one"}, {"jti": "two"}),
    ],
)
def test_followed_channels_are_limited(
    http: Any, setting: str, limit: str, claims: dict[str, Any], outsider: dict[str, Any]
) -> None:
    """A stream over the quota is sent `drain` with a long retry; streams of channels that are followed anyway, other
    identities and later streams are admitted."""
    limited: dict[str, Any] = {setting: 4}
    head = bearer(**claims)
    with live_hub(secret=SECRET, http=http, **limited) as hub, contextlib.ExitStack() as stack:
        first = stack.enter_context(contextlib.ExitStack())
        first.enter_context(open_stream(hub.base_url, channels_path("a", "b", "c"), head)).until("ready")
        stack.enter_context(open_stream(hub.base_url, channels_path("c", "d"), head)).until("ready")
        with open_stream(hub.base_url, channels_path("a", "e"), head) as turned_away:
            assert turned_away.status == 200
            frame = turned_away.event()
            assert frame.event == "drain"
            assert (frame.retry or 0) >= 10_000
        assert refused(hub.base_url)[limit] == 1
        stack.enter_context(open_stream(hub.base_url, channels_path("d", "b"), head)).until("ready")
        stack.enter_context(open_stream(hub.base_url, channels_path("a", "e"), bearer(**outsider))).until("ready")
        before = len(hub.hub.viewers)
        first.close()
        eventually(lambda: len(hub.hub.viewers) == before - 1)
        stack.enter_context(open_stream(hub.base_url, channels_path("e"), head)).until("ready")


def test_without_keys_followed_channels_are_limited_by_address() -> None:
    """An anonymous reader has no other identity."""
    with live_hub(max_channels_sub=1) as hub, contextlib.ExitStack() as stack:
        for number, channel, first in ((1, "a", "ready"), (1, "b", "drain"), (1, "a", "ready"), (2, "b", "ready")):
            head = {"X-Forwarded-For": f"198.51.100.{number}"}
            stream = stack.enter_context(open_stream(hub.base_url, channels_path(channel), head))
            assert stream.event().event == first


def test_a_poll_of_one_channel_too_many_is_refused() -> None:
    """429 has `Retry-After`; channels in memory are answered, other tenants too, and evicted ones make room."""
    intervals = Intervals(eviction=0.02, idle=3.0)
    with (
        live_hub(secret=SECRET, max_channels_tenant=2, intervals=intervals) as hub,
        httpx.Client(base_url=hub.base_url, headers=bearer()) as client,
    ):
        paths = [f"/api/contents/{channel}{view}" for channel in "abc" for view in ("", "/status", "/changes")]
        answers = [client.get(path) for path in paths]
        assert [answer.status_code for answer in answers] == [200] * 6 + [429] * 3
        held = answers[-1]
        assert held.json()["error"]["code"] == "too_many_requests"
        assert 1 <= int(held.headers["retry-after"]) <= 10
        assert refused(hub.base_url)["channels_tenant"] == 3
        assert httpx.get(hub.base_url + paths[-1], headers=bearer(tenant="other")).status_code == 200
        eventually(lambda: client.get(paths[-1]).status_code == 200)


def test_a_long_poll_of_one_channel_too_many_is_refused() -> None:
    """It follows its channel as a stream does, and counts with them."""
    with live_hub(secret=SECRET, max_channels_sub=1) as hub:
        head = bearer(sub="eve")
        with open_stream(hub.base_url, channels_path("a"), head) as stream:
            stream.until("ready")
            assert httpx.get(f"{hub.base_url}/api/contents/a/changes", headers=head).status_code == 200
            held = httpx.get(f"{hub.base_url}/api/contents/b/changes?wait=5", headers=head)
            assert (held.status_code, held.json()["error"]["code"]) == (429, "too_many_requests")
            assert refused(hub.base_url)["channels_sub"] == 1


def test_a_channel_quota_is_given_back() -> None:
    """When every viewer has left, no count remains."""
    quota = ChannelQuota(ChannelLimits(tenant=9, sub=9))
    eve = Identity(tenant="t", sub="eve")
    taken = [(eve, "a", ["c", "d"]), (ANONYMOUS, "", ["c"]), (eve, "b", ["d"])]
    for viewer in taken:
        quota.take(*viewer)
    for viewer in reversed(taken):
        quota.leave(*viewer)
    assert quota._followed == {}


def test_a_stream_quota_is_given_back() -> None:
    """When every stream has left, no count remains."""
    quota = StreamQuota(StreamLimits(hub=9, tenant=9, sub=9, address=9))
    eve = Identity(tenant="t", sub="eve")
    for who, where in ((eve, "a"), (ANONYMOUS, ""), (eve, "b")):
        quota.take(who, where)
    assert len(quota) == 3
    for who, where in ((eve, "b"), (eve, "a"), (ANONYMOUS, "")):
        quota.leave(who, where)
    assert len(quota) == 0
    assert (quota._tenants, quota._subjects, quota._addresses) == ({}, {}, {})


def test_only_a_trusted_proxy_sets_the_client_address(tmp_path: Any) -> None:
    """Without a trusted proxy, a client cannot invent addresses."""
    for options, each_its_own in ((("--proxy", "127.0.0.1"), True), (("--proxy", "192.0.2.1"), False)):
        arguments = ("--broker", "memory:", "--max-streams-address", 1, *options)
        with serving(*arguments, cwd=tmp_path) as (_, url), contextlib.ExitStack() as stack:
            for number in range(3):
                head = {"X-Forwarded-For": f"198.51.100.{number}"}
                stream = stack.enter_context(open_stream(url, STREAM, head))
                first = stream.event().event
                assert first == ("ready" if each_its_own or number == 0 else "drain")


def test_publishing_is_rate_limited() -> None:
    """429 has `Retry-After`; other tokens are not limited; a large batch passes and is charged to later ones."""
    with live_hub(secret=SECRET, publish_rate=5.0) as hub, httpx.Client(base_url=hub.base_url) as client:
        events = [OFFER | {"content_id": f"e{number}"} for number in range(20)]
        whole = client.post("/api/publish", json={"events": events}, headers=bearer(jti="one"))
        assert len(whole.json()["results"]) == 20
        held = client.post("/api/publish", json=OFFER, headers=bearer(jti="one"))
        assert (held.status_code, held.json()["error"]["code"]) == (429, "too_many_requests")
        assert 1 <= int(held.headers["retry-after"]) <= 3
        assert client.post("/api/publish", json=OFFER, headers=bearer(jti="two")).status_code == 200
        assert refused(hub.base_url)["publish_rate"] == 1


def test_without_keys_publishers_are_limited_by_address() -> None:
    """An anonymous publisher has no other identity."""
    with live_hub(publish_rate=1.0) as hub, httpx.Client(base_url=hub.base_url) as client:
        addresses = [{"X-Forwarded-For": f"198.51.100.{number}"} for number in (1, 1, 1, 2)]
        sent = [client.post("/api/publish", json=OFFER, headers=address) for address in addresses]
        assert [answer.status_code for answer in sent] == [200, 200, 429, 200]


def test_a_rate_is_an_average() -> None:
    """Unused capacity of more than a second is not saved, and an overdraft is paid back over time."""
    rates, rate = Rates(), PublishRate(sub="a", events=10.0, bytes=1e9)
    rates.spend("t", rate, 30, 0, now=100.0)
    for now in (100.0, 101.9):
        with pytest.raises(TooManyRequests) as caught:
            rates.spend("t", rate, 1, 0, now=now)
    assert caught.value.retry_after == pytest.approx(0.1)
    rates.spend("t", rate, 1, 0, now=102.1)
    rates.spend("t", rate, 10, 0, now=1000.0)
    with pytest.raises(TooManyRequests):
        rates.spend("t", rate, 1, 0, now=1000.0)
    for number in range(MAX_PUBLISHERS + 5):
        rates.spend("t", PublishRate(sub=str(number), events=10.0, bytes=1e9), 1, 0, now=1000.0)
    assert len(rates) == MAX_PUBLISHERS


@pytest.mark.parametrize(
    ("settings", "body", "status", "limit", "field"),
    [
        ({"max_body": 1024}, OFFER | {"data": {"status": "idle", "x": "y" * 2000}}, 413, "body", "body"),
        ({"max_event": 256}, OFFER | {"data": {"status": "idle", "x": "y" * 200}}, 413, "event", "data"),
        ({}, OFFER | {"data": {"status": "idle", "x": "y" * 70_000}}, 413, "event", "data"),
        ({"max_name": 8}, OFFER | {"channel": "123456789"}, 422, "name", "channel"),
        (
            {"max_name": 8},
            {"events": [OFFER, LONG_ID]},
            422,
            "name",
            "events[1].content_id",
        ),
        ({}, OFFER | {"channel": "x" * 129}, 422, "name", "channel"),
    ],
)
def test_sizes_are_limited(settings: dict[str, Any], body: dict[str, Any], status: int, limit: str, field: str) -> None:
    """The error names the field, the refusal is counted, and nothing is stored."""
    with live_hub(**settings) as hub, httpx.Client(base_url=hub.base_url) as client:
        answer = client.post("/api/publish", json=body)
        assert (answer.status_code, answer.json()["error"]["field"]) == (status, field)
        assert refused(hub.base_url) == dict.fromkeys(LIMITS, 0) | {limit: 1}
        assert client.get("/api/contents/c").json()["contents"] == []


# Heads


@contextlib.contextmanager
def connected(hub: LiveHub) -> Any:
    """A plain connection to the hub."""
    address = urlsplit(hub.base_url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        yield connection


def received(connection: socket.socket) -> bytes:
    """All bytes until the other side closes."""
    answer = b""
    with contextlib.suppress(ConnectionResetError):
        while data := connection.recv(65536):
            answer += data
    return answer


REQUEST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
LAST = b"Connection: close\r\n"
"""Without it the hub closes a connection that was answered only after its keep-alive time, 5 s."""


@pytest.mark.parametrize(
    "head",
    [
        REQUEST + LAST + b"X: " + b"x" * 3000 + b"\r\n\r\n",
        REQUEST + LAST + b"".join(b"X-%d: y\r\n" % number for number in range(500)) + b"\r\n",
        b"GET /" + b"x" * 3000 + b" HTTP/1.1\r\nHost: localhost\r\n" + LAST + b"\r\n",
        REQUEST + b"X: " + b"x" * 200_000,
        b"GET /" + b"x" * 200_000,
        REQUEST + b"\r\n" + REQUEST + b"Y: " + b"y" * 200_000,
    ],
    ids=["value", "fields", "path", "endless value", "endless path", "the next request"],
)
def test_a_head_is_limited_in_size(head: bytes) -> None:
    """The answer is 431 in the form of all errors, whether the head ends or not."""
    with live_hub(max_head=2048, http=handover(max_head=2048)) as hub:
        with connected(hub) as connection:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(head)
            answer = received(connection)
        assert b"HTTP/1.1 431 " in answer
        assert b'"code":"head_too_large"' in answer
        eventually(lambda: refused(hub.base_url)["head"] == 1)


def handover(*, max_head: int = 16_384, request_timeout: float = 10.0) -> Any:
    """The hub's protocol with these limits, as `statushub serve` builds it."""
    return http_protocol(Config(max_head=max_head, request_timeout=request_timeout))


@pytest.mark.parametrize("sent", [b"GET /healthz HT", REQUEST, REQUEST + b"\r\n" + REQUEST])
def test_an_incomplete_head_times_out(sent: bytes) -> None:
    """The answer is 408 and the connection is closed, also after an earlier answer on it."""
    with live_hub(http=handover(request_timeout=1.0)) as hub:
        with connected(hub) as connection:
            connection.sendall(sent)
            assert b"HTTP/1.1 408 " in received(connection)
        assert refused(hub.base_url)["request_timeout"] == 1


def test_a_slow_head_times_out() -> None:
    """A byte now and then does not restart the timeout."""
    with live_hub(http=handover(request_timeout=0.5)) as hub, connected(hub) as connection:
        connection.settimeout(0.05)
        answer = b""
        for byte in REQUEST * 50:
            with contextlib.suppress(TimeoutError, ConnectionResetError, BrokenPipeError):
                connection.sendall(bytes([byte]))
                answer += connection.recv(4096)
            if answer:
                break
        assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_silent_connection_is_closed_without_an_answer() -> None:
    """Browsers open spare connections, and treat an answer without a request as an error."""
    with live_hub(http=handover(request_timeout=1.0)) as hub, connected(hub) as first, connected(hub) as second:
        assert received(first) == received(second) == b""


def test_a_connection_that_said_something_is_not_taken_for_a_silent_one() -> None:
    """One that came before and one that comes after it are closed, and its stream goes on."""
    with (
        live_hub(http=handover(request_timeout=1.0), heartbeat=0.4) as hub,
        connected(hub) as before,
        open_stream(hub.base_url, STREAM) as stream,
        connected(hub) as after,
    ):
        assert received(before) == received(after) == b""
        stream.until("ready")
        assert [stream.frame().event for _ in range(3)] == ["heartbeat"] * 3


def test_a_silent_connection_does_not_keep_a_hub_from_stopping() -> None:
    """It is closed without an answer."""
    with contextlib.ExitStack() as stack:
        with live_hub(request_timeout=600) as hub:
            connection = stack.enter_context(connected(hub))
            # The hub has accepted those before it.
            assert httpx.get(f"{hub.base_url}/healthz").status_code == 200
        assert received(connection) == b""


def test_an_incomplete_body_times_out() -> None:
    """The answer is 408 in the form of all errors."""
    with live_hub(request_timeout=1.0) as hub, connected(hub) as connection:
        connection.sendall(
            b"POST /api/publish HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 100\r\n" + LAST + b"\r\n{"
        )
        answer = received(connection)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b'"field":"body"' in answer


def test_an_open_stream_does_not_time_out() -> None:
    """The request timeout ends with the head."""
    with (
        live_hub(http=handover(request_timeout=1.0), heartbeat=0.4) as hub,
        open_stream(hub.base_url, STREAM) as stream,
    ):
        stream.until("ready")
        assert [stream.frame().event for _ in range(3)] == ["heartbeat"] * 3
        # Neither does a request whose answer takes long.
        assert httpx.get(f"{hub.base_url}/api/contents/c/changes?wait=1.5").status_code == 200


def test_a_malformed_request_is_refused() -> None:
    """The answer is 400 in the form of all errors."""
    with live_hub() as hub, connected(hub) as connection:
        connection.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        answer = received(connection)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b'"code":"malformed"' in answer
