"""axe-core finds nothing to complain of on any page, light and dark, wide and narrow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.support.axe import axe_script
from tests.support.live import LiveHub, live_hub
from tests.support.publishing import publish_all
from tests.support.tokens import SECRET

pytest_plugins = ["tests.support.browser"]
pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

STEPS = [
    {"name": "probing", "state": "completed", "started_at": "2026-01-01T10:00:00Z", "ended_at": "2026-01-01T10:00:09Z"},
    {"name": "encoding", "state": "processing", "started_at": "2026-01-01T10:00:09Z", "ended_at": None},
]

PAGES = {
    "overview": ("", "#running .row"),
    "empty overview filter": ("?q=nothing-like-it", "#none"),
    "channel": ("?channel=films", "#contents .row"),
    "selection": ("?channel=films", "#contents .row"),
    "empty channel": ("?channel=none", "#empty"),
    "running content": ("?channel=films&content=run", "#chart"),
    "failed content": ("?channel=films&content=bad", "#error"),
    "done content": ("?channel=films&content=done", "#result"),
    "missing content": ("?channel=films&content=missing", "#missing"),
    "help": ("?channel=films", "#contents .row"),
}
"""Each page: its address, and what shows that it is drawn."""


@pytest.fixture(scope="module")
def axe() -> Path:
    return axe_script()


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveHub]:
    """A hub with a content in each state."""
    with live_hub("memory:", results_dir=str(tmp_path_factory.mktemp("results"))) as hub:
        run: dict[str, Any] = {
            "progress": 40,
            "steps": STEPS,
            "remaining_seconds": 90,
            "text": "It grows.",
            "rate": 2.5,
        }
        states: dict[str, dict[str, Any]] = {
            "run": {"status": "generating", "title": "A film", "done": 4, "total": 10, **run},
            "wait": {"status": "pending"},
            "rest": {"status": "idle"},
            "bad": {"status": "error", "error_message": "broken\n" * 40, "error_code": "stalled", "progress": 3},
            "done": {"status": "complete", "result_url": "https://films.example/a", "renditions": [{"name": "720p"}]},
        }
        publish_all(hub, [{"channel": "films", "content_id": name, "data": data} for name, data in states.items()])
        yield hub


def violations(page: Page, axe: Path) -> list[str]:
    """What axe complains of: the rule, and the element."""
    # Evaluated rather than added as a script, which the page's policy forbids.
    page.evaluate(axe.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    return [f"{it['id']}: {node['html']}" for it in found["violations"] for node in it["nodes"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_no_violation(page: Page, hub: LiveHub, axe: Path, name: str, scheme: Any) -> None:
    """Contrast, names, roles, order of headings, and all else that axe knows."""
    address, shown = PAGES[name]
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.goto(f"{hub.base_url}/{address}")
    expect(page.locator(shown).first).to_be_visible()
    if name == "selection":
        page.get_by_role("checkbox").first.check()
        expect(page.locator("#selection")).to_be_visible()
    if name == "help":
        page.keyboard.press("?")
        expect(page.get_by_role("dialog")).to_be_visible()
    assert violations(page, axe) == []
    page.set_viewport_size({"width": 360, "height": 740})
    assert violations(page, axe) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_sign_in_form_has_no_violation(page: Page, axe: Path, scheme: Any, tolerated: list[str]) -> None:
    """Also with what is wrong with a token."""
    tolerated.append("401 (Unauthorized)")
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    with live_hub(secret=SECRET) as hub:
        page.goto(hub.base_url)
        page.get_by_label("Token", exact=True).fill("no token")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("invalid")
        assert violations(page, axe) == []


def test_korean_is_read_as_korean(page: Page, hub: LiveHub) -> None:
    """The browser's language decides; both files have the same words, with the same gaps."""
    korean = page.context.browser.new_context(locale="ko-KR")  # type: ignore[union-attr]
    other = korean.new_page()
    other.goto(f"{hub.base_url}/?channel=films")
    expect(other.get_by_role("button", name="대기 중")).to_be_visible()
    expect(other.locator("html")).to_have_attribute("lang", "ko")
    gaps = """async (name) => {
        const { default: words } = await import(`/assets/dashboard/languages/${name}.js`);
        const gaps = (said) => /\\{([^}]*)\\}/.exec(String(said))[1].replaceAll(" ", "");
        const entries = Object.entries(words);
        return Object.fromEntries(entries.map(([key, said]) => [key, typeof said === "function" ? gaps(said) : ""]));
    }"""
    assert other.evaluate(gaps, "ko") == other.evaluate(gaps, "en")
    korean.close()
