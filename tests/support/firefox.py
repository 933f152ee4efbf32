"""The Firefox of this machine, headless, driven by WebDriver BiDi (https://w3c.github.io/webdriver-bidi/)."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from websockets.sync.client import ClientConnection, connect

from tests.support.waiting import eventually

START_SECONDS: Final = 120.0
"""A new profile takes 8 s on an idle machine."""

ANSWER_SECONDS: Final = 120.0
"""The time limit for a command, the load of a page included."""

END_SECONDS: Final = 30

PREFERENCES: Final = """
user_pref("network.proxy.type", 1);
user_pref("network.proxy.http", "127.0.0.1");
user_pref("network.proxy.http_port", 9);
user_pref("network.proxy.ssl", "127.0.0.1");
user_pref("network.proxy.ssl_port", 9);
user_pref("network.proxy.no_proxies_on", "localhost, 127.0.0.1");
"""
"""What it asks of other machines, such as updates, goes to a proxy that is not there."""


def installed() -> str | None:
    """The path of an installed Firefox."""
    return shutil.which("firefox-esr") or shutil.which("firefox")


class Firefox:
    """One tab of it."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._sent = 0
        self.command("session.new", capabilities={})
        self._tab = self.command("browsingContext.getTree")["contexts"][0]["context"]

    def command(self, method: str, **params: Any) -> Any:
        """The result of a command of WebDriver BiDi."""
        self._sent += 1
        self._connection.send(json.dumps({"id": self._sent, "method": method, "params": params}))
        while (answer := json.loads(self._connection.recv(ANSWER_SECONDS))).get("id") != self._sent:
            pass
        if answer["type"] != "success":
            raise RuntimeError(f"{method}: {answer['message']}")
        return answer["result"]

    def goto(self, url: str) -> None:
        """Open a page, and wait until it is loaded."""
        self.command("browsingContext.navigate", context=self._tab, url=url, wait="complete")

    def evaluate(self, expression: str) -> Any:
        """What an expression is, as JSON; a promise is awaited."""
        answer = self.command(
            "script.evaluate",
            expression=f"Promise.resolve({expression}).then((value) => JSON.stringify(value ?? null))",
            target={"context": self._tab},
            awaitPromise=True,
        )
        if answer["type"] != "success":
            raise RuntimeError(answer["exceptionDetails"]["text"])
        return json.loads(answer["result"]["value"])

    def wait_for(self, expression: str) -> None:
        """Return once an expression is true."""
        eventually(lambda: self.evaluate(expression))


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Firefox]:
    """A browser for the time of the block, with a new profile in a folder."""
    program = installed()
    if program is None:
        raise RuntimeError("Firefox is missing: `tests/support/install-tools firefox` installs it")
    profile = folder / "profile"
    profile.mkdir()
    (profile / "user.js").write_text(PREFERENCES)
    log = folder / "firefox.log"
    arguments = ["--headless", "--no-remote", "--remote-debugging-port=0", "--profile", str(profile), "about:blank"]
    with log.open("wb") as output:
        # In a session of its own: it has processes of its own.
        process = subprocess.Popen([program, *arguments], stdout=output, stderr=output, start_new_session=True)

    def address() -> str | None:
        if process.poll() is not None:
            raise RuntimeError(f"Firefox has ended: {log.read_text()}")
        found = re.search(r"WebDriver BiDi listening on (ws://\S+)", log.read_text())
        return found and found[1]

    try:
        with connect(f"{eventually(address, within=START_SECONDS)}/session", open_timeout=ANSWER_SECONDS) as connection:
            yield Firefox(connection)
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(END_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
