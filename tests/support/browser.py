"""A real browser for tests: pages of Chromium that fail their test on an error or a warning in the console.

A module uses it by `pytest_plugins = ["tests.support.browser"]`. Playwright's synchronous interface keeps an event
loop running in the thread while it is open. It is open for one module only, so that asynchronous tests of other
modules do not run beside that loop.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Error, Page, expect, sync_playwright

from tests.support.chromium import running

EXPECT_MS = 20_000
"""The time limit for a condition: a reconnect takes up to 8 s, and the machine may be slow."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One headless browser for the tests of a module."""
    expect.set_options(timeout=EXPECT_MS)
    with sync_playwright() as playwright, running(playwright) as started:
        yield started


@pytest.fixture
def tolerated() -> list[str]:
    """Parts of console messages that a test expects; it appends them before they can occur."""
    return []


@pytest.fixture
def page(browser: Browser, tolerated: list[str]) -> Iterator[Page]:
    """A page with its own profile. Errors and warnings in the console, and uncaught errors, fail the test."""
    messages: list[str] = []

    def console(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            messages.append(f"{message.type}: {message.text} ({message.location['url']})")

    def uncaught(error: Error) -> None:
        messages.append(f"uncaught: {error.message}")

    context = browser.new_context(
        viewport={"width": 1280, "height": 900}, permissions=["clipboard-read", "clipboard-write"]
    )
    opened = context.new_page()
    opened.on("console", console)
    opened.on("pageerror", uncaught)
    yield opened
    context.close()
    unexpected = [message for message in messages if not any(part in message for part in tolerated)]
    if unexpected:
        pytest.fail("the console has errors:\n" + "\n".join(unexpected))
