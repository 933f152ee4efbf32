"""The modules that `import statushub` loads, each time in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from statushub.extras import EXTRAS


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import statushub", {"anyio", "asyncio", "httpx", "msgspec", "redis", *EXTRAS}),
        ("from statushub import Invalid, Receipt", {"anyio", "asyncio", "httpx", "redis", *EXTRAS}),
        ("from statushub import Change, Contents", {"httpx", "redis", "sqlite3", *EXTRAS}),
        # Where they are installed, httpx itself imports click and rich.
        ("from statushub import follow, follow_sync", {"redis", "sqlite3", *EXTRAS} - {"click", "rich"}),
        ("from statushub import Producer", {"httpx", "redis", "sqlite3", *EXTRAS}),
    ],
)
def test_an_import_loads_no_unneeded_slow_module(code: str, absent: set[str]) -> None:
    """HTTP and Redis clients are loaded on use; a worker never loads a web server."""
    script = f"import sys; {code}; print(*sys.modules)"
    assert not absent & {module.partition(".")[0] for module in _run(script).stdout.split()}


def test_a_command_loads_no_module_that_only_others_need() -> None:
    """Each command is a process, and scripts start many; httpx does not draw its own command line in."""
    script = (
        "import runpy, sys; sys.argv = ['statushub', 'publish', 'jobs', 'a', 'idle', '--hub', 'http://127.0.0.1:9']\n"
        "try: runpy.run_module('statushub', run_name='__main__')\n"
        "except SystemExit: print(*sys.modules)"
    )
    ended = _run(script)
    assert "cannot be reached" in ended.stderr
    loaded = set(ended.stdout.split())
    assert not loaded & {"rich", "redis", "starlette", "sqlite3", "statushub.hub.config", "statushub.hub.cli.serve"}
    assert "httpx" in loaded


def _run(script: str) -> subprocess.CompletedProcess[str]:
    # A measure of coverage imports modules of its own.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    return subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=30, check=True
    )
