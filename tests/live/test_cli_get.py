"""`statushub get`: the status of contents, once."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.support.command import command
from tests.support.live import live_hub
from tests.support.ports import free_port


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    """A hub with two channels."""
    with live_hub() as live:
        events = [
            {
                "channel": "films",
                "content_id": "one",
                "data": {"status": "generating", "progress": 40, "step": "upload"},
            },
            {"channel": "films", "content_id": "two", "data": {"status": "error", "error_message": "disk full"}},
            {"channel": "clips", "content_id": "three", "data": {"status": "complete"}},
            {"channel": "films/a?b#c%41", "content_id": "four", "data": {"status": "complete"}},
            *({"channel": "big", "content_id": f"c-{n}", "data": {"status": "idle"}} for n in range(990)),
        ]
        httpx.post(f"{live.base_url}/api/publish", json={"events": events[:900]}).raise_for_status()
        httpx.post(f"{live.base_url}/api/publish", json={"events": events[900:]}).raise_for_status()
        more = [{"channel": "big", "content_id": f"d-{n}", "data": {"status": "idle"}} for n in range(100)]
        httpx.post(f"{live.base_url}/api/publish", json={"events": more}).raise_for_status()
        yield live.base_url


def test_a_channel_is_printed_the_latest_first(hub: str) -> None:
    """A line for each content, as `watch` prints it."""
    result = command("get", "films", "--hub", hub)
    assert (result.returncode, result.stderr) == (0, "")
    assert [line.partition("  ")[2] for line in result.stdout.splitlines()] == [
        "two  error  disk full",
        "one  generating  40%  upload",
    ]


def test_a_channel_may_have_any_name(hub: str) -> None:
    """No character of it is taken for one of the URL."""
    result = command("get", "films/a?b#c%41", "--hub", hub)
    assert (result.returncode, [line.partition("  ")[2] for line in result.stdout.splitlines()]) == (
        0,
        ["four  complete"],
    )


def test_every_page_of_a_channel_is_printed(hub: str) -> None:
    """A channel of more contents than a page has."""
    assert len(command("get", "big", "--hub", hub).stdout.splitlines()) == 1_090


def test_named_contents_are_printed_in_order(hub: str) -> None:
    """As JSON they are the whole status; more than a batch of them are asked for in several."""
    result = command("get", "films", "two", "one", "--json", "--hub", hub)
    two, one = map(json.loads, result.stdout.splitlines())
    assert (two["content_id"], two["error_message"], one["progress"]) == ("two", "disk full", 40)
    assert "id" not in one
    names = [f"c-{n}" for n in range(250)]
    lines = command("get", "big", *names, "--hub", hub).stdout.splitlines()
    assert [line.split()[1] for line in lines] == names


def test_a_missing_content_exits_with_1(hub: str) -> None:
    """The others are printed; one of another channel is named with its own."""
    result = command("get", "films", "gone", "one", "three", "--hub", hub)
    assert result.returncode == 1
    assert "one  generating" in result.stdout
    assert "three" not in result.stdout
    assert result.stderr == "statushub: not in 'films': gone, three (it is in clips)\n"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("get", "films", "--hub", "http://127.0.0.1:{port}"), 1),
        (("get", "films", "--hub", "ftp://127.0.0.1"), 2),
        (("get", "films", "--hub", "http://user:secret@127.0.0.1:none"), 2),
        (("get", "*", "--hub", "http://127.0.0.1:{port}"), 2),
        (("get", "films", "*", "--hub", "http://127.0.0.1:{port}"), 2),
    ],
)
def test_what_cannot_be_read_is_one_line(arguments: tuple[str, ...], code: int) -> None:
    """The exit code is 1 where a retry may succeed, otherwise 2; no password is shown."""
    result = command(*(argument.format(port=free_port()) for argument in arguments))
    assert result.returncode == code
    assert result.stderr.startswith("statushub: ")
    assert result.stderr.count("\n") == 1
    assert "secret" not in result.stderr
