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
    # A measure of coverage imports modules of its own.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    loaded = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=30, check=True
    )
    assert not absent & {module.partition(".")[0] for module in loaded.stdout.split()}
