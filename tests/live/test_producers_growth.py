"""Works that append: what they have said arrives once and whole, whatever is lost on the way."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from starlette.responses import JSONResponse

from statushub import Producer, SyncProducer
from statushub.hub.app import create_app
from statushub.hub.brokers.redis import commands
from statushub.hub.config import Config
from statushub.hub.model.delta import GROWN_BYTES, GROWN_FIELDS
from statushub.hub.model.errors import Invalid, TooLarge
from statushub.hub.model.publication import Publication, publication
from statushub.producers.growth import STATE_BYTES
from statushub.producers.outbox import Outbox
from statushub.producers.run import DELTA_SECONDS, Run
from statushub.producers.work import PART_CHARACTERS
from tests.live.test_producers_http import moody, statuses
from tests.live.test_producers_outbox import Wire
from tests.support.effort import part
from tests.support.redis_server import RedisServer, running_redis
from tests.support.stored import Stored, stored
from tests.support.waiting import WAIT_SECONDS, until

pytestmark = [pytest.mark.anyio, pytest.mark.redis]


@pytest.fixture
def store(redis_server: RedisServer) -> Iterator[Stored]:
    with stored(redis_server.url, f"t{uuid4().hex[:12]}") as there:
        yield there


def producer(redis_server: RedisServer, store: Stored, **more: Any) -> Producer:
    return Producer(redis_server.url, tenant=store.tenant, patience=WAIT_SECONDS, **more)


async def tokens(*said: object) -> AsyncIterator[object]:
    for token in said:
        yield token


async def test_what_is_appended_arrives_whole(redis_server: RedisServer, store: Stored) -> None:
    """Texts, lists and set fields, with the fields of whole states, and the ending has them all."""
    async with producer(redis_server, store) as p, p.work("c", channel="ch", title="A film") as work:
        work.append(text="Once", log=["one"])
        work.append(text=" upon \U0001f600", log=("two", {"n": 3}))
        work.set(progress=45, page=2)
        await until(lambda: store.status("c").get("page") == 2)
        await work.update(processing_status="summarizing")
        work.append(text=" a time")
        await until(lambda: str(store.status("c").get("text")).endswith("time"))
        await until(lambda: store.status("c")["processing_status"] == "summarizing")
        said = store.status("c")
        assert (said["text"], said["log"]) == ("Once upon \U0001f600 a time", ["one", "two", {"n": 3}])
        assert (said["title"], said["progress"], said["processing_status"]) == ("A film", 45, "summarizing")
        work.append(text=".")
    said = store.status("c")
    assert (said["status"], said["text"], said["progress"]) == ("complete", "Once upon \U0001f600 a time.", 100)


async def test_tokens_leave_twenty_times_a_second(redis_server: RedisServer, store: Stored) -> None:
    """However many come, few deltas are sent."""
    began = time.monotonic()
    async with producer(redis_server, store) as p, p.work("c", channel="ch") as work:
        for number in range(3_000):
            work.append(text=f"{number} ")
    most = (time.monotonic() - began) / DELTA_SECONDS + 4
    assert store.status("c")["text"] == "".join(f"{number} " for number in range(3_000))
    assert store.events() <= most


async def test_a_stream_is_passed_on_and_appended(redis_server: RedisServer, store: Stored) -> None:
    """The program gets each token; those that are no texts are only passed on."""
    async with producer(redis_server, store) as p, p.work("c", channel="ch") as work:
        passed = [token async for token in work.stream(tokens("a", None, "b"), field="answer")]
    assert passed == ["a", None, "b"]
    assert store.status("c")["answer"] == "ab"


def test_a_stream_in_ordinary_code(redis_server: RedisServer, store: Stored) -> None:
    """As in asynchronous code."""
    with (
        SyncProducer(redis_server.url, tenant=store.tenant, patience=WAIT_SECONDS) as p,
        p.work("c", channel="ch") as work,
    ):
        assert list(work.stream(["a", "b"])) == ["a", "b"]
    assert store.status("c")["text"] == "ab"


async def test_a_work_over_http_grows() -> None:
    """A hub takes the same deltas."""
    with moody(app=create_app(Config(broker="memory:"))) as (url, _):
        async with Producer(url, patience=WAIT_SECONDS) as p, p.work("c", channel="ch", text="A") as work:
            work.append(text="B", log=[1])
            work.set(n=1)
            work.append(text="C")
        said = statuses(url)["c"]
        assert (said["status"], said["text"], said["log"], said["n"]) == ("complete", "ABC", [1], 1)


async def test_an_appended_field_goes_on_from_a_whole_state(redis_server: RedisServer, store: Stored) -> None:
    """What a state said of the field is its beginning, and a later state replaces all of it."""
    async with producer(redis_server, store) as p, p.work("c", channel="ch", text="A", log="none") as work:
        work.append(text="B", log=["x"])
        await until(lambda: store.status("c").get("text") == "AB")
        assert store.status("c")["log"] == ["x"]
        await work.update(text="new")
        await until(lambda: store.status("c").get("text") == "new")
        work.append(text="er")
        await until(lambda: store.status("c").get("text") == "newer")
        work.append(text=["list"])
        await until(lambda: store.status("c").get("text") == ["list"])
    assert store.status("c")["text"] == ["list"]


async def test_a_server_that_lost_its_data_gets_all_of_the_text(tmp_path: Path) -> None:
    """A refused delta makes the work send the whole state, and all that it has appended."""
    with running_redis(tmp_path, appendonly=False) as server:
        async with Producer(server.url, patience=WAIT_SECONDS) as p, p.work("c", channel="ch", n=1) as work:
            with stored(server.url, "default") as store:
                long = "x" * 100_000
                work.append(text=long)
                await until(lambda: store.status("c").get("text") == long)
                store.redis.flushall()
                work.append(text="y")
                await until(lambda: store.status("c").get("text") == f"{long}y")
                assert store.status("c")["n"] == 1


async def test_a_state_that_begins_a_lost_content_is_followed_by_its_text(tmp_path: Path) -> None:
    """A whole state is accepted as the first one of what the hub has lost; what was appended comes again after it."""
    with running_redis(tmp_path, appendonly=False) as server:
        async with Producer(server.url, patience=WAIT_SECONDS) as p, p.work("c", channel="ch") as work:
            with stored(server.url, "default") as store:
                work.append(text="all of it")
                await until(lambda: store.status("c").get("text") == "all of it")
                store.redis.flushall()
                await work.update(n=1)
                await until(lambda: store.status("c").get("n") == 1)
                await until(lambda: store.status("c").get("text") == "all of it")


async def test_an_older_hub_gets_the_states(caplog: pytest.LogCaptureFixture) -> None:
    """It refuses deltas: nothing more is appended, the log says so once, and logs and endings arrive."""
    fields = {"error": {"code": "invalid", "message": "unknown field `delta`", "field": "events[0]"}}
    accepted = JSONResponse({"results": [{"accepted": True, "cursor": "k3f9a2-1", "attempt": 1}]})
    with moody(accepted, JSONResponse(fields, 400)) as (url, hub):
        async with Producer(url, patience=WAIT_SECONDS) as p, p.work("c", channel="ch") as work:
            await until(lambda: len(hub.requests) == 1)
            work.append(text="a")
            await until(lambda: len(hub.requests) == 2)
            work.append(text="b")
            work.log("a line")
            await until(lambda: "log" in statuses(url).get("c", {}))
            assert statuses(url)["c"]["status"] == "generating"
        assert statuses(url)["c"]["status"] == "complete"
    assert sum("nothing more is appended" in record.getMessage() for record in caplog.records) == 1


async def test_many_fields_are_set_by_whole_states(redis_server: RedisServer, store: Stored) -> None:
    """A hub takes so many of deltas; the text goes on."""
    names = [f"f{number}" for number in range(3 * GROWN_FIELDS)]
    async with producer(redis_server, store) as p, p.work("c", channel="ch") as work:
        for name in names:
            work.append(text=name)
            work.set(**{name: 1})
            await until(lambda: store.status("c").get("text", "").endswith(name) and name in store.status("c"))  # noqa: B023
        work.append(text=".")
    said = store.status("c")
    assert said["text"] == "".join([*names, "."])
    assert {name for name in names if name in said} == {*names}


async def test_values_that_cannot_be_appended_do_not_hurt_the_work(
    redis_server: RedisServer, store: Stored, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says what is wrong; where strict, the call raises."""
    unfit: dict[str, Any] = {"status": "x", "n": 5}
    async with producer(redis_server, store) as p, p.work("c", channel="ch") as work:
        work.append(**unfit, text="a")
        work.append(text="half \ud83d")
        for _ in range(GROWN_BYTES // 90_000 + 1):
            work.append(text="x" * 90_000)
        for number in range(GROWN_FIELDS):
            work.append(**{f"f{number}": "x"})
    said = store.status("c")
    assert said["status"] == "complete"
    assert said["text"].startswith("ahalf ")
    assert "f1" in said
    assert f"f{GROWN_FIELDS - 1}" not in said
    assert {name for name in ("status", "n", "text") if f"'{name}'" in caplog.text} == {"status", "n", "text"}
    async with producer(redis_server, store, strict=True) as p, p.work("d", channel="ch") as work:
        with pytest.raises(Invalid, match="must be left out"):
            work.append(**unfit)
        with pytest.raises(TooLarge, match="an item"):
            work.append(log=["x" * 60_000])


@pytest.mark.parametrize("first", [0.0, math.inf], ids=["a state first", "deltas first"])
async def test_a_reader_never_sees_less_than_before(
    store: Stored, monkeypatch: pytest.MonkeyPatch, first: float
) -> None:
    """A whole state has what is appended, where it has to name it: a log of which the older half was dropped, and the
    text that an earlier state had."""
    monkeypatch.setattr("statushub.producers.run.WHOLE_SECONDS", first)
    wire, run = wired(store)
    run.growth.append("log", [1, 2, 3])
    grow(wire, run)
    run.growth.begin("log", [3, 4])
    grow(wire, run)
    for number in (1, 2):
        say(wire.outbox, run, state(n=number))
        wire.send()
        assert (store.status("c")["n"], store.status("c")["log"]) == (number, [3, 4])
    run.growth.begin("log", [4, 5])
    say(wire.outbox, run, state(n=3, text="On"))
    for _ in range(2):
        wire.outbox.hurry()
        wire.send()
        assert store.status("c")["log"] == [4, 5]
    run.growth.append("text", "ce", "On")
    grow(wire, run)
    assert store.status("c")["text"] == "Onc"
    grow(wire, run)
    assert store.status("c")["text"] == "Once"
    run.growth.append("log", [6])
    grow(wire, run)
    assert store.status("c")["log"] == [4, 5, 6]


async def test_a_state_has_as_much_of_a_text_as_fits(store: Stored) -> None:
    """The rest follows it; a state that is full has nothing of it."""
    for filling in (0, 50_000):
        wire, run = wired(store)
        text = "".join(f"{number} 😀 " for number in range(12_000))
        say(wire.outbox, run, state(other="x" * filling, text="A"))
        wire.send()
        run.growth.append("text", text, "A")
        grow(wire, run)
        assert len(store.lookup("c").data) <= STATE_BYTES  # type: ignore[union-attr]
        assert 0 < len(store.status("c")["text"]) < len(text)
        while run.unsettled:
            wire.outbox.hurry()
            wire.send()
        assert store.status("c")["text"] == f"A{text}"


async def test_a_text_that_is_too_long_has_its_beginning(redis_server: RedisServer, store: Stored) -> None:
    """What comes after a part that was left out is left out, too, until the field begins anew."""
    async with producer(redis_server, store) as p, p.work("c", channel="ch") as work:
        work.append(text="가" * GROWN_BYTES)
        work.append(text="after", other="x")
        await until(lambda: store.status("c").get("other") == "x")
        work.append(text="after")
        most = GROWN_BYTES // len("가".encode())
        await until(lambda: len(store.status("c")["text"]) > most - PART_CHARACTERS - len("x"))
        assert {*store.status("c")["text"]} == {"가"}
        await work.update(text="new")
        work.append(text="x" * 2 * GROWN_BYTES)
        work.set(text="new")
        work.append(text="er")
    assert store.status("c")["text"] == "newer"


async def test_a_pair_of_surrogates_may_come_in_two_tokens(redis_server: RedisServer, store: Stored) -> None:
    """As JSON that is read in pieces has them; a half without the other is replaced, and hurts nothing."""
    async with producer(redis_server, store) as p, p.work("c", channel="ch") as work:
        for token in ("a\ud83d", "\ude00b\ude00", "c\ud83d", "d\ud83d\ude00\ud83d"):
            work.append(text=token)
    assert store.status("c")["text"] == "a\U0001f600b\ufffdc\ufffdd\U0001f600"


async def test_an_iterator_is_not_appended_as_its_name(
    redis_server: RedisServer, store: Stored, caplog: pytest.LogCaptureFixture
) -> None:
    """What `stream` would take; the log says what is right."""
    async with producer(redis_server, store) as p, p.work("c", channel="ch") as work:
        work.append(text=(each for each in "ab"))  # type: ignore[arg-type]
        work.append(answer=tokens("a"))  # type: ignore[arg-type]
    assert caplog.text.count("must be a text or a list") == 2
    assert {"text", "answer"}.isdisjoint(store.status("c"))


async def test_line_breaks_of_unicode_are_counted_as_they_are_sent(redis_server: RedisServer, store: Stored) -> None:
    """They are escaped, so that a reader of lines does not break; neither a delta nor a state becomes too large."""
    text = "\u2028" * 40_000
    async with producer(redis_server, store) as p, p.work("c", channel="ch", text="A") as work:
        work.append(text=text)
        await work.update(text="B")
        work.append(text=text)
    assert store.status("c")["text"] == f"B{text}"


async def test_a_hub_of_smaller_events_gets_all_of_the_text() -> None:
    """A state that is too large for it comes without the text, which follows it whole."""
    with moody(app=create_app(Config(broker="memory:", max_event=16 * 1024))) as (url, _):
        async with Producer(url, patience=WAIT_SECONDS) as p, p.work("c", channel="ch", text="A" * 5_000) as work:
            await work.update(notes="n" * 8_000)
            await until(lambda: "notes" in statuses(url).get("c", {}))
            work.append(text="B" * 5_000)
            await until(lambda: statuses(url)["c"].get("text", "").endswith("B"))
        said = statuses(url)["c"]
        assert said["text"] == "A" * 5_000 + "B" * 5_000
        assert (len(said["notes"]), "truncated_fields" in said) == (8_000, False)


STEPS = st.sampled_from(
    [
        *("append", "append", "append", "list", "begin", "set", "say", "name"),
        *("deliver", "deliver", "lose it", "lose the answer", "stall", "forget"),
    ]
)


@settings(deadline=None, max_examples=part(200))
@given(steps=st.lists(STEPS, max_size=40), ending=st.sampled_from(["complete", "error"]))
@example(steps=["set", "deliver", "deliver", "stall"], ending="complete")
@example(steps=["deliver", "begin", "stall", "deliver", "deliver", "name"], ending="complete")
def test_losses_leave_no_hole_and_double_nothing(redis_server: RedisServer, steps: list[str], ending: str) -> None:
    """Over any loss of deltas, states and answers, any stall and any loss of the broker's data, the last state has
    every character and item once."""
    with stored(redis_server.url, f"t{uuid4().hex[:12]}") as store:
        store.redis.function_load(commands.LIBRARY, replace=True)
        box = Outbox(rate=1e9)
        wire = Wire(store, box)
        run = Run(state())
        expected: dict[str, Any] = {"n": 0}
        say(box, run, state())
        for number, step in enumerate(steps, 1):
            if step in ("append", "list"):
                name, value = ("text", f"{number} ") if step == "append" else ("log", [number])
                run.growth.append(name, value)
                expected[name] = expected[name] + value if name in expected else value
            elif step == "begin":
                expected["log"] = [number, "anew"]
                run.growth.begin("log", expected["log"])
            elif step == "set":
                expected["n"] = number
                run.growth.set({"n": number}, state(n=number))
            elif step in ("say", "name"):
                expected["n"] = number
                named = {"text": "anew"} if step == "name" else {}
                run.growth.forget(named)
                say(box, run, state(n=number, **named))
                # A program that names the field appends to what it named.
                if named:
                    run.growth.append("text", f"{number}.", "anew")
                    expected["text"] = f"anew{number}."
            elif step == "stall":
                if store.lease("c"):
                    store.stall("c")
            elif step == "forget":
                store.redis.delete(f"{store.prefix}:none", *store.redis.keys(f"{store.prefix}:*"))
            else:
                box.hurry()
                wire.send(arrives=step != "lose it", answered=step == "deliver")
            if step in ("append", "list", "begin", "set", "name") and run.grow():
                box.offer(run)
        say(box, run, state(status=ending, n=expected["n"]))
        for _ in range(20):
            if not run.unsettled:
                break
            box.hurry()
            wire.send()
        assert run.delivered
        said = store.status("c")
        assert said["status"] == ending
        assert {name: said.get(name) for name in expected} == expected


def wired(store: Stored) -> tuple[Wire, Run]:
    """A run whose first state was sent."""
    store.redis.function_load(commands.LIBRARY, replace=True)
    wire, run = Wire(store, Outbox(rate=1e9)), Run(state())
    say(wire.outbox, run, state())
    wire.send()
    return wire, run


def grow(wire: Wire, run: Run) -> None:
    """Send what was appended, or the state that has to come before it."""
    if run.grow():
        wire.outbox.offer(run)
    wire.outbox.hurry()
    wire.send()


def state(status: str = "generating", n: int = 0, **fields: Any) -> Publication:
    return publication(channel="ch", content_id="c", data={"status": status, "n": n, **fields}, lease=60)


def say(outbox: Outbox, run: Run, publication: Publication) -> None:
    if run.say(publication):
        outbox.offer(run)
