"""`statushub.generate` with a real hub, and a server that answers as a model's does."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import httpx
import pytest

from statushub import Producer
from statushub.generate import GenerateError, Options, Result, generate
from statushub.producers.generate.document import parts, sentences
from tests.support.documents import KOREAN, MILL, html, pdf
from tests.support.live import LiveHub, live_hub
from tests.support.model_server import (
    Answer,
    ModelServer,
    breaks,
    cuts,
    ends_early,
    fails,
    model_server,
    pairs,
    refuses,
    says,
)
from tests.support.ports import free_port
from tests.support.waiting import WAIT_SECONDS, until

pytestmark = pytest.mark.anyio

SUMMARY = "The mill of Harwich grinds again after it stood still for decades."
QA = pairs(("When was it built?", "In 1170."), ("Who repairs it?", "Volunteers."))
KEY = "sk-very-secret"


@pytest.fixture(scope="module")
def hub() -> Iterator[LiveHub]:
    """A hub for all tests; each has a content of its own."""
    with live_hub() as live:
        yield live


@pytest.fixture
def name() -> str:
    return f"c{uuid4().hex[:12]}"


@pytest.fixture
async def producer(hub: LiveHub) -> AsyncIterator[Producer]:
    async with Producer(hub.base_url, rate=1000, patience=WAIT_SECONDS) as there:
        yield there


@pytest.fixture
def article(tmp_path: Path) -> Path:
    path = tmp_path / "article.html"
    path.write_text(html())
    return path


async def state(hub: LiveHub, name: str) -> dict[str, Any]:
    """The latest state of a content; empty where there is none."""
    async with httpx.AsyncClient(base_url=hub.base_url) as client:
        listed = (await client.get("/api/contents/drafts")).json()["contents"]
    return next((content for content in listed if content["content_id"] == name), {})


async def reached(hub: LiveHub, name: str, **fields: Any) -> dict[str, Any]:
    """The first state that is seen with these fields."""
    with anyio.fail_after(WAIT_SECONDS):
        while True:
            found = await state(hub, name)
            if fields.items() <= found.items():
                return found
            await anyio.sleep(0.01)


async def run(producer: Producer, source: object, name: str, server: ModelServer | None = None, **more: Any) -> Result:
    options = Options(base_url=server.url if server else None, **{"questions": 2, **more})
    return await generate(str(source), channel="drafts", content_id=name, producer=producer, options=options)


async def failure(producer: Producer, source: object, name: str, *answers: Answer, **more: Any) -> GenerateError:
    """The error that a generation with these answers ends with."""
    with model_server(*answers) as server, pytest.raises(GenerateError) as caught:
        await run(producer, source, name, server, **more)
    return caught.value


async def test_a_summary_grows_and_answers_appear(hub: LiveHub, producer: Producer, name: str, article: Path) -> None:
    """Each step is seen while the model still answers: half of the summary, then one pair of two, then the end."""
    summarized, answered = threading.Event(), threading.Event()
    with model_server(says(SUMMARY, before=summarized), says(QA, before=answered, at=9)) as server:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run, producer, article, name, server)
            grown = await reached(
                hub, name, processing_status="summarizing", summary="The mill of Harwich grinds again"
            )
            assert (grown["status"], grown["step"], grown["step_index"]) == ("generating", "summarizing", 2)
            with anyio.fail_after(WAIT_SECONDS):
                # Steps are reported twice a second, and tokens more often.
                while not 10 < (await state(hub, name))["progress"] < 60:
                    await anyio.sleep(0.01)
            summarized.set()
            half = {"question": "When was it built?", "answer": "In 1170."}
            found = await reached(hub, name, processing_status="qa_generating", qa_list=[half])
            assert found["summary"] == SUMMARY
            answered.set()
    ended = await reached(hub, name, status="complete")
    assert (ended["processing_status"], ended["progress"], ended["title"]) == ("completed", 100, "The tide mill")
    assert ended["ai_gen_metadata"] == {"summary": SUMMARY, **json.loads(QA)}
    assert ended["summary"] is ended["qa_list"] is None
    assert [step["state"] for step in ended["steps"]] == ["completed"] * 3
    assert MILL[0] in server.prompt(0)
    assert "basket" not in server.prompt(0)
    assert server.requests[1]["response_format"]["type"] == "json_schema"


async def test_the_time_left_follows_from_the_tokens(
    hub: LiveHub, producer: Producer, name: str, article: Path
) -> None:
    """A state in the middle of the summary names the moment of the end."""
    go = threading.Event()
    with model_server(says(" ".join(["word"] * 400), before=go), says(QA)) as server:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run, producer, article, name, server)
            with anyio.fail_after(WAIT_SECONDS):
                while not (await state(hub, name)).get("estimated_completion"):
                    await anyio.sleep(0.01)
            assert (await state(hub, name))["remaining_seconds"] > 0
            go.set()


async def test_a_korean_text_is_asked_about_in_korean(producer: Producer, name: str, tmp_path: Path) -> None:
    """The prompts are in the language of the text."""
    source = tmp_path / "ko.txt"
    source.write_text(" ".join(KOREAN), "cp949")
    with model_server(says("방앗간은 다시 돈다."), says(QA)) as server:
        assert (await run(producer, source, name, server)).summary == "방앗간은 다시 돈다."
    assert "요약하세요" in server.prompt(0)
    assert KOREAN[0] in server.prompt(0)


async def test_a_long_text_is_summarized_in_parts(producer: Producer, name: str, tmp_path: Path) -> None:
    """Each part is read whole, and the summary and the answers are made of the notes on all parts."""
    source = tmp_path / "long.txt"
    text = "\n\n".join(f"Chapter {number} begins. " + " ".join(MILL) for number in range(3))
    source.write_text(text)
    count = len(parts(text, "en", 500))
    notes = [says(f"Note {number}.") for number in range(count)]
    with model_server(*notes, says(SUMMARY), says(QA)) as server:
        result = await run(producer, source, name, server, part_characters=500)
    assert result.summary == SUMMARY
    assert len(server.requests) == count + 2
    read = "".join(map(server.prompt, range(count)))
    assert all(f"Chapter {number} begins." in read for number in range(3))
    assert all(read.count(sentence) == 3 for sentence in MILL)
    assert all(f"Note {number}." in server.prompt(prompt) for number in range(count) for prompt in (count, count + 1))
    assert max(len(server.prompt(number)) for number in range(count)) < 1_000


async def test_a_rate_limit_is_waited_for(producer: Producer, name: str, article: Path) -> None:
    """429 and 503 are repeated, after the time that the server names."""
    limited = fails(429, "slow down", Retry_After="1")
    with model_server(limited, fails(503, "busy"), says(SUMMARY), limited, says(QA)) as server:
        assert (await run(producer, article, name, server)).summary == SUMMARY
    assert len(server.requests) == 5


@pytest.mark.parametrize(
    "broken",
    [
        cuts("The mill of"),
        ends_early("The mill of"),
        breaks("The mill of", b"data: {half\n\n"),
        breaks("The mill of", b'data: {"error": {"message": "overloaded", "type": "server_error"}}\n\n'),
        breaks("The mill of", b'data: {"choices": [{"index": 0, "delta": 3}]}\n\n'),
    ],
    ids=["cut", "without an end", "half a JSON", "error event", "malformed chunk"],
)
async def test_an_answer_that_breaks_off_begins_anew(
    broken: Answer, hub: LiveHub, producer: Producer, name: str, article: Path
) -> None:
    """Nothing of the first try is left, and the log says that there was one."""
    with model_server(broken, says(SUMMARY), says(QA)) as server:
        assert (await run(producer, article, name, server)).summary == SUMMARY
    assert len(server.requests) == 3
    assert (await reached(hub, name, status="complete"))["log"][0]["level"] == "warning"


async def test_an_answer_that_always_breaks_off_is_an_error(producer: Producer, name: str, article: Path) -> None:
    """After a limited number of tries."""
    error = await failure(producer, article, name, cuts("The"))
    assert (error.code, "broke off its answer 4 times" in error.message) == ("model_unavailable", True)


async def test_answers_that_break_off_begin_anew(hub: LiveHub, producer: Producer, name: str, article: Path) -> None:
    """Pairs that were shown already are not shown twice."""
    with model_server(says(SUMMARY), cuts(QA[:60]), says(QA)) as server:
        result = await run(producer, article, name, server)
    assert [pair.question for pair in result.qa_list] == ["When was it built?", "Who repairs it?"]


@pytest.mark.parametrize(
    ("answer", "code", "told"),
    [
        (refuses("I cannot help with mills."), "model_refused", "I cannot help with mills"),
        (says("The", "content_filter"), "content_filter", "content filter"),
        (fails(400, "The prompt was blocked", code="content_filter"), "content_filter", "The prompt was blocked"),
        (fails(401, f"Incorrect API key provided: {KEY}"), "request_rejected", "OPENAI_API_KEY"),
        (fails(404, "The model `x` does not exist"), "request_rejected", "The model `x` does not exist"),
        (fails(400, f"Too long, {KEY}", code="context_length_exceeded"), "request_rejected", "Too long, "),
        (says("  "), "answer_invalid", "it is empty"),
    ],
    ids=["refusal", "filtered answer", "filtered request", "key", "model", "length", "empty"],
)
async def test_a_failure_of_the_model_has_its_reason(
    answer: Answer,
    code: str,
    told: str,
    hub: LiveHub,
    producer: Producer,
    name: str,
    article: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is published with a stable code and the server's words, but never with the key."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    error = await failure(producer, article, name, answer)
    assert error.code == code
    assert told in error.message
    failed = await reached(hub, name, status="error", processing_status="failed")
    assert (failed["error_code"], failed["error_message"]) == (code, error.message)
    assert KEY not in json.dumps(failed)
    assert [step["state"] for step in failed["steps"]] == ["completed", "failed", "pending"]


async def test_the_key_goes_to_the_server(
    producer: Producer, name: str, article: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the environment, as the client knows it."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with model_server(says(SUMMARY), says(QA)) as server:
        await run(producer, article, name, server)
    assert {*server.keys} == {f"Bearer {KEY}"}


async def test_an_unreachable_server_is_an_error(
    producer: Producer, name: str, article: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the address, without its password."""
    monkeypatch.setattr("statushub.producers.generate.model.REPETITIONS", 1)
    port = free_port()
    options = Options(base_url=f"http://user:hunter2@127.0.0.1:{port}/v1", model="m")
    with pytest.raises(GenerateError) as caught:
        await generate(article, channel="drafts", content_id=name, producer=producer, options=options)
    assert caught.value.code == "model_unavailable"
    assert f"127.0.0.1:{port}" in caught.value.message
    assert "hunter2" not in caught.value.message


@pytest.mark.parametrize("url", ["http://[::1/v1", "http://", "http://127.0.0.1:99999/v1"])
async def test_an_address_that_is_none_is_an_error(
    url: str, hub: LiveHub, producer: Producer, name: str, article: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no crash of a library; the option refuses it, and that of the client's variable is found later."""
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    with pytest.raises(GenerateError) as caught:
        await generate(article, channel="drafts", content_id=name, producer=producer, options=Options(model="m"))
    assert caught.value.code == "request_rejected"
    assert (await state(hub, name))["error_code"] == "request_rejected"


async def test_an_address_without_the_api_has_a_hint(producer: Producer, name: str, article: Path) -> None:
    """Its path was left out; a server that has the API and not the model says so itself."""
    error = await failure(producer, article, name, lambda reply: reply.page(404, "404 page not found"))
    assert (error.code, "often ends with /v1" in error.message) == ("request_rejected", True)
    error = await failure(producer, article, name, fails(404, "model 'm' not found"))
    assert ("model 'm' not found" in error.message, "/v1." in error.message) == (True, False)


@pytest.mark.parametrize(
    "malformed",
    ["Sure! Here are two questions.", QA[:-3], '{"qa_list": []}', '{"qa_list": [{"question": "Why?"}]}', QA + " Bye"],
    ids=["prose", "cut off", "none", "without answer", "trailing"],
)
async def test_a_malformed_answer_is_repaired_once(
    malformed: str, producer: Producer, name: str, article: Path
) -> None:
    """The model is told what is wrong; the second answer counts."""
    with model_server(says(SUMMARY), says(malformed), says(f"```json\n{QA}\n```")) as server:
        result = await run(producer, article, name, server)
    assert [pair.answer for pair in result.qa_list] == ["In 1170.", "Volunteers."]
    assert malformed in server.prompt(2)
    assert "not of the form" in server.prompt(2)


async def test_an_answer_that_stays_malformed_is_an_error(producer: Producer, name: str, article: Path) -> None:
    """The message says what came, and no third answer is asked for."""
    with model_server(says(SUMMARY), says("No JSON today.")) as server, pytest.raises(GenerateError) as caught:
        await run(producer, article, name, server)
    assert caught.value.code == "answer_invalid"
    assert "it begins: No JSON today." in caught.value.message
    assert len(server.requests) == 3


UNFORMED = fails(400, "response_format is not supported")
# Of llama-cpp-python.
ONLY_OBJECTS = fails(
    500,
    "[{'type': 'literal_error', 'loc': ('body', 'response_format', 'type'), 'msg': \"Input should be 'text' or "
    "'json_object'\", 'input': 'json_schema'}]",
)


@pytest.mark.parametrize(
    ("rejections", "form"),
    [([ONLY_OBJECTS], "json_object"), ([UNFORMED], "json_object"), ([UNFORMED] * 2, None)],
    ids=["json_object, 500", "json_object, 400", "none"],
)
async def test_a_server_is_asked_for_the_form_that_it_knows(
    producer: Producer, name: str, article: Path, rejections: list[Answer], form: str | None
) -> None:
    """One that rejects a `response_format` gets the request again immediately, with the next one or without."""
    with model_server(says(SUMMARY), *rejections, says(pairs(("Who?", ""))), says(QA)) as server:
        assert len((await run(producer, article, name, server)).qa_list) == 2
    said = [request.get("response_format", {}).get("type") for request in server.requests[1 + len(rejections) :]]
    # The malformed answer is repaired in the form that is known by now.
    assert said == [form, form]


async def test_more_pairs_than_asked_for_are_left_out(producer: Producer, name: str, article: Path) -> None:
    """A model cannot fill the state."""
    with model_server(says(SUMMARY), says(QA)) as server:
        assert len((await run(producer, article, name, server, questions=1)).qa_list) == 1


async def test_a_model_without_an_end_is_cut_off(producer: Producer, name: str, article: Path) -> None:
    """The summary has the largest length that is published, and the answers follow."""
    with model_server(says("x" * 1_000 + " " + "word " * 4_000), says(QA)) as server:
        result = await run(producer, article, name, server)
    assert 11_900 < len(result.summary) <= 12_000
    assert len(result.qa_list) == 2


async def test_a_cancelled_generation_is_published_as_cancelled(
    hub: LiveHub, producer: Producer, name: str, article: Path
) -> None:
    """Between two tokens, while the model still answers."""
    go = threading.Event()
    with model_server(says(SUMMARY, before=go)) as server:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run, producer, article, name, server)
            await reached(hub, name, processing_status="summarizing")
            await until(lambda: server.requests)
            tasks.cancel_scope.cancel()
        go.set()
    assert (await reached(hub, name, status="error"))["error_code"] == "cancelled"


async def test_a_model_that_is_too_slow_is_an_error(producer: Producer, name: str, article: Path) -> None:
    """All answers together have a limit of time."""
    go = threading.Event()
    with model_server(says(SUMMARY, before=go)) as server:
        with pytest.raises(GenerateError) as caught:
            await run(producer, article, name, server, answer_seconds=0.5)
        go.set()
    assert (caught.value.code, "0.5 s" in caught.value.message) == ("resources_exhausted", True)


async def test_without_a_model_sentences_are_chosen(
    hub: LiveHub, producer: Producer, name: str, tmp_path: Path
) -> None:
    """A PDF goes through the same steps; summary and answers are sentences of the text."""
    result = await run(producer, pdf(tmp_path / "mill.pdf"), name)
    assert {*sentences(result.summary, "en")} < {*MILL}
    assert all(pair.answer in MILL and "“" in pair.question for pair in result.qa_list)
    ended = await reached(hub, name, status="complete")
    assert (ended["pages"], ended["title"]) == (2, "mill.pdf")
    assert len(ended["ai_gen_metadata"]["qa_list"]) == 2


async def test_the_pace_of_the_built_in_writer_can_be_watched(
    hub: LiveHub, producer: Producer, name: str, article: Path
) -> None:
    """A demonstration shows the text growing."""
    async with anyio.create_task_group() as tasks:

        async def work() -> None:
            await run(producer, article, name, words_per_second=20)

        tasks.start_soon(work)
        found: set[str] = set()
        while (await state(hub, name)).get("status") != "complete":
            found.add((await state(hub, name)).get("summary") or "")
    assert len(found) >= 3


async def test_a_source_on_the_web_is_read(producer: Producer, name: str) -> None:
    """By the same downloader as that of encodes."""
    from tests.support.rogue_server import Connection, rogue_server

    def page(connection: Connection) -> None:
        body = html().encode()
        connection.head("200 OK", Content_Length=str(len(body)), Content_Type="text/html")
        connection.send(body)

    with rogue_server(page) as server:
        result = await run(producer, f"{server.url}/mill?token=hunter2", name)
    assert any(sentence in result.summary for sentence in MILL)
