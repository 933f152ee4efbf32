"""The modules that an import, a command and a hub load, each time in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from signal import SIGTERM

import pytest

from statushub.extras import EXTRAS
from tests.support.command import ended, environment, line_with
from tests.support.live import live_hub
from tests.support.redis_server import RedisServer
from tests.support.tokens import SECRET


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import statushub", {"anyio", "asyncio", "httpx", "msgspec", "redis", *EXTRAS}),
        ("from statushub import Invalid, Receipt", {"anyio", "asyncio", "httpx", "redis", *EXTRAS}),
        ("from statushub import Change, Contents", {"httpx", "redis", "sqlite3", *EXTRAS}),
        # Where they are installed, httpx itself imports click and rich.
        ("from statushub import follow, follow_sync", {"redis", "sqlite3", *EXTRAS} - {"click", "rich"}),
        ("from statushub import Producer", {"httpx", "redis", "sqlite3", *EXTRAS}),
        ("from statushub import SyncProducer, track, work", {"difflib", "h11", "httpx", "redis", "sqlite3", *EXTRAS}),
    ],
)
def test_an_import_loads_no_unneeded_slow_module(code: str, absent: set[str]) -> None:
    """HTTP and Redis clients are loaded on use; a worker never loads a web server."""
    script = f"import sys; {code}; print(*sys.modules)"
    assert not absent & {module.partition(".")[0] for module in _run(script).stdout.split()}


def test_publishing_loads_no_module_that_only_others_need() -> None:
    """A command is a process, and scripts start many: to a plain address it needs neither asyncio nor TLS."""
    with live_hub() as hub:
        published = _run(_listing("publish", "jobs", "a", "idle", "--hub", hub.base_url))
        refused = _run(_listing("publish", "jobs", "a", "idle", "--hub", hub.base_url.replace("//", "//user@")))
    absent = {"anyio", "asyncio", "httpx", "logging", "redis", "rich", "sqlite3", "ssl", "starlette"}
    assert not absent & _packages(published.stdout)
    assert "statushub.hub.config" not in published.stdout.split()
    # httpx does not draw its own command line in.
    assert not {"rich", "redis", "sqlite3", "starlette"} & _packages(refused.stdout)
    assert "httpx" in _packages(refused.stdout)


UNUSED = {"difflib", "httpx", "jwt", "prometheus_client", "rich", "sqlalchemy", "trafilatura"}
"""Packages that no hub needs before it is asked for something."""

PARTS = {
    # redis-py imports the package, to see whether it is there.
    "cryptography.hazmat",
    "statushub.hub.auth.verification",
    "statushub.hub.exposition",
    "statushub.hub.instagram",
    "statushub.hub.sources.recorder",
    "statushub.hub.sources.sql",
    "statushub.hub.tracing",
    "statushub.producers.documents",
    "statushub.producers.jobs.worker",
    "statushub.producers.work",
}
"""Modules of parts that are switched on by settings, or asked for."""


def test_a_hub_loads_no_part_that_is_switched_off() -> None:
    """It is as small as it can be before its first viewer."""
    loaded = _serving("memory:")
    assert "statushub.hub.brokers.sqlite.broker" in loaded
    assert not loaded & PARTS
    assert not UNUSED & {module.partition(".")[0] for module in loaded}
    assert not {"hiredis", "opentelemetry", "redis"} & {module.partition(".")[0] for module in loaded}


def test_a_hub_with_a_key_is_ready_to_verify() -> None:
    """What verifies tokens is loaded at the start: no first viewer waits for it."""
    loaded = _serving("memory:", STATUSHUB_SECRET=SECRET)
    assert {"cryptography.hazmat", "jwt", "statushub.hub.auth.verification"} <= loaded
    assert "httpx" not in loaded


@pytest.mark.redis
def test_a_hub_over_redis_loads_no_other_broker(redis_server: RedisServer) -> None:
    """Nor any part that is switched off."""
    loaded = _serving(redis_server.url)
    assert "statushub.hub.brokers.redis.broker" in loaded
    assert not loaded & {*PARTS, "sqlite3", "statushub.hub.brokers.sqlite"}
    assert not UNUSED & {module.partition(".")[0] for module in loaded}


def _serving(broker: str, **variables: str) -> set[str]:
    """The modules that a hub has loaded once it serves, and has stopped."""
    script = _listing("serve", "--port", "0", "--broker", broker)
    with subprocess.Popen(
        [sys.executable, "-c", script],
        env=_unmeasured(variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    ) as process:
        try:
            line_with(process, "Serving", of="stderr")
            code, out, _ = ended(process, SIGTERM)
        finally:
            process.kill()
    assert code == 0
    return set(out.split())


def _listing(*arguments: str) -> str:
    """A script that runs a command line and then prints the modules that are loaded."""
    return (
        f"import runpy, sys; sys.argv = {['statushub', *arguments]!r}\n"
        "try: runpy.run_module('statushub', run_name='__main__')\n"
        "except SystemExit: print(*(name for name, module in sys.modules.items() if module))"
    )


def _packages(modules: str) -> set[str]:
    return {module.partition(".")[0] for module in modules.split()}


def _run(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script], env=_unmeasured({}), capture_output=True, text=True, timeout=60, check=True
    )


def _unmeasured(variables: Mapping[str, str]) -> dict[str, str]:
    """The environment without the measure of coverage, which imports modules of its own."""
    return {name: value for name, value in environment(variables).items() if not name.startswith("COVERAGE")}
