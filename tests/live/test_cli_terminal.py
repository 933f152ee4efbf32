"""`statushub watch` in a real terminal, whose screen is looked at."""

from __future__ import annotations

import contextlib
import re
import signal
from collections.abc import Iterator, Mapping

import httpx
import pytest

from tests.support.live import live_hub
from tests.support.terminal import Terminal


@pytest.fixture
def hub() -> Iterator[str]:
    """An empty hub."""
    with live_hub() as live:
        yield live.base_url


def publish(hub: str, channel: str, *events: Mapping[str, object]) -> None:
    """Publish these states, each with its `content_id`."""
    made = [
        {"channel": channel, "content_id": event["content_id"], "data": {**event, "content_id": event["content_id"]}}
        for event in events
    ]
    answer = httpx.post(f"{hub}/api/publish", json={"events": made}).raise_for_status()
    assert all(result["accepted"] for result in answer.json()["results"])


def many(count: int) -> list[Mapping[str, object]]:
    """Contents of which the last eight run, one has failed, and the others wait."""
    running = {"status": "generating", "step": "transcoding"}
    return [
        *({"content_id": f"clip-{n:03}", "status": "pending"} for n in range(count - 9)),
        {"content_id": "broken", "status": "error", "error_message": "disk full"},
        *({"content_id": f"run-{n}", "progress": 10 * n, **running} for n in range(8)),
    ]


def test_two_hundred_contents_fit_a_terminal(hub: str) -> None:
    """What runs is on top, the error is red, and the last line counts all; nothing scrolls the screen."""
    publish(hub, "many", *many(200))
    with Terminal("watch", "many", "--hub", hub) as terminal:
        terminal.shows("8 running · 191 queued · 1 failed   rows 1 to 22 of 200")
        assert [row.split()[0] for row in terminal.rows[:9]] == [*(f"run-{n}" for n in range(8)), "broken"]
        assert terminal.colour("failed: disk full") == "red"
        publish(hub, "many", {"content_id": "run-3", "status": "complete"})
        terminal.shows("7 running · 191 queued · 1 failed · 1 complete")
        assert [row.split()[0] for row in terminal.rows[:9]] == [
            *(f"run-{n}" for n in (0, 1, 2, 4, 5, 6, 7)),
            *("broken", "clip-000"),
        ]


def test_keys_scroll_a_terminal(hub: str) -> None:
    """q ends the watch with exit code 0, and the terminal is as it was."""
    publish(hub, "keys", *many(60))
    with Terminal("watch", "keys", "--hub", hub) as terminal:
        terminal.shows("rows 1 to 22 of 60")
        terminal.press("\x1b[6~")
        terminal.shows("rows 23 to 44 of 60")
        terminal.press("G")
        terminal.shows("rows 39 to 60 of 60", "clip-050")
        terminal.press("\x1b[H")
        terminal.shows("rows 1 to 22 of 60")
        terminal.press("q")
        assert terminal.ended() == 0
    assert terminal.written.rindex("\x1b[?25h") > terminal.written.rindex("\x1b[?25l")


def test_a_resized_terminal_is_drawn_anew(hub: str) -> None:
    """The rows have the new width and number."""
    publish(hub, "sizes", *many(60))
    with Terminal("watch", "sizes", "--hub", hub) as terminal:
        terminal.shows("rows 1 to 22 of 60")
        terminal.resize(60, 10)
        terminal.shows("rows 1 to 8 of 60")
        assert [row.split()[0] for row in terminal.rows[:8]] == [f"run-{n}" for n in range(8)]
        assert len(re.findall("rows 1 to", terminal.text)) == 1


@pytest.mark.parametrize(
    "environ",
    [
        {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
        {"LANG": "C"},
    ],
    ids=["C", "ascii", "latin-1", "LANG"],
)
def test_a_terminal_that_lacks_characters_shows_others(hub: str, environ: dict[str, str]) -> None:
    """Bars are drawn in ASCII, and a title that the terminal cannot show is replaced; there is no traceback."""
    publish(hub, "lacking", {"content_id": "clip", "status": "generating", "progress": 50, "title": "港 clip"})
    with Terminal("watch", "lacking", "--hub", hub, env=environ) as terminal:
        text = terminal.shows("1 running")
        assert "clip" in text
        assert "50%" in text
        if "LC_ALL" in environ or environ.get("PYTHONIOENCODING") == "ascii":
            assert "? clip" in text
            assert "#####-----" in text
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.ended() == 130
    assert "Traceback" not in terminal.written


@pytest.mark.parametrize("variable", ["NO_COLOR", "TERM"])
def test_a_terminal_without_colours_gets_none(hub: str, variable: str) -> None:
    """NO_COLOR drops the colours; a dumb terminal gets lines."""
    publish(hub, "plain", {"content_id": "clip", "status": "error", "error_message": "disk full"})
    with Terminal("watch", "plain", "--until-done", "--hub", hub, env={variable: "dumb"}) as terminal:
        assert terminal.ended() == 1
    assert "disk full" in terminal.written
    assert re.findall(r"\x1b\[[0-9;]*3[0-9]", terminal.written) == []
    assert ("\x1b" in terminal.written) == (variable == "NO_COLOR")


def test_a_notice_is_a_line_of_the_table() -> None:
    """A hub that stops is told under the rows, of which it takes none but the last."""
    with live_hub() as live:
        publish(live.base_url, "films", *many(40))
        terminal = Terminal("watch", "films", "--hub", live.base_url)
        with contextlib.ExitStack() as stack:
            stack.enter_context(terminal)
            terminal.shows("8 running · 31 queued · 1 failed   rows 1 to 22 of 40")
            kept = stack.pop_all()
    with kept:
        terminal.shows("closed the stream; reconnecting", "rows 1 to 21 of 40")
        assert terminal.rows[0].split()[0] == "run-0"
        assert terminal.colour("http://") == "brown"


def test_a_watch_keeps_up(hub: str) -> None:
    """Ten thousand events of 200 contents are shown within seconds, the last one included."""
    publish(hub, "busy", *({"content_id": f"clip-{n}", "status": "generating"} for n in range(200)))
    with Terminal("watch", "busy", "--hub", hub) as terminal:
        terminal.shows("200 running")
        for progress in range(50):
            events = ({"content_id": f"clip-{n}", "status": "generating", "progress": progress} for n in range(200))
            publish(hub, "busy", *events)
        publish(hub, "busy", {"content_id": "clip-0", "status": "complete"})
        terminal.shows("199 running · 1 complete", "49%", without="48%")


@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (40, 10)])
def test_fifty_contents_of_two_channels_fit_a_terminal(hub: str, columns: int, lines: int) -> None:
    """Running ones first, each with its channel; the last line says how many there are; nothing scrolls the screen."""
    publish(hub, "small", *many(30))
    publish(hub, "other", *({"content_id": f"other-{n}", "status": "pending"} for n in range(20)))
    with Terminal("watch", "small", "--channel", "other", "--hub", hub, columns=columns, lines=lines) as terminal:
        terminal.shows("of 50" if columns == 80 else "1-8/50")
        rows = terminal.rows
    assert [row.split()[:2] for row in rows[: min(8, lines - 2)]] == [["small", f"run-{n}"] for n in range(8)]
    assert len([row for row in rows if row]) == lines - 1
    assert all(len(row) <= columns for row in rows)
