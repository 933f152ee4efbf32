"""Contents that grow, in Redis: their log, callers of earlier versions, and a server that loses data."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from statushub.hub.brokers.contract import Broker
from statushub.hub.brokers.redis import commands
from statushub.hub.brokers.redis.broker import RedisBroker
from statushub.hub.model.delta import composed, decode
from statushub.hub.model.event import Event
from statushub.hub.model.receipt import Refusal
from tests.support.listening import admin, listening
from tests.support.publications import CHANNEL, grown, publish_one, update
from tests.support.redis_server import RedisServer, running_redis

pytestmark = [pytest.mark.anyio, pytest.mark.redis]

TENANT = "acme"
P = commands.prefix("hub", TENANT)
GROWTH = commands.growth_key(P, "a")


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


async def text(broker: Broker) -> object:
    """The text of the content, as it is read."""
    [event] = (await broker.lookup(TENANT, ["a"])).events
    assert event is not None
    return json.loads(event.data).get("text")


async def test_a_log_is_one_string_that_is_appended_to(server: RedisServer) -> None:
    """A delta adds its own bytes, whatever is there; nothing is left after an ending that names the field."""
    async with RedisBroker(server.url) as broker, admin(server.url) as client:
        await broker.publish(TENANT, [update("a", seq=1), grown("a", seq=2, text="x" * 10_000)])
        lengths = [await client.strlen(GROWTH)]
        for seq in range(3, 6):
            await publish_one(broker, TENANT, grown("a", seq=seq, text="ab"))
            lengths.append(await client.strlen(GROWTH))
        steps = {after - before for before, after in pairwise(lengths)}
        assert len(steps) == 1
        assert max(steps) < 20
        await publish_one(broker, TENANT, update("a", "complete", seq=6, text="all"))
        assert await client.exists(GROWTH) == 0
        assert await client.hget(f"{P}:content:a", "grown") is None
        await broker.publish(TENANT, [update("b", seq=1), grown("b", seq=2, text="x")])
        await broker.remove(TENANT, CHANNEL)
        assert await client.keys(f"{P}:growth:*") == []
        assert await client.hget(f"{P}:clock", "bytes") == b"0"


def _tenant_keys() -> list[str]:
    return [f"{P}:{name}" for name in ("clock", "leases", "ends", "index", "names", "rates")]


def _content_keys() -> list[str]:
    return [f"{P}:content:a", f"{P}:channel:{CHANNEL}", f"{P}:counts:{CHANNEL}"]


async def plain(client: Any, seq: int, data: bytes, *, status: str = "processing", type: str = "x") -> Any:
    """Publish in the form of minor version 5, which declares no key of growth."""
    keys = [*_tenant_keys(), *_content_keys()]
    said = [CHANNEL, "a", type, status, "", seq, "", "", "", "", "", data]
    return await client.execute_command("FCALL", "statushub5_publish", len(keys), *keys, *[""] * 10, *said)


async def test_callers_of_an_earlier_minor_version_go_on(server: RedisServer) -> None:
    """Their events replace all that has grown, since they do not say what they name; deltas go on from there."""
    async with RedisBroker(server.url) as broker, admin(server.url) as client:
        await broker.publish(TENANT, [update("a", seq=1), grown("a", seq=2, text="old", sets={"n": 1})])
        assert (await plain(client, 3, b'{"status":"generating","text":"theirs"}'))[0] == 1
        assert await text(broker) == "theirs"
        await publish_one(broker, TENANT, grown("a", seq=4, text=", and ours"))
        assert await text(broker) == "theirs, and ours"
        assert (await client.execute_command("FCALL", "statushub_publish", 1, P, "", *_formerly(5)))[0] == 1
        assert await text(broker) is None
        assert await client.exists(GROWTH) == 0


def _formerly(seq: int) -> tuple[str, ...]:
    return (CHANNEL, "a", "x", "0", "", str(seq), "", '{"status":"generating"}')


async def test_a_read_of_an_earlier_minor_version_is_answered(server: RedisServer) -> None:
    """It has the last whole event, in the form that such a hub knows."""
    async with RedisBroker(server.url) as broker, admin(server.url) as client:
        await broker.publish(TENANT, [update("a", seq=1, text="whole"), grown("a", seq=2, text=", grown")])
        answer = await client.execute_command("FCALL", "statushub5_states", 2, f"{P}:clock", f"{P}:content:a")
        [row] = answer[2:]
        assert len(row) == 4
        assert json.loads(row[3])["text"] == "whole"


async def test_a_worker_loads_a_newer_library(server: RedisServer) -> None:
    """Where no hub has been upgraded yet, the first publish in the new form does it."""
    older = commands.LIBRARY.replace(f"local MINOR = {commands.MINOR}\n", "local MINOR = 5\n")
    older = older.replace(
        "local events = (#args - ARGS_BEFORE) / ARGS_EACH\n",
        f"do return redis.error_reply('ERR statushub5_publish {commands.FORMER_FORM}') end\n  local events = 1\n",
    )
    async with RedisBroker(server.url) as broker, admin(server.url) as client:
        await client.execute_command("FUNCTION", "LOAD", "REPLACE", older)
        assert (await publish_one(broker, TENANT, update("a", seq=1))).accepted
        assert await client.execute_command("FCALL_RO", "statushub5_version", 0) == commands.MINOR


@pytest.mark.parametrize("lost", ["DEL", "SET"])
async def test_a_lost_log_is_a_gap(server: RedisServer, lost: str) -> None:
    """A text has no holes: nothing is appended to a log that is not whole, and the next whole event begins anew."""
    async with RedisBroker(server.url) as broker, admin(server.url) as client:
        await broker.publish(TENANT, [update("a", seq=1), grown("a", seq=2, text="old")])
        await client.execute_command(lost, GROWTH, *(("t text 0 1\nx",) if lost == "SET" else ()))
        assert (await publish_one(broker, TENANT, grown("a", seq=3, text="hole"))).reason is Refusal.GAP
        assert await text(broker) is None
        await broker.publish(TENANT, [update("a", seq=3), grown("a", seq=4, text="new")])
        assert await text(broker) == "new"


async def test_another_programs_key_is_left_alone(server: RedisServer) -> None:
    """A content whose log would lie there is refused; the rest is published."""
    async with RedisBroker(server.url) as broker, admin(server.url) as client:
        await client.sadd(GROWTH, "theirs")
        await publish_one(broker, TENANT, update("a", seq=1))
        assert (await publish_one(broker, TENANT, grown("a", seq=2, text="x"))).reason is Refusal.OCCUPIED
        assert await client.smembers(GROWTH) == {b"theirs"}
        assert await text(broker) is None


UNSOUND = {
    "no records": (b"{}", "2", "1", "processing"),
    "cut off": (b"t text 0 9\nab", "2", "1", "processing"),
    "another record": (b"b - 0 2\n{}", "2", "1", "processing"),
    "a field twice": (b"t text 0 1\nas text 0 1\n1", "2", "1", "processing"),
    "nothing": (b"", "2", "1", "processing"),
    "no seq": (b"t text 0 1\na", "", "1", "processing"),
    "follows nothing": (b"t text 0 1\na", "2", "", "processing"),
    "another phase": (b"t text 0 1\na", "2", "1", "completed"),
}


@pytest.mark.parametrize("case", UNSOUND.values(), ids=[*UNSOUND])
async def test_an_unsound_delta_is_refused_before_anything_is_written(
    server: RedisServer, case: tuple[bytes, str, str, str]
) -> None:
    """A worker in another language is told what is wrong."""
    records, seq, follows, phase = case
    async with RedisBroker(server.url) as broker, admin(server.url) as client:
        await publish_one(broker, TENANT, update("a", seq=1))
        before = await client.hgetall(f"{P}:content:a")
        keys = [*_tenant_keys(), *_content_keys(), GROWTH]
        said = [CHANNEL, "a", "content_delta", phase, "", seq, "", "", "", "", follows, records]
        with pytest.raises(Exception, match="takes a delta as records"):
            await client.execute_command("FCALL", "statushub5_publish", len(keys), *keys, *[""] * 10, *said)
        assert await client.hgetall(f"{P}:content:a") == before


@pytest.mark.parametrize("forgets", [False, True])
async def test_a_reader_has_the_brokers_text_after_a_restart(server: RedisServer, forgets: bool) -> None:
    """With the server's data the worker goes on with deltas; without them it is told to send the whole state."""
    async with listening(server.url) as (broker, recorder):
        await broker.subscribe(TENANT, [CHANNEL])
        await broker.publish(
            TENANT, [update("a", seq=1), grown("a", seq=2, text="Once"), grown("a", seq=3, text=" upon")]
        )
        await recorder.count(3)
        server.kill()
        await recorder.until(lambda: recorder.reports == ["lost"])
        if forgets:
            server.forget()
        server.start()
        await recorder.until(lambda: recorder.reports == ["lost", "restored"])
        held = {event.content_id: event for event in (await broker.changes(TENANT, CHANNEL)).events}
        heard = len(recorder.events)
        receipt = await publish_one(broker, TENANT, grown("a", seq=4, text=" a time"))
        assert receipt.reason == (Refusal.UNKNOWN if forgets else None)
        if forgets:
            await broker.publish(TENANT, [update("a", seq=5, text="Once upon a time")])
        await broker.publish(TENANT, [grown("a", seq=6, follows=5 if forgets else 4, text=".")])
        for event in (await recorder.count(heard + 2))[heard:]:
            held[event.content_id] = _applied(held.get(event.content_id), event)
        assert json.loads(held["a"].data)["text"] == await text(broker) == "Once upon a time."


def _applied(before: Event | None, event: Event) -> Event:
    if not event.delta:
        return event
    assert before is not None
    assert before.offset == event.after
    data = composed(before.data, decode(event.data))
    return Event(channel=event.channel, content_id=event.content_id, offset=event.offset, type=before.type, data=data)
