"""Steps and logs of works, as they are stored, through both producers."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import pytest

from statushub import LogHandler, Producer, SyncProducer, SyncWork, awork, current, work
from statushub.hub.model.errors import Invalid
from statushub.producers.work import DETAIL_SECONDS
from statushub.producers.work_log import LINES_MAX
from tests.support.growing import Reader
from tests.support.live import live_hub
from tests.support.redis_server import RedisServer
from tests.support.sse_client import open_stream
from tests.support.stored import Stored, stored
from tests.support.waiting import WAIT_SECONDS, eventually, until

pytestmark = pytest.mark.redis

STEPS = {"download": 1, "summarize": 3}


@pytest.fixture
def store(redis_server: RedisServer) -> Iterator[Stored]:
    with stored(redis_server.url, f"t{uuid4().hex[:12]}") as there:
        yield there


@pytest.fixture
def producer(redis_server: RedisServer, store: Stored) -> Iterator[SyncProducer]:
    with SyncProducer(redis_server.url, tenant=store.tenant, rate=1000, patience=WAIT_SECONDS) as there:
        yield there


def states(store: Stored, content_id: str = "c") -> list[str]:
    return [step["state"] for step in store.status(content_id).get("steps", [])]


def test_the_steps_of_a_work_are_reported(producer: SyncProducer, store: Stored) -> None:
    """The start, each step, what its loop has done without a word of the program, and the end."""
    with producer.work("c", channel="ch", steps=STEPS, title="An article") as reported:
        eventually(lambda: states(store) == ["pending", "pending"])
        with reported.step("download"):
            eventually(lambda: states(store) == ["processing", "pending"])
        with reported.step("summarize") as step:
            pages = step.track(range(4))
            assert [next(pages), next(pages)] == [0, 1]
            eventually(lambda: store.status("c")["progress"] == 25 + 75 // 4)
            assert [*pages] == [2, 3]
            eventually(lambda: store.status("c")["progress"] == 99)
    said = store.status("c")
    assert (said["status"], said["progress"], said["title"]) == ("complete", 100, "An article")
    assert (said["step"], said["step_index"], said["total_steps"]) == ("summarize", 2, 2)
    assert states(store) == ["completed", "completed"]


def test_an_error_fails_its_step(producer: SyncProducer, store: Stored) -> None:
    """The stored failure shows in which step it was."""
    reported = producer.work("c", channel="ch", steps=STEPS)
    with pytest.raises(ValueError, match="torn"), reported, reported.step("download"):
        raise ValueError("torn")
    said = store.status("c")
    assert (said["status"], said["error_message"], states(store)) == ("error", "torn", ["failed", "pending"])


def test_steps_replace_a_progress_of_the_program(producer: SyncProducer, store: Stored) -> None:
    """The fields that follow from the steps are theirs."""
    with producer.work("c", channel="ch", steps=STEPS) as reported:
        with reported.step("download"):
            reported.update(progress=80, step="mine", page=3)
        eventually(lambda: store.status("c").get("page") == 3)
        assert (store.status("c")["step"], store.status("c")["progress"]) == ("download", 25)


@pytest.mark.anyio
async def test_an_asynchronous_work_has_the_same(redis_server: RedisServer, store: Stored) -> None:
    """`async for` over a step's `atrack` counts its items."""

    async def pages() -> AsyncIterator[int]:
        for number in range(4):
            yield number

    async with awork("c", channel="ch", url=redis_server.url, tenant=store.tenant, steps=STEPS) as reported:
        with reported.step("summarize") as step:
            async for number in step.atrack(pages(), total=4):
                if number == 2:
                    await until(lambda: store.status("c").get("progress") == 25 + 75 // 2)
        reported.log("done")
    said = store.status("c")
    assert (said["status"], said["log"][0]["message"], states(store)) == ("complete", "done", ["skipped", "completed"])


def test_a_step_that_is_not_there_hurts_nothing(
    redis_server: RedisServer, producer: SyncProducer, store: Stored, caplog: pytest.LogCaptureFixture
) -> None:
    """Its loop runs, a warning names it once, and a strict work raises."""
    with producer.work("c", channel="ch", steps=STEPS) as reported:
        for _ in range(2):
            with reported.step("upload") as step:
                assert [*step.track([1, 2])] == [1, 2]
                step.advance(0.5)
    assert caplog.text.count("no step 'upload'") == 1
    with producer.work("d", channel="ch") as reported, reported.step("x"):
        pass
    assert store.status("d")["status"] == "complete"
    with SyncProducer(redis_server.url, tenant=store.tenant, strict=True) as strict:
        with strict.work("e", channel="ch", steps=STEPS) as reported, pytest.raises(Invalid):
            reported.step("upload")
        with pytest.raises(Invalid, match="weight of 'a'"):
            strict.work("f", channel="ch", steps={"a": 0})


@pytest.mark.parametrize("value", [7, [{"name": "own"}], "two"])
def test_steps_that_are_no_mapping_are_a_field(producer: SyncProducer, store: Stored, value: Any) -> None:
    """Programs report their number of steps under this name."""
    with producer.work("c", channel="ch", steps=value):
        pass
    assert (store.status("c")["steps"], "step" in store.status("c")) == (value, False)


def test_a_step_may_outlive_its_work(
    redis_server: RedisServer, store: Stored, caplog: pytest.LogCaptureFixture
) -> None:
    """A work that is completed within a step leaves it quietly, even where it is strict."""
    with (
        SyncProducer(redis_server.url, tenant=store.tenant, strict=True) as strict,
        strict.work("c", channel="ch", steps=STEPS) as reported,
        reported.step("download"),
    ):
        reported.complete()
    assert states(store) == ["completed", "skipped"]
    assert "ended" not in caplog.text


def test_a_log_grows_in_the_state(producer: SyncProducer, store: Stored) -> None:
    """Lines appear while the work runs, by the work and by the current work, and stay in its end."""

    def deep() -> None:
        current().log("half", level="warning")

    current().log("of no work")
    with producer.work("c", channel="ch") as reported:
        reported.log("begun")
        eventually(lambda: [line["message"] for line in store.status("c").get("log", [])] == ["begun"])
        deep()
    lines = store.status("c")["log"]
    assert [(line["level"], line["message"]) for line in lines] == [("info", "begun"), ("warning", "half")]


def test_many_lines_are_few_reports(producer: SyncProducer, store: Stored) -> None:
    """A program that logs by thousands reports each half second, with the latest lines."""
    with producer.work("c", channel="ch") as reported:
        eventually(lambda: store.status("c"))
        before, began = store.events(), time.monotonic()
        for number in range(2_000):
            reported.log(f"line {number}")
        eventually(lambda: store.status("c").get("log", [{}])[-1].get("message") == "line 1999")
        assert store.events() - before <= (time.monotonic() - began) / DETAIL_SECONDS + 3
    assert LINES_MAX // 2 <= len(store.status("c")["log"]) <= LINES_MAX


def test_a_log_is_sent_by_the_line() -> None:
    """What was added with each report, and all of it only where the older half was dropped; a reader's log is whole at
    any time, whatever else is reported."""
    written, reader, frames = [], Reader(), []
    with (
        live_hub("memory:") as hub,
        open_stream(hub.base_url, "/api/contents/ch/events?deltas=1") as client,
        SyncProducer(hub.base_url, rate=1000, patience=WAIT_SECONDS) as producer,
        producer.work("c", channel="ch", steps={"one": 1}) as reported,
    ):
        for number in range(8):
            for line in range(20):
                written.append(f"{number} {line}")
                reported.log(written[-1])
            if number % 3 == 0:
                reported.update(number=number)
            shown: list[str] = []
            while shown[-1:] != written[-1:]:
                frames.append(client.event())
                reader.take_frames(frames[-1:])
                shown = [line["message"] for line in reader.states.get("c", {}).get("log", [])]
                begins = written.index(shown[0]) if shown else 0
                assert shown == written[begins : begins + len(shown)]
                # What was read before is still there.
                assert len(shown) >= min(LINES_MAX // 2, 20 * number)
    deltas = [frame.json for frame in frames if frame.event == "content_delta"]
    assert len([it for it in deltas if "log" in it.get("set", {})]) == 2
    assert len([it for it in deltas if "log" in it.get("append", {})]) >= 6


@pytest.fixture
def handler() -> Iterator[logging.Logger]:
    """A logger with our handler."""
    logger, added = logging.getLogger("a.program"), LogHandler()
    added.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    logger.setLevel(logging.INFO)
    logger.addHandler(added)
    logging.getLogger("statushub").addHandler(added)
    yield logger
    logger.removeHandler(added)
    logging.getLogger("statushub").removeHandler(added)


def test_a_handler_writes_to_the_current_work(
    producer: SyncProducer, store: Stored, handler: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    """Each record goes to the work of its own thread; the warnings of Statushub go to none."""

    def other() -> None:
        with producer.work("d", channel="ch"):
            handler.info("there")

    handler.info("nowhere")
    with producer.work("c", channel="ch") as reported:
        handler.warning("%d pages", 3)
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        reported.update(progress="no number")
    assert "progress" in caplog.text
    assert [(line["level"], line["message"]) for line in store.status("c")["log"]] == [
        ("warning", "a.program: 3 pages")
    ]
    assert [line["message"] for line in store.status("d")["log"]] == ["a.program: there"]


def test_a_handler_raises_nothing(
    producer: SyncProducer, store: Stored, handler: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record whose text cannot be made is handed to logging, which prints it, or not."""
    monkeypatch.setattr(logging, "raiseExceptions", False)
    with producer.work("c", channel="ch"):
        handler.info("%d pages", "three")
    assert store.status("c")["status"] == "complete"


def test_works_without_a_producer_have_steps(redis_server: RedisServer, store: Stored) -> None:
    """`work` and `Producer.work` take them, too."""
    with work("c", channel="ch", url=redis_server.url, tenant=store.tenant, steps=STEPS) as reported:
        assert isinstance(reported, SyncWork)
    assert states(store) == ["skipped", "skipped"]
    assert "steps" in Producer.work.__annotations__
