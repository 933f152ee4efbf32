"""`statushub ls`: the channels, as a table, as lines, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from statushub.hub.cli.channel_table import ChannelTable, line
from tests.support.command import command
from tests.support.live import LiveHub, live_hub
from tests.support.ports import free_port
from tests.support.publications import update
from tests.support.publishing import publish, publish_all
from tests.support.terminal import Terminal
from tests.support.tokens import SECRET, token

LONG = "imports/2026-11/accounts-of-the-north-region"


@pytest.fixture(scope="module")
def hub() -> Iterator[LiveHub]:
    """A hub with three channels."""
    with live_hub() as hub:
        for content_id, status in (
            ("a", "complete"),
            ("b", "complete"),
            ("c", "error"),
            ("d", "idle"),
            ("e", "pending"),
        ):
            publish(hub, f"{LONG} {content_id}", status, channel=LONG)
        publish(hub, "f", "generating", channel="jobs")
        publish(hub, "g", "generating", channel="encodes")
        yield hub


@pytest.fixture(scope="module")
def large() -> Iterator[LiveHub]:
    """A hub with more channels than a page has."""
    with live_hub() as hub:
        events = [update(f"c{n}", channel=f"c{n:04}") for n in range(1_100)]
        hub.run(hub.hub.broker.publish("default", events))
        yield hub


def test_channels_are_lines_in_a_pipe(hub: LiveHub) -> None:
    """Those that changed last first, with their contents by phase."""
    result = command("ls", "--hub", hub.base_url)
    assert (result.returncode, result.stderr) == (0, "")
    assert [said.partition("  ")[2] for said in result.stdout.splitlines()] == [
        "encodes  1 processing",
        "jobs  1 processing",
        f"{LONG}  1 pending, 2 completed, 1 failed, 1 idle",
    ]


def test_a_prefix_lists_by_name(hub: LiveHub) -> None:
    """Only the names that begin with it; nothing is printed where there is none."""
    listed = command("ls", "imports/", "--hub", hub.base_url)
    assert [line.split("  ")[1] for line in listed.stdout.splitlines()] == [LONG]
    none = command("ls", "import/", "--hub", hub.base_url)
    assert (none.returncode, none.stdout, none.stderr) == (0, "", "")


def test_channels_are_json(hub: LiveHub) -> None:
    """One object a line, as the hub answers it."""
    result = command("ls", "--json", "--hub", hub.base_url)
    encodes = json.loads(result.stdout.splitlines()[0])
    assert [*encodes] == [
        *("channel", "pending", "processing", "completed", "failed", "idle"),
        *("updated_at", "cursor"),
    ]
    assert (encodes["channel"], encodes["processing"]) == ("encodes", 1)


@pytest.mark.parametrize(("limit", "count"), [((), 1_100), (("--limit", "1050"), 1_050), (("--limit", "3"), 3)])
def test_every_page_is_listed(large: LiveHub, limit: tuple[str, ...], count: int) -> None:
    """Up to the limit, in both orders."""
    for prefix in ((), ("c",)):
        lines = command("ls", *prefix, *limit, "--hub", large.base_url).stdout.splitlines()
        numbers = [int(line.split("  ")[1][1:]) for line in lines]
        assert numbers == ([*range(count)] if prefix else [*range(1_099, 1_099 - count, -1)])


def test_a_terminal_shows_a_table(hub: LiveHub) -> None:
    """It fits 80 columns; a name that is too long is cut in its middle."""
    with Terminal("ls", "--hub", hub.base_url) as terminal:
        assert terminal.ended() == 0
        head, *rows = [row for row in terminal.rows if row]
    assert head == "channel                        pending processing completed failed  idle updated"
    assert [row[:73] for row in rows] == [
        "encodes                              0          1         0      0     0 ",
        "jobs                                 0          1         0      0     0 ",
        "imports/2026-11…e-north-region       1          0         2      1     1 ",
    ]
    assert all(row.endswith("s") and len(row) == 80 for row in rows)


def test_a_table_without_the_character_for_a_cut(hub: LiveHub) -> None:
    """Another one stands for it in a terminal that is not for UTF-8; narrower, the name still has twelve cells."""
    with Terminal("ls", "imp", "--hub", hub.base_url, columns=62, env={"PYTHONIOENCODING": "ascii"}) as terminal:
        assert terminal.ended() == 0
        assert terminal.rows[1].startswith("import~egion       1")


def test_a_foreign_name_cannot_control_the_terminal() -> None:
    """A name with control characters, which only a server that is not ours sends, is printed without them."""
    foreign = {"channel": "a\x1b[2J", "updated_at": "t", "failed": 1}
    assert line(foreign) == "t  a\N{REPLACEMENT CHARACTER}[2J  1 failed"
    assert ChannelTable(80).row(foreign).isprintable()


def test_a_token_lists_what_it_reads() -> None:
    """The others are not there."""
    with live_hub(secret=SECRET) as hub:
        events = [{"channel": name, "content_id": name, "data": {"status": "idle"}} for name in ("a", "b/1", "b/2")]
        publish_all(hub, events, headers={"Authorization": f"Bearer {token()}"})
        result = command("ls", "--hub", hub.base_url, "--token", token(read=["b/*"]))
        assert [line.split("  ")[1] for line in result.stdout.splitlines()] == ["b/1", "b/2"]
        refused = command("ls", "--hub", hub.base_url)
        assert (refused.returncode, refused.stdout) == (2, "")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("ls", "--hub", "http://127.0.0.1:{port}"), 1),
        (("ls", "--hub", "ftp://127.0.0.1"), 2),
        (("ls", "*", "--hub", "http://127.0.0.1:{port}"), 2),
        (("ls", "--limit", "0", "--hub", "http://127.0.0.1:{port}"), 2),
    ],
)
def test_what_cannot_be_listed_is_one_line(arguments: tuple[str, ...], code: int) -> None:
    """The exit code is 1 where a retry may succeed, otherwise 2."""
    result = command(*(argument.format(port=free_port()) for argument in arguments))
    assert (result.returncode, result.stdout) == (code, "")
    assert result.stderr.startswith("statushub: ")
    assert result.stderr.count("\n") == 1
