"""Document counts in a browser: the page of the hub, and that of the system before."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.support.live import LiveHub, live_hub
from tests.support.search_server import CATEGORIES, HEADERS, SearchServer, search_server
from tests.support.tokens import SECRET, token
from tests.support.waiting import eventually

pytest_plugins = ["tests.support.browser"]
pytestmark = pytest.mark.browser

OLD_PAGE = Path(__file__).with_name("documents_polling.html").read_text(encoding="utf-8")

INTERVAL_MS = 2_000
"""Of the polls of that page."""


@contextmanager
def counting(**options: Any) -> Iterator[tuple[LiveHub, SearchServer]]:
    with (
        search_server() as server,
        live_hub(
            "memory:",
            documents_url=server.address,
            documents_categories=CATEGORIES,
            documents_headers=HEADERS,
            **{"jobs": True, "documents_pace": 0.0, "documents_retry": 0.05} | options,
        ) as hub,
    ):
        yield hub, server


@pytest.fixture
def hub() -> Iterator[LiveHub]:
    with counting() as (hub, server):
        server.totals = {("blog", "맥북"): 12543, ("cafearticle", "맥북"): 4521}
        server.refused.add("나쁜")
        yield hub


def count(page: Page, keywords: str) -> None:
    page.get_by_label("One on each line").fill(keywords)
    page.get_by_role("button", name="Count", exact=True).click()


def row(page: Page, keyword: str) -> Any:
    return page.locator("#results tbody tr").filter(has=page.get_by_role("rowheader", name=keyword, exact=True))


def cells(page: Page, keyword: str, *texts: str) -> None:
    expect(row(page, keyword).locator("td")).to_have_text([*texts])


def test_the_polling_page_of_the_system_before_runs_unchanged(page: Page, hub: LiveHub) -> None:
    """It starts a batch without a JSON type, polls every two seconds, keeps results, and goes on after a reload."""
    page.clock.install()
    page.route(f"{hub.base_url}/counts", lambda route: route.fulfill(body=OLD_PAGE, content_type="text/html"))
    page.goto(f"{hub.base_url}/counts")

    def polled() -> None:
        def look() -> bool:
            page.clock.run_for(INTERVAL_MS)
            page.wait_for_timeout(5)
            return "완료" in page.locator("#message").inner_text()

        eventually(look)

    page.locator("#keywords").fill("맥북\n아이폰\n나쁜\n")
    with page.expect_response("**/api/documents/batch") as started:
        page.locator("#start").click()
    assert started.value.request.headers["content-type"].startswith("text/plain")
    expect(page.locator("#message")).to_have_text(re.compile("배치 작업이 시작되었습니다|완료"))
    page.reload()
    polled()
    expect(page.locator("#progress")).to_have_text("3/3")
    expect(page.locator("#results tr")).to_have_text(["맥북blog 12543cafe 4521", "아이폰blog 300cafe 300"])
    page.evaluate("localStorage.setItem('documentBatchJobId', 'batch_1_a')")
    page.reload()
    expect(page.locator("#message")).to_have_text("작업을 찾을 수 없습니다")
    page.locator("#keywords").fill("맥북")
    page.locator("#start").click()
    expect(page.locator("#message")).to_have_text(re.compile("키워드는 1~1000개"))


@pytest.fixture(autouse=True)
def _refusals(tolerated: list[str]) -> None:
    """What the browser says of an answer of 400 and up, which the pages show."""
    tolerated += ["the server responded with a status of 4"]


def test_the_table_fills_and_known_keywords_are_skipped(page: Page, hub: LiveHub) -> None:
    """Results appear as they come, are kept, and are not asked for again; what failed may be."""
    page.goto(f"{hub.base_url}/documents/")
    count(page, "맥북, 아이폰\n나쁜\n맥북")
    cells(page, "맥북", "12,543", "4,521")
    cells(page, "아이폰", "300", "300")
    expect(row(page, "나쁜")).to_contain_text("answers 400")
    expect(page.locator("#batch-label")).to_have_text("3 of 3, 1 failed, complete")
    page.reload()
    cells(page, "맥북", "12,543", "4,521")
    page.get_by_label("One on each line").fill("맥북\n갤럭시\n나쁜")
    expect(page.locator("#summary")).to_have_text("2 to count, 1 known")
    page.get_by_role("button", name="Count", exact=True).click()
    cells(page, "갤럭시", "300", "300")
    jobs = page.locator("#jobs tbody tr")
    expect(jobs).to_have_count(2)
    expect(jobs.nth(0).locator("td").nth(0)).to_have_text("completed")
    expect(jobs.nth(1).locator("td").nth(1)).to_have_text("2")
    expect(page.locator("#totals")).to_contain_text("Calls of the source")


def test_one_may_leave_and_come_back(page: Page) -> None:
    """What came meanwhile is there, and the rest comes; the banner shows the progress of it."""
    with counting(documents_pace=0.5) as (hub, _):
        page.goto(f"{hub.base_url}/documents/")
        count(page, "\n".join(f"낱말{n}" for n in range(6)))
        banner = page.locator(".documents-banner")
        expect(banner).to_contain_text("of 6")
        cells(page, "낱말0", "300", "300")
        page.goto("about:blank")
        page.goto(f"{hub.base_url}/documents/")
        cells(page, "낱말5", "300", "300")
        expect(page.locator("#batch-label")).to_have_text("6 of 6, complete")
        expect(banner).to_be_hidden()


def test_a_batch_is_cancelled_and_a_second_one_refused(page: Page) -> None:
    """The page shows the hub's words."""
    with counting(documents_pace=3600) as (hub, _):
        page.goto(f"{hub.base_url}/documents/")
        count(page, "맥북")
        expect(page.locator("#batch-label")).to_contain_text("0 of 1")
        count(page, "아이폰")
        expect(page.get_by_role("alert")).to_have_text("이미 처리 중인 작업이 있습니다")
        page.locator("#cancel").click()
        expect(page.locator("#batch-label")).to_contain_text("was cancelled")


def test_the_download_is_safe_in_a_spreadsheet(page: Page, hub: LiveHub) -> None:
    """Excel reads it as UTF-8, and takes no keyword for a formula; counts are numbers."""
    words = ["=1+1", "+82", "-맥북", "@sum", 'a "b"', "\uff1d1+1", "맥북", "__proto__"]
    page.goto(f"{hub.base_url}/documents/")
    count(page, "\n".join(words))
    expect(page.locator("#batch-label")).to_contain_text("complete")
    for word in words:
        expect(row(page, word).locator("td")).to_have_count(2)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").click()
    data = Path(download.value.path()).read_bytes()
    assert data.startswith("\ufeff".encode())
    rows = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))
    assert rows[0] == ["Keyword", "blog", "cafe"]
    assert [cells[0] for cells in rows[1:]] == [
        *("'=1+1", "'+82", "'-맥북", "'@sum", 'a "b"', "'\uff1d1+1", "맥북", "__proto__")
    ]
    assert rows[7] == ["맥북", "12543", "4521"]


def test_a_hub_that_needs_a_token_says_so(page: Page) -> None:
    """With the cookie of the dashboard the page works."""
    with counting(secret=SECRET, jobs_tenants=("acme",)) as (hub, _):
        page.goto(f"{hub.base_url}/documents/")
        expect(page.locator("#connection")).to_contain_text("requires a token")
        page.context.add_cookies([{"name": "statushub_token", "value": token(), "url": hub.base_url}])
        page.reload()
        expect(page.locator("#connection")).to_have_text("Live")
        count(page, "맥북")
        cells(page, "맥북", "200", "200")


def test_the_page_is_served_as_the_dashboard_is(hub: LiveHub) -> None:
    """Under the same policy, and without a slash it is found, too."""
    with httpx.Client(base_url=hub.base_url, follow_redirects=True) as client:
        page = client.get("/documents")
        assert page.url.path == "/documents/"
        assert page.headers["content-security-policy"] == client.get("/").headers["content-security-policy"]


def test_the_dashboard_shows_the_progress_of_counts(page: Page) -> None:
    """At the top of each of its pages, with a link; nothing is asked for where no documents are counted."""
    with counting(documents_pace=0.1) as (hub, _):
        page.goto(hub.base_url)
        banner = page.locator(".documents-banner")
        expect(banner).to_be_attached()
        expect(banner).to_be_hidden()
        keywords = [f"낱말{number}" for number in range(40)]
        httpx.post(f"{hub.base_url}/api/documents/batch", json={"keywords": keywords}).raise_for_status()
        expect(banner).to_contain_text(re.compile(r"Document counts: \d+ of 40"))
        page.goto(f"{hub.base_url}/?channel=jobs")
        banner.click()
        expect(page.locator("#batch, #jobs, #results").first).to_be_attached()
        assert page.url == f"{hub.base_url}/documents/"
        page.goto("about:blank")
    with live_hub("memory:") as plain:
        page.goto(plain.base_url)
        expect(page.locator("#main section").first).to_be_visible()
        expect(page.locator(".documents-banner")).to_have_count(0)
        page.goto("about:blank")
