"""A client's program while it runs, as a process or as a page of a browser, and what it has shown."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
from playwright.sync_api import Browser, ConsoleMessage

from tests.support.waiting import eventually

TOKEN_FILE: Final = "token"
"""Where the programs of the page read their token."""


class Shown(msgspec.Struct, frozen=True):
    """One event that a program printed: its type, a space, and its data."""

    type: str
    data: dict[str, Any]


class Running(Protocol):
    """A program that was started."""

    def lines(self) -> list[str]:
        """The lines that it has printed so far."""

    def trouble(self) -> str:
        """What it said of errors."""


def shown(program: Running) -> list[Shown]:
    """The events that it has printed. Fails where one has no type, or data that are no object of JSON."""
    events = []
    for line in program.lines():
        type, _, data = line.partition(" ")
        try:
            events.append(Shown(type, msgspec.json.decode(data, type=dict[str, Any])))
        except msgspec.DecodeError as error:
            raise AssertionError(f"an event that is none of the hub's: {line!r}") from error
    return events


def wait_for(program: Running, wanted: Callable[[Shown], bool], what: str) -> None:
    """Return once an event was shown that is `wanted`."""
    try:
        eventually(lambda: any(wanted(event) for event in shown(program)))
    except TimeoutError:
        message = f"{what} is not shown\n" + "\n".join(program.lines()) + "\n" + program.trouble()
        raise AssertionError(message) from None


class Process:
    """A program in a folder of its own."""

    def __init__(self, command: list[str], folder: Path, base_url: str) -> None:
        self._out, self._err = folder / "out", folder / "err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env={**os.environ, "STATUSHUB_URL": base_url},
                stdout=out,
                stderr=err,
                # A shell's children have its group.
                start_new_session=True,
            )

    def lines(self) -> list[str]:
        # The last part has no line end yet.
        return self._out.read_text().split("\n")[:-1]

    def trouble(self) -> str:
        return self._err.read_text(errors="replace") + f"(exit code {self._process.poll()})"

    def kill(self) -> None:
        """End it and its children."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


class Page:
    """A page in a profile of its own: its connections are not shared with those of other pages."""

    def __init__(self, browser: Browser, address: str) -> None:
        self._lines: list[str] = []
        self._trouble: list[str] = []
        self._context = browser.new_context()
        self._page = self._context.new_page()
        self._page.on("console", self._said)
        self._page.on("pageerror", lambda error: self._trouble.append(str(error)))
        self._page.goto(address)

    def _said(self, message: ConsoleMessage) -> None:
        (self._lines if message.type == "log" else self._trouble).append(message.text)

    def lines(self) -> list[str]:
        # Playwright delivers messages only during a call.
        self._page.evaluate("0")
        return list(self._lines)

    def trouble(self) -> str:
        return "\n".join(self._trouble)

    def close(self) -> None:
        """Close the page and its connections."""
        self._context.close()


@contextlib.contextmanager
def running_process(command: list[str], folder: Path, base_url: str) -> Iterator[Running]:
    """A process for the block."""
    process = Process(command, folder, base_url)
    try:
        yield process
    finally:
        process.kill()


@contextlib.contextmanager
def running_page(browser: Browser, address: str) -> Iterator[Running]:
    """A page for the block."""
    page = Page(browser, address)
    try:
        yield page
    finally:
        page.close()


def html(script: str, hub: str) -> str:
    """A page that runs a script of docs/clients.md on a hub."""
    text = script.replace("http://localhost:8000", hub)
    return f'<!doctype html><link rel="icon" href="data:,"><script type="module">{text}</script>'
