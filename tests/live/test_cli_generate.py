"""`statushub generate`: real processes, with a real hub and a server that answers as a model's does."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.command import command, ended, line_with, started
from tests.support.documents import MILL, html
from tests.support.live import live_hub
from tests.support.model_server import fails, model_server, pairs, says
from tests.support.ports import free_port
from tests.support.waiting import eventually

SUMMARY = "The mill grinds again."
QA = pairs(("When was it built?", "In 1170."))
KEY = "sk-very-secret"
CLEAN = {"OPENAI_API_KEY": "", "OPENAI_BASE_URL": ""}


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    """A hub for all tests; each uses its own channel."""
    with live_hub() as live:
        yield live.base_url


@pytest.fixture
def article(tmp_path: Path) -> Path:
    path = tmp_path / "mill.html"
    path.write_text(html())
    return path


def contents(hub: str, channel: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = httpx.get(f"{hub}/api/contents/{channel}").json()["contents"]
    return found


def test_a_text_is_summarized_without_a_model(hub: str, article: Path) -> None:
    """stdout has the summary and the answers, stderr the steps, and the hub the final state of channel `drafts`."""
    result = command("generate", article, "--hub", hub, "--content-id", "mill", env=CLEAN)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[0].endswith(".")
    assert result.stderr.splitlines() == ["uploading", "summarizing", "qa generating"]
    [content] = contents(hub, "drafts")
    assert (content["content_id"], content["status"], content["title"]) == ("mill", "complete", "The tide mill")
    assert content["ai_gen_metadata"]["summary"] == result.stdout.splitlines()[0]
    assert content["ai_gen_metadata"]["qa_list"][0]["answer"] in MILL


@pytest.mark.parametrize("by", ["flag", "variable"])
def test_a_model_answers(by: str, hub: str, article: Path) -> None:
    """The address comes from the flag or the client's variable, the key from its variable only."""
    with model_server(says(SUMMARY), says(QA)) as server:
        flags = ("--base-url", server.url, "--model", "m") if by == "flag" else ()
        variables = {} if by == "flag" else {"OPENAI_BASE_URL": server.url}
        options = ("--hub", hub, "--channel", f"by-{by}", "--content-id", f"by-{by}", "--json", *flags)
        result = command("generate", article, *options, env={**CLEAN, "OPENAI_API_KEY": KEY, **variables})
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == {"summary": SUMMARY, **json.loads(QA)}
    assert [request["model"] for request in server.requests] == ["m" if by == "flag" else "test-model"] * 2
    assert {*server.keys} == {f"Bearer {KEY}"}


def test_a_failure_is_one_line(hub: str, article: Path) -> None:
    """The exit code is 1, and neither the line nor the hub has the key."""
    with model_server(fails(401, f"Incorrect API key provided: {KEY}")) as server:
        options = ("--hub", hub, "--channel", "failing", "--base-url", server.url)
        result = command("generate", article, *options, env={**CLEAN, "OPENAI_API_KEY": KEY})
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.splitlines()[-1].startswith("statushub: http://127.0.0.1:")
    assert "OPENAI_API_KEY" in result.stderr
    [content] = contents(hub, "failing")
    assert content["error_code"] == "request_rejected"
    assert KEY not in result.stderr + json.dumps(content)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_is_published_as_a_cancellation(number: int, code: int, hub: str, article: Path) -> None:
    """In the middle of an answer; the half summary is shown until then."""
    go, channel = threading.Event(), f"cancelled-{code}"
    with model_server(says("The mill grinds no more.", before=go)) as server:
        options = ("--hub", hub, "--channel", channel, "--content-id", channel, "--base-url", server.url)
        with started("generate", article, *options, env=CLEAN) as process:
            line_with(process, "summarizing", of="stderr")
            eventually(lambda: [each.get("summary") for each in contents(hub, channel)] == ["The mill"])
            assert ended(process, number)[0] == code
        go.set()
    [content] = contents(hub, channel)
    assert (content["status"], content["error_code"], content["summary"]) == ("error", "cancelled", "The mill")


def test_a_request_to_cancel_ends_it_with_3(hub: str, article: Path) -> None:
    """Between two tokens, while the model has not ended its answer; the line says who stopped it, and why."""
    go = threading.Event()
    with model_server(says("The mill grinds no more.", before=go)) as server:
        options = ("--hub", hub, "--channel", "stopped", "--content-id", "stopped", "--base-url", server.url)
        with started("generate", article, *options, env=CLEAN) as process:
            line_with(process, "summarizing", of="stderr")
            eventually(lambda: [each.get("summary") for each in contents(hub, "stopped")] == ["The mill"])
            result = command("cancel", "stopped", "stopped", "--reason", "wrong article", "--hub", hub)
            assert result.returncode == 0, result.stderr
            code, _, err = ended(process)
        go.set()
    assert code == 3
    assert "wrong article" in err.splitlines()[-1]
    [content] = contents(hub, "stopped")
    assert (content["status"], content["error_code"], content["summary"]) == ("error", "cancelled", "The mill")


def test_an_unreachable_hub_does_not_stop_it(article: Path) -> None:
    """A warning is printed, and the summary."""
    result = command("generate", article, "--hub", f"http://127.0.0.1:{free_port()}", env=CLEAN)
    assert result.returncode == 0, result.stderr
    assert "cannot be reached" in result.stderr
    assert result.stdout


def test_an_id_of_another_channel_ends_with_4(hub: str, article: Path) -> None:
    """The summary is printed, and a line names both channels."""
    event = {"channel": "taken", "content_id": "shared", "data": {"status": "generating"}}
    httpx.post(f"{hub}/api/publish", json=event).raise_for_status()
    result = command("generate", article, "--hub", hub, "--content-id", "shared", env=CLEAN)
    assert (result.returncode, bool(result.stdout)) == (4, True)
    assert "belongs to channel 'taken'" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("missing.txt",), 1, "missing.txt does not exist"),
        (("",), 1, "'' is not a file"),
        (("--base-url", "http://127.0.0.1:99999/v1", "a.txt"), 2, "base_url must be http(s)://host[:port]/path"),
        (("--questions", "21", "a.txt"), 2, "questions must be from 0 to 20"),
        ((), 2, "Missing argument 'SOURCE'"),
    ],
)
def test_a_mistake_is_one_line(arguments: tuple[str, ...], code: int, told: str, hub: str, tmp_path: Path) -> None:
    """It names the argument."""
    result = command("generate", *arguments, "--hub", hub, "--channel", "mistakes", cwd=tmp_path, env=CLEAN)
    assert (result.returncode, told in result.stderr.splitlines()[-1]) == (code, True), result.stderr
