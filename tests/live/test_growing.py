"""Contents that grow, read over every wire: what a reader has is what was written, whatever happens in between."""

from __future__ import annotations

import contextlib
import itertools
import random
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from statushub.hub.http.handover import HandoverProtocol
from statushub.hub.model.publication import Publication, publication
from statushub.hub.model.receipt import Refusal
from statushub.hub.viewers import pacing
from statushub.producers.http_transport import HttpTransport
from tests.support.following import KINDS, following
from tests.support.growing import Reader, Writer
from tests.support.live import LiveHub, live_hub
from tests.support.redis_server import RedisServer, running_redis
from tests.support.socket_client import open_socket
from tests.support.sse_client import StreamClient, open_stream

WORDS = ["the sea ", "is old, ", "세계 ", "and “deep” ", "😀 ", "\u2028", "\n", '"', "\\ "]

BROKERS = ["memory", pytest.param("redis", marks=pytest.mark.redis)]

numbers = itertools.count()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis"), appendonly=False) as server:
        yield server


@pytest.fixture
def redis_url(server: RedisServer) -> str:
    """An empty Redis: every test has the same contents."""
    server.command("FLUSHALL")
    return server.url


@pytest.fixture(params=BROKERS)
def broker_url(request: pytest.FixtureRequest) -> str:
    return "memory:" if request.param == "memory" else str(request.getfixturevalue("redis_url"))


@pytest.fixture
def hub(broker_url: str) -> Iterator[LiveHub]:
    with live_hub(broker_url, heartbeat=2) as hub:
        yield hub


@pytest.fixture
def writer(hub: LiveHub) -> Writer:
    return Writer(hub, f"growing-{next(numbers)}")


def cut_off(hub: LiveHub) -> None:
    """End every stream, as where a token has expired."""
    for viewer in tuple(hub.hub.viewers):
        viewer.expire()


def events_of(writer: Writer, query: str = "?deltas=1") -> str:
    return f"/api/contents/{writer.channel}/events{query}"


def read_until(client: StreamClient, reader: Reader, content_id: str, text: str, status: str | None = None) -> None:
    """Read the stream until the content has this text, and status."""
    while reader.states.get(content_id, {}).get("text") != text or (
        status is not None and reader.states[content_id]["status"] != status
    ):
        reader.take_frames([client.event()])


def test_a_viewer_that_reconnects_fifty_times_has_every_character_once(hub: LiveHub, writer: Writer) -> None:
    """It is cut off anywhere, also within a frame, while the text grows; each delta fits what it has."""
    random_ = random.Random(1)
    writer.begin("a", "Once ")
    reader, wholes = Reader(), []
    for _ in range(50):
        headers = {"Last-Event-ID": reader.cursor} if reader.cursor else {}
        with open_stream(hub.base_url, events_of(writer), headers) as client:
            reader.take_frames(client.until("ready"))
            for _ in range(random_.randrange(4)):
                writer.add("a", random_.choice(WORDS))
            for _ in range(random_.randrange(3)):
                with contextlib.suppress(TimeoutError):
                    client.socket.settimeout(0.2)
                    reader.take_frames([client.event()])
        writer.add("a", random_.choice(WORDS))
        wholes.append(reader.wholes)
    writer.end("a")
    with open_stream(hub.base_url, events_of(writer), {"Last-Event-ID": reader.cursor or ""}) as client:
        read_until(client, reader, "a", writer.texts["a"], "complete")
    assert reader.deltas > 50
    # The first one, and the ending.
    assert wholes[-1] == 1


@pytest.mark.parametrize("http", [HandoverProtocol, "h11"], ids=["handover", "portable"])
@pytest.mark.parametrize("events", ["named", "message"])
def test_mixed_viewers_of_one_content(broker_url: str, http: Any, events: str) -> None:
    """Those that take deltas and those that do not end with the same text; a late page begins with the whole."""
    with live_hub(broker_url, http=http) as hub, contextlib.ExitStack() as stack:
        writer = Writer(hub, f"growing-{next(numbers)}")
        writer.begin("a")
        queries = [f"?events={events}{deltas}" for deltas in ("&deltas=1", "&deltas=1", "", "&deltas=0")]
        clients = [stack.enter_context(open_stream(hub.base_url, events_of(writer, query))) for query in queries]
        readers = [Reader() for _ in clients]
        for reader, client in zip(readers, clients, strict=True):
            while "a" not in reader.states:
                reader.take_frames([client.frame()])
        for number in range(40):
            writer.add("a", f"{number} ", progress=number)
        # The hub has heard of them all.
        while readers[0].states["a"]["text"] != writer.texts["a"]:
            readers[0].take_frames([clients[0].frame()])
        late, late_reader = stack.enter_context(open_stream(hub.base_url, events_of(writer, queries[0]))), Reader()
        while "a" not in late_reader.states:
            late_reader.take_frames([late.frame()])
        assert (late_reader.states["a"]["text"], late_reader.deltas) == (writer.texts["a"], 0)
        writer.end("a")
        for reader, client in zip([*readers, late_reader], [*clients, late], strict=True):
            while reader.states["a"]["status"] != "complete":
                reader.take_frames([client.frame()])
            assert reader.states["a"]["text"] == writer.texts["a"]
        assert min(reader.deltas for reader in readers[:2]) > 5
        assert [reader.deltas for reader in readers[2:]] == [0, 0]
        assert max(reader.wholes for reader in readers[2:]) < 40


def test_other_viewers_are_told_less_often(hub: LiveHub, writer: Writer) -> None:
    """A whole state each half second, and the last one always."""
    writer.begin("a")
    with open_stream(hub.base_url, events_of(writer, "")) as client:
        client.until("ready")
        reader, came = Reader(), []
        began = time.monotonic()
        while time.monotonic() - began < 3 * pacing.SECONDS:
            writer.add("a", "word ")
        while reader.states.get("a", {}).get("text") != writer.texts["a"]:
            reader.take_frames([client.event()])
            came.append(time.monotonic())
        assert reader.wholes <= (came[-1] - began) / pacing.SECONDS + 2


def test_a_slow_viewer_skips_to_the_present(hub: LiveHub, writer: Writer) -> None:
    """While it reads nothing its text grows by more than its socket takes; then it has it all, in few frames."""
    writer.begin("a")
    with open_stream(hub.base_url, events_of(writer), receive_buffer=4096) as client:
        reader = Reader()
        reader.take_frames(client.until("ready"))
        (viewer,) = list(hub.hub.viewers)
        for _ in range(150):
            writer.add("a", "x" * 7_000)
            if viewer.state.name == "STALLED":  # type: ignore[attr-defined]
                break
        for _ in range(20):
            writer.add("a", "y" * 1_000)
        read_until(client, reader, "a", writer.texts["a"])
        assert reader.wholes == 1


def test_a_pattern_has_what_grows(hub: LiveHub, writer: Writer) -> None:
    """Over all of its channels, those that come into being later included, with one cursor."""
    base = writer.channel
    one, other = Writer(hub, f"{base}/1"), Writer(hub, f"{base}/2")
    one.begin("one")
    reader = Reader()
    with open_stream(hub.base_url, f"/api/events?match={base}/*&deltas=1") as client:
        reader.take_frames(client.until("ready"))
        other.begin("other")
        for number in range(10):
            one.add("one", f"{number} ")
            other.add("other", f"{number} ")
        read_until(client, reader, "other", other.texts["other"])
        assert reader.states["one"]["text"] == one.texts["one"]
    other.add("other", "later")
    with open_stream(
        hub.base_url, f"/api/events?match={base}/*&deltas=1", {"Last-Event-ID": reader.cursor or ""}
    ) as client:
        reader.take_frames(client.until("ready"))
    assert reader.states["other"]["text"] == other.texts["other"]
    assert (reader.wholes, reader.deltas) == (2, 21)


@pytest.mark.parametrize("http", [HandoverProtocol, "h11"], ids=["handover", "portable"])
def test_a_socket_has_what_grows(broker_url: str, http: Any) -> None:
    """Each subscription says whether it takes deltas; a pattern's events name it."""
    with live_hub(broker_url, http=http) as hub:
        writer = Writer(hub, f"growing-{next(numbers)}/a")
        writer.begin("a")
        first = f"/api/contents/{writer.channel.replace('/', '%2F')}/ws?deltas=1"
        with open_socket(hub.base_url, first) as direct, open_socket(hub.base_url, "/api/ws") as client:
            readers = {"direct": Reader(), "channel": Reader(), "pattern": Reader()}
            readers["direct"].take_messages(direct.until("ready"))
            client.say(type="subscribe", channel_id=writer.channel)
            readers["channel"].take_messages(client.until("ready"))
            client.say(type="subscribe", match=f"{writer.channel[:-1]}*", deltas=True)
            readers["pattern"].take_messages(client.until("ready"))
            for number in range(5):
                writer.add("a", f"{number} ")
            writer.end("a")
            while readers["direct"].states["a"]["status"] != "complete":
                readers["direct"].take_messages([direct.message()])
            while any(readers[name].states["a"]["status"] != "complete" for name in ("channel", "pattern")):
                said = client.message()
                readers["pattern" if "match" in said else "channel"].take_messages([said])
            assert [reader.states["a"]["text"] for reader in readers.values()] == [writer.texts["a"]] * 3
            assert readers["direct"].deltas == readers["pattern"].deltas == 5
            assert readers["channel"].deltas == 0


def test_polls_have_the_whole_state(hub: LiveHub, writer: Writer) -> None:
    """Every poll, with the usual type; a cursor of one continues on a stream with deltas."""
    writer.begin("a", type_is="usual")
    for number in range(5):
        writer.add("a", f"{number} ")
    url = f"{hub.base_url}/api/contents/{writer.channel}"
    changes = httpx.get(f"{url}/changes").json()
    [event] = changes["events"]
    assert (event["type"], event["data"]["text"]) == ("content_status_update", writer.texts["a"])
    [content] = httpx.get(url).json()["contents"]
    assert content == event["data"]
    batch = httpx.post(f"{hub.base_url}/api/contents/status/batch", json={"content_ids": ["a"]}).json()
    assert batch["statuses"] == [{"id": "a", **event["data"]}]
    assert [it["id"] for it in httpx.get(f"{url}/status").json()["processing_contents"]] == ["a"]
    reader = Reader()
    reader.take(event["type"], event["id"], event["data"])
    writer.add("a", "more")
    with open_stream(hub.base_url, events_of(writer, f"?deltas=1&since={changes['cursor']}")) as client:
        reader.take_frames(client.until("ready"))
    assert (reader.states["a"]["text"], reader.deltas) == (writer.texts["a"], 1)


@pytest.mark.redis
def test_a_viewer_goes_on_at_another_hub(redis_url: str) -> None:
    """Its text is whole after each move, and after a hub has stopped under it."""
    with live_hub(redis_url) as one, live_hub(redis_url) as other:
        writer, reader = Writer(one, f"growing-{next(numbers)}"), Reader()
        writer.begin("a")
        for number in range(12):
            headers = {"Last-Event-ID": reader.cursor} if reader.cursor else {}
            hub = (one, other)[number % 2]
            with open_stream(hub.base_url, events_of(writer), headers) as client:
                reader.take_frames(client.until("ready"))
                for word in ("one ", "two "):
                    writer.add("a", f"{number} {word}")
                read_until(client, reader, "a", writer.texts["a"])
                if number == 11:
                    other.call(other.hub.drain)
                    reader.take_frames(client.until("drain"))
        with open_stream(one.base_url, events_of(writer), {"Last-Event-ID": reader.cursor or ""}) as client:
            writer.end("a")
            read_until(client, reader, "a", writer.texts["a"], "complete")


@pytest.mark.parametrize("kind", KINDS)
def test_a_follower_is_told_whole_statuses(hub: LiveHub, writer: Writer, kind: str) -> None:
    """With what has changed; nothing has to be read again, also where the connection breaks."""
    writer.begin("a", "Once ")
    with following(kind, hub.base_url, channels=[writer.channel]) as told:
        told.until("ready")
        for number in range(20):
            writer.add("a", f"{number} ", progress=number)
            if number == 10:
                hub.call(lambda: cut_off(hub))
        told.until(content_id="a", progress=19)
        writer.end("a")
        done = told.until(content_id="a", status="complete")
        assert done.data["text"] == writer.texts["a"]
        grown = [change for change in told.changes if change.delta is not None]
        assert {change.type for change in grown} == {"content_status_update"}
        assert grown[-1].data["progress"] == 19
        assert len({change.data["text"] for change in grown}) == len(grown)
        assert "misfit" not in told.heard.kinds


@pytest.mark.parametrize("kind", KINDS)
def test_a_follower_without_the_statuses_of_its_cursor_reads_them(hub: LiveHub, writer: Writer, kind: str) -> None:
    """A program may have stored only the cursor."""
    writer.begin("a", "Once ")
    since = writer.add("a", "upon ")
    with following(kind, hub.base_url, channels=[writer.channel], since=since) as told:
        told.until("ready")
        for word in ("a ", "time"):
            writer.add("a", word)
        told.until(content_id="a", text="Once upon a time")
        assert told.heard.kinds.count("misfit") == 1


def test_a_wrong_value_is_refused(hub: LiveHub, writer: Writer) -> None:
    """On a stream and on a socket that follows a channel."""
    for leaf in ("events", "ws"):
        answer = httpx.get(f"{hub.base_url}/api/contents/c/{leaf}?deltas=yes")
        assert (answer.status_code, answer.json()["error"]["field"]) == (422, "deltas")


@pytest.mark.anyio
async def test_a_producer_sends_deltas_to_a_hub(hub: LiveHub, writer: Writer) -> None:
    """A delta arrives as it was said, and one that does not follow is told the last seq."""
    transport = HttpTransport(hub.base_url)

    def offered(seq: int, **said: Any) -> Publication:
        return publication(channel=writer.channel, content_id="a", run="r", seq=seq, **said)

    append = {"text": "é😀", "log": [{"message": "b"}]}
    delta = {"follows": 1, "set": {"progress": 3}, "append": append}
    receipts = await transport.send(
        [
            offered(1, data={"status": "generating", "text": "x"}),
            offered(2, delta=delta),
            offered(9, delta={"follows": 7, "append": {"text": "late"}}),
        ]
    )
    await transport.aclose()
    assert [(receipt.accepted, receipt.reason, receipt.seq) for receipt in receipts] == [
        (True, None, None),
        (True, None, None),
        (False, Refusal.GAP, 2),
    ]
    answer = httpx.get(f"{hub.base_url}/api/contents/{writer.channel}").json()
    [content] = answer["contents"]
    assert (content["text"], content["log"], content["progress"]) == ("xé😀", [{"message": "b"}], 3)
