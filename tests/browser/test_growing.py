"""Contents that grow, in pages: the text on the page is the one that was written."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

from statushub.producers.sync import SyncProducer
from tests.support.growing import GROWN, Writer
from tests.support.hub_process import HubProcess
from tests.support.live import LiveHub, live_hub
from tests.support.ports import free_port
from tests.support.redis_server import running_redis
from tests.support.waiting import WAIT_SECONDS

pytest_plugins = ["tests.support.browser"]
pytestmark = pytest.mark.browser

COLLECT = """
    async ([channel, share]) => {
        const { connect } = await import("/assets/client/index.js");
        window.states = new Map();
        window.types = [];
        window.appended = "";
        window.sources = [];
        window.EventSource = class extends EventSource {
            constructor(...options) {
                super(...options);
                sources.push(this);
            }
        };
        window.stream = connect({ channels: [channel], share });
        stream.on("status", ({ id, content, delta }) => {
            states.set(id, content.data);
            types.push(content.type);
            appended += delta?.append.text ?? "";
        });
    }
"""

SHARED = pytest.mark.parametrize("share", [True, False], ids=["shared", "alone"])


@pytest.fixture
def hub(page: Page) -> Iterator[LiveHub]:
    """The page is left before the hub is."""
    with live_hub("memory:") as hub:
        yield hub
        page.goto("about:blank")


@pytest.fixture
def writer(hub: LiveHub) -> Writer:
    return Writer(hub, "drafts")


def empty_page(page: Page, hub: LiveHub) -> None:
    """A page of the hub's origin that opens no stream of its own."""
    body = '<!doctype html><link rel="icon" href="data:,">'
    page.route(f"{hub.base_url}/empty", lambda route: route.fulfill(content_type="text/html", body=body))
    page.goto(f"{hub.base_url}/empty")


def tail(page: Page, content_id: str) -> Locator:
    return page.locator(f'.row[data-content="{content_id}"] .tail')


def holds(page: Page, text: str, content_id: str = "a") -> None:
    """Wait until the page's client has this text."""
    page.wait_for_function("([id, text]) => states.get(id)?.text === text", arg=[content_id, text])


def test_the_row_shows_the_text_as_it_grows(page: Page, hub: LiveHub, writer: Writer) -> None:
    """As text, whatever it holds; a page that is opened in the middle has it all; an ending takes it away."""
    writer.begin("a", title="An answer")
    page.goto(f"{hub.base_url}/?channel=drafts")
    for piece in ("The <b>sea</b> ", "<img src=x onerror=alert(1)> ", "is old."):
        writer.add("a", piece)
        expect(tail(page, "a")).to_have_text(writer.texts["a"].strip())
    assert page.locator(".tail *").count() == 0
    page.reload()
    expect(tail(page, "a")).to_have_text(writer.texts["a"].strip())
    writer.add("a", " And deep.")
    expect(tail(page, "a")).to_have_text(writer.texts["a"].strip())
    writer.end("a")
    expect(tail(page, "a")).to_be_hidden()


def test_a_content_s_page_follows_the_text(page: Page, hub: LiveHub, writer: Writer) -> None:
    """The whole text, with its end in view, unless it is scrolled up; what is selected stays."""
    writer.begin("a", "The first word. " + "word " * 4_000)
    page.goto(f"{hub.base_url}/?channel=drafts&content=a")
    text = page.locator("#growing-text")
    expect(text).to_contain_text("The first word.")
    ends = "(text) => text.scrollHeight - text.scrollTop - text.clientHeight < 2"
    writer.add("a", "and the end.")
    expect(text).to_contain_text("and the end.")
    assert text.evaluate(ends)
    text.evaluate(
        "(text) => { text.scrollTop = 0; getSelection().setBaseAndExtent(text.firstChild, 0, text.firstChild, 9); }"
    )
    writer.add("a", " More <b>text</b>.")
    expect(text).to_contain_text("More <b>text</b>.")
    assert text.evaluate("(text) => text.scrollTop") == 0
    assert page.evaluate("getSelection().toString()") == "The first"
    assert text.locator("*").count() == 0


@SHARED
def test_a_page_has_every_character_once(page: Page, hub: LiveHub, writer: Writer, share: bool) -> None:
    """Over fifty broken streams, without asking for a whole state again; the types are the usual ones."""
    writer.begin("a")
    empty_page(page, hub)
    page.evaluate(COLLECT, ["drafts", share])
    holds(page, "")
    for number in range(50):
        writer.add("a", f"{number} 😀 ")
        page.evaluate("() => stream.retry()")
        writer.add("a", "and ")
        holds(page, writer.texts["a"])
    assert page.evaluate("[...new Set(types)]") == ["content_status_update"]
    assert page.evaluate("types.length") <= 101
    assert page.evaluate("appended.length") > len(writer.texts["a"].encode("utf-16-le")) / 4


@SHARED
@pytest.mark.parametrize("kept", [True, False], ids=["with its data", "without its data"])
def test_a_page_has_the_text_of_its_worker_after_a_restart_of_the_hub(
    page: Page, tmp_path: Path, tolerated: list[str], kept: bool, share: bool
) -> None:
    """The worker goes on while there is no hub; a page that is opened later has the same text."""
    tolerated.append("ERR_")  # what a page without a hub says
    port, broker = free_port(), f"sqlite:///{tmp_path / 'hub.db'}" if kept else "memory:"
    with contextlib.ExitStack() as stack:
        hub = stack.enter_context(contextlib.ExitStack())
        base_url = hub.enter_context(live_hub(broker, port=port)).base_url
        producer = stack.enter_context(SyncProducer(base_url))
        work = stack.enter_context(producer.work("a", channel="drafts"))
        pieces = [f"{number} 😀 " for number in range(60)]
        for piece in pieces[:20]:
            work.append(text=piece)
        page.goto(f"{base_url}/?channel=drafts")
        page.evaluate(COLLECT, ["drafts", share])
        holds(page, "".join(pieces[:20]))
        hub.close()
        for piece in pieces[20:40]:
            work.append(text=piece)
        hub.enter_context(live_hub(broker, port=port))
        page.evaluate("stream.retry()")
        holds(page, "".join(pieces[:40]))
        for piece in pieces[40:]:
            work.append(text=piece)
        holds(page, "".join(pieces))
        expect(tail(page, "a")).to_have_text("".join(pieces).strip())
        page.reload()
        expect(tail(page, "a")).to_have_text("".join(pieces).strip())


RAW = """
    () => {
        window.raw = {};
        const take = (name, query) => {
            const source = new EventSource(`/api/contents/drafts/events${query}`);
            const whole = ({ data }) => (raw[name] = JSON.parse(data));
            for (const type of ["content_status_update", "processing_complete"]) source.addEventListener(type, whole);
            source.addEventListener("content_delta", ({ data }) => {
                for (const [field, value] of Object.entries(JSON.parse(data).append ?? {})) raw[name][field] += value;
            });
        };
        take("deltas", "?deltas=1");
        take("states", "");
    }
"""

TOKENS = [
    f"{number} {word}"
    for number, word in enumerate(["바다는 ", "the <b>sea</b>\r\n", "👩‍👩‍👧\t", "e\u0301\u2028"] * 300)
]


@pytest.mark.parametrize("broker", ["embedded", pytest.param("redis", marks=pytest.mark.redis)])
def test_all_pages_have_the_text_of_a_worker_whose_hub_is_killed(
    page: Page, tmp_path: Path, tolerated: list[str], broker: str
) -> None:
    """The page that was there, one that is opened in the middle and one that comes late show it character by character,
    and so do streams and reads, also once it is complete."""
    tolerated.append("ERR_")  # what a page without a hub says
    said = ""
    with contextlib.ExitStack() as stack:
        embedded = f"sqlite:///{tmp_path / 'hub.db'}"
        hub = HubProcess(
            tmp_path, broker=stack.enter_context(running_redis(tmp_path)).url if broker == "redis" else embedded
        )
        stack.callback(hub.kill)
        # Pages are left before their hub is.
        stack.callback(page.goto, "about:blank")
        hub.start()
        address = f"{hub.base_url}/?channel=drafts&content=a"
        producer = stack.enter_context(SyncProducer(hub.base_url, patience=WAIT_SECONDS))
        with producer.work("a", channel="drafts") as work:
            tokens = work.stream(iter(TOKENS), field="answer")
            said += "".join(itertools.islice(tokens, 300))
            page.goto(address)
            page.evaluate(RAW)
            shows(page, said)
            said += "".join(itertools.islice(tokens, 300))
            middle = stack.enter_context(contextlib.closing(page.context.new_page()))
            middle.goto(address)
            shows(middle, said)
            said += "".join(itertools.islice(tokens, 300))
            hub.kill()
            said += "".join(itertools.islice(tokens, 200))
            hub.start()
            said += "".join(tokens)
            late = stack.enter_context(contextlib.closing(page.context.new_page()))
            late.goto(address)
            for each in (page, middle, late):
                shows(each, said)
        assert said == "".join(TOKENS)
        for each in (page, middle, late):
            expect(each.locator(".badge").first).to_have_text("Completed")
            shows(each, said)
        for name in ("deltas", "states"):
            page.wait_for_function("(name) => raw[name]?.status === 'complete'", arg=name)
            assert page.evaluate("(name) => raw[name].answer", name) == said
        for path in ("drafts", "drafts/changes"):
            answer = httpx.get(f"{hub.base_url}/api/contents/{path}").json()
            [read] = answer["contents"] if "contents" in answer else [it["data"] for it in answer["events"]]
            assert read["answer"] == said


def shows(page: Page, text: str) -> None:
    """Wait until the content's page has this text, with every space and line break."""
    page.wait_for_function("(text) => document.querySelector('#growing-text')?.textContent === text", arg=text)
    expect(page.locator("#growing-text")).to_be_visible()


def test_a_result_is_shown_where_its_text_has_grown(page: Page, hub: LiveHub) -> None:
    """What was read as it grew is still there at the end, and on a page that is opened then."""
    with SyncProducer(hub.base_url) as producer, producer.work("a", channel="drafts") as work:
        work.append(summary="The sea is old.")
        page.goto(f"{hub.base_url}/?channel=drafts&content=a")
        shows(page, "The sea is old.")
        expect(page.get_by_role("heading", name="Written so far")).to_be_visible()
        work.complete(summary=None, ai_gen_metadata={"summary": "The sea is old.", "qa_list": []})
    expect(page.get_by_role("heading", name="Text", exact=True)).to_be_visible()
    shows(page, "The sea is old.")
    page.reload()
    shows(page, "The sea is old.")


def test_a_text_of_any_name_is_shown_after_its_end(page: Page, hub: LiveHub) -> None:
    """A page that has seen it grow knows which field it is."""
    with SyncProducer(hub.base_url) as producer, producer.work("a", channel="drafts") as work:
        page.goto(f"{hub.base_url}/?channel=drafts&content=a")
        expect(page.locator(".badge").first).to_have_text("Processing")
        work.append(story="Once upon a time.")
        shows(page, "Once upon a time.")
    expect(page.locator(".badge").first).to_have_text("Completed")
    shows(page, "Once upon a time.")


@SHARED
def test_a_page_reads_the_whole_state_where_a_delta_does_not_fit(
    page: Page, hub: LiveHub, writer: Writer, share: bool
) -> None:
    """It says so once, and deltas come again afterwards."""
    writer.begin("a", "one ")
    empty_page(page, hub)
    page.evaluate(COLLECT, ["drafts", share])
    holds(page, "one ")
    epoch, _, number = writer.add("a", "two ").rpartition("-")
    holds(page, "one two ")
    with page.expect_request(
        lambda it: "/changes" in it.url if share else "/events" in it.url and "deltas" not in it.url
    ):
        page.evaluate(
            """(id) => {
                const delta = { content_id: "a", back: 2, set: {}, append: { text: "?" } };
                const event = new MessageEvent("content_delta", { data: JSON.stringify(delta), lastEventId: id });
                window.sources.at(-1).dispatchEvent(event);
            }""",
            f"{epoch}-{int(number) + 1}",
        )
    page.wait_for_function("() => stream.state === 'live'")
    writer.add("a", "three ")
    holds(page, "one two three ")
    page.wait_for_function("() => appended.endsWith('three ')")
    assert not page.evaluate("[...states.values()].some(({ text }) => text.includes('?'))")


def test_a_page_applies_deltas_as_other_clients_do(page: Page, hub: LiveHub) -> None:
    """Every case has one result in Python and in JavaScript."""
    empty_page(page, hub)
    made = page.evaluate(
        """async (cases) => {
            const { grown } = await import("/assets/client/growth.js");
            return cases.map(([before, said]) => JSON.stringify(grown(JSON.parse(before), JSON.parse(said))));
        }""",
        [[json.dumps(case.before), json.dumps(case.said)] for case in GROWN],
    )
    assert [json.loads(text) for text in made] == [case.after for case in GROWN]
