"""The examples run against a real hub: the FastAPI worker, and the shell scripts."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from statushub.hub.model.vocabulary import COMPLETE, ERROR, STATUS_UPDATE
from tests.support.command import END_SECONDS, environment, line_with
from tests.support.live import LiveHub, live_hub
from tests.support.ports import free_port, wait_for_port
from tests.support.redis_server import RedisServer, running_redis
from tests.support.snippets import ROOT
from tests.support.tokens import SECRET, token

pytestmark = pytest.mark.redis

EXAMPLES = ROOT / "examples"


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis for the tests of this module."""
    with running_redis(tmp_path_factory.mktemp("redis"), appendonly=False) as server:
        yield server


@pytest.fixture(scope="module")
def hub(redis: RedisServer) -> Iterator[LiveHub]:
    """A hub over that Redis; each test uses its own channel or contents."""
    with live_hub(redis.url) as live:
        yield live


@contextmanager
def worker(hub: LiveHub) -> Iterator[str]:
    """Run the FastAPI application in a process, as its docstring says; yields its address."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "fastapi_worker:app", "--app-dir", str(EXAMPLES), "--port", str(port)],
        env=environment({"STATUSHUB_URL": hub.base_url}),
        stderr=subprocess.PIPE,
    )
    try:
        wait_for_port(port, process)
        yield f"http://127.0.0.1:{port}"
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=END_SECONDS)
        assert process.returncode in (0, -signal.SIGTERM)
    finally:
        process.kill()
        process.communicate()


def ending(hub: LiveHub, channel: str, content_id: str) -> dict[str, Any]:
    """The final state of a content, once it is published."""
    query = {"wait": "20"}
    while True:
        answer = httpx.get(f"{hub.base_url}/api/contents/{channel}/changes", params=query, timeout=30).json()
        query["since"] = answer["cursor"]
        for event in answer["events"]:
            if event["data"]["content_id"] == content_id and event["type"] in (COMPLETE, ERROR):
                data: dict[str, Any] = event["data"]
                return data


def script(name: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run one of the shell scripts to its end."""
    return subprocess.run(
        [EXAMPLES / name, *arguments],
        env=environment(variables),
        capture_output=True,
        text=True,
        timeout=END_SECONDS,
        check=False,
    )


def test_the_worker_reports_its_work(hub: LiveHub) -> None:
    """The endpoint answers immediately; viewers follow the work to its end, and an error is reported."""
    with worker(hub) as address:
        for article in ("article-7", "unreadable"):
            answer = httpx.post(f"{address}/articles/{article}/summary")
            assert (answer.status_code, answer.json()) == (202, {"channel": "drafts", "content_id": article})
        done, failed = ending(hub, "drafts", "article-7"), ending(hub, "drafts", "unreadable")
    assert (done["status"], done["progress"]) == ("complete", 100)
    assert done["ai_gen_metadata"] == {"summary": " ".join(["Ships left the harbour."] * 4)}
    assert (failed["status"], failed["error_message"]) == ("error", "the article has no text")


def test_curl_publishes(hub: LiveHub) -> None:
    """The script prints the hub's answer, and ends with curl's exit code for an invalid status."""
    taken = script("publish-curl.sh", "curl", "curl-1", "generating", "45", HUB=hub.base_url)
    assert (taken.returncode, json.loads(taken.stdout)["accepted"]) == (0, True)
    [content] = httpx.get(f"{hub.base_url}/api/contents/curl").json()["contents"]
    assert (content["status"], content["progress"]) == ("generating", 45)
    refused = script("publish-curl.sh", "curl", "curl-1", "nonsense", HUB=hub.base_url)
    assert refused.returncode == 22
    assert "data.status" in refused.stdout


@pytest.mark.parametrize("status", ["generating", "complete"])
def test_redis_cli_publishes(hub: LiveHub, redis: RedisServer, status: str) -> None:
    """A publication straight into Redis is stored in the hub's form, and polls answer it."""
    said = script("publish-redis.sh", "clips", f"clip-{status}", status, REDIS=redis.url)
    assert (said.returncode, said.stdout.split()[0]) == (0, "1"), said.stderr
    [batch] = httpx.post(f"{hub.base_url}/api/contents/status/batch", json={"content_ids": [f"clip-{status}"]}).json()[
        "statuses"
    ]
    assert batch["status"] == status
    assert batch["processing_status"] == ("completed" if status == "complete" else None)


def test_curl_follows(tmp_path: Path) -> None:
    """It prints a line for each event, and resumes after a restart, of a hub whose events have no names by default."""
    port, broker = free_port(), f"sqlite:///{tmp_path}/hub.db"
    address = {"HUB": f"http://127.0.0.1:{port}"}
    with ExitStack() as stack:
        with live_hub(broker, port=port, grace=1, events="message"):
            script("publish-curl.sh", "followed", "first", "generating", **address)
            process = subprocess.Popen(
                [EXAMPLES / "follow-curl.sh", "followed"],
                env=environment(address),
                stdout=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
            )
            stack.callback(process.communicate)
            # The process group has the script and its curl.
            stack.callback(os.killpg, process.pid, signal.SIGKILL)
            assert '"content_id":"first"' in line_with(process, f"^{STATUS_UPDATE} .*").string
            line_with(process, "^ready ")
        line_with(process, "^drain ")
        with live_hub(broker, port=port, grace=1, events="message"):
            script("publish-curl.sh", "followed", "second", "complete", **address)
            # The first content is not printed again.
            assert '"content_id":"second"' in line_with(process, f"^({STATUS_UPDATE}|{COMPLETE}) ").string


def test_a_script_without_a_token_ends_with_an_error() -> None:
    """With a token, the same hub accepts a publication."""
    with live_hub("memory:", secret=SECRET) as hub:
        assert script("follow-curl.sh", "c", HUB=hub.base_url).returncode == 1
        given = script("publish-curl.sh", "c", "a", "idle", HUB=hub.base_url, STATUSHUB_TOKEN=token(write=["c"]))
        assert given.returncode == 0, given.stderr


@pytest.mark.parametrize("path", sorted(filter(Path.is_file, EXAMPLES.iterdir())), ids=lambda path: path.name)
def test_every_example_is_run(path: Path) -> None:
    """A test in this folder or in tests/browser names the example."""
    tests = Path(__file__).read_text() + (ROOT / "tests/browser/test_examples.py").read_text()
    assert re.search(rf"\b{re.escape(path.stem)}\b", tests)
