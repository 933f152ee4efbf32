"""The Chromium of this machine, headless."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator

from playwright.sync_api import Browser, Playwright

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
"""Chromium runs as root in a container, without a screen, and sends no request of its own."""


def _path() -> str:
    """The path of an installed Chromium or Chrome."""
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        if path := shutil.which(name):
            return path
    raise RuntimeError("browser tests need chromium: run tests/support/install-tools")


@contextlib.contextmanager
def running(playwright: Playwright) -> Iterator[Browser]:
    """A browser for the time of the block."""
    browser = playwright.chromium.launch(executable_path=_path(), args=list(ARGUMENTS))
    try:
        yield browser
    finally:
        browser.close()
