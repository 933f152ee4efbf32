"""Parts of `statushub watch`: the board, the selection, the screen and the keys."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from statushub.hub.cli.board import Board, row
from statushub.hub.cli.duration import CHARACTERS, duration
from statushub.hub.cli.keys import Key, keys_in
from statushub.hub.cli.screen import Screen
from statushub.hub.cli.selection import Selection
from statushub.hub.model.vocabulary import Phase
from statushub.producers.following.change import Change

HEIGHT = 6
READY = Change(type="ready")
RESET = Change(type="reset")


def status_of(content_id: str, channel: str = "films", **data: object) -> Change:
    status = {"content_id": content_id, "channel_id": channel, **data}
    return Change(type="content_status_update", channel=channel, content_id=content_id, data=status)


def removal_of(content_id: str) -> Change:
    return Change(type="content_removed", channel="films", content_id=content_id)


def shown(messages: list[Change], *, width: int = 80, height: int = HEIGHT, keys: tuple[Key, ...] = ()) -> list[str]:
    """The lines that a terminal shows at the end."""
    console = Console(file=io.StringIO(), force_terminal=True, width=width, height=height, color_system=None)
    board = Board()
    with Screen(console, board, "films") as screen:
        for message in messages:
            screen.show(message, board.apply(message))
        screen.draw()
        for key in keys:
            screen.press(key)
        console.file = last = io.StringIO()
    return [line for line in last.getvalue().rpartition("\x1b[2K")[2].splitlines() if line.strip("\x1b[?25h ")]


def test_what_runs_is_shown_first() -> None:
    """Then failures, then what waits, then what is done; the last line counts all of them."""
    messages = [
        status_of("done", status="complete"),
        status_of("queued", status="idle", processing_status="pending"),
        status_of("broken", status="error", error_message="disk full"),
        status_of("running", status="generating"),
    ]
    assert [line.split()[0] for line in shown(messages)] == ["running", "broken", "queued", "done", "1"]
    assert shown(messages)[-1] == "1 running · 1 queued · 1 failed · 1 complete"


def test_a_row_keeps_its_place_while_it_runs() -> None:
    """An update of one content does not move the others."""
    messages = [status_of(name, status="generating") for name in ("one", "two", "three", "one", "two")]
    assert [line.split()[0] for line in shown(messages)][:3] == ["one", "two", "three"]


def test_a_row_has_step_progress_and_time_left_at_80_columns() -> None:
    """A longer name is cut in its middle, and a longer step at its end."""
    name = "import-of-the-customers-of-2026-part-0007"
    messages = [
        status_of(name, status="generating", progress=40, step="transcoding 720p", remaining_seconds=750),
        status_of("long", status="generating", progress=7.4, step="s" * 80, remaining_seconds=5),
        status_of("broken", status="error", error_message="e" * 100),
    ]
    first, second, third, _ = shown(messages)
    assert first == f"import-of-th…6-part-0007 ━━━━──────  40% transcoding 720p{' ' * 16}12m 30s"
    assert second.endswith(f" ━─────────   7% {'s' * 30}…      5s")
    assert third == f"broken{' ' * 19}failed: {'e' * 46}…"
    assert [len(line) for line in (first, second, third)] == [80, 80, 80]


@pytest.mark.parametrize("width", [20, 40, 79, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    """Whatever the width, and with characters of two cells."""
    messages = [
        status_of("a" * 90, status="generating", progress=40, step="b" * 90, remaining_seconds=750),
        status_of("港" * 60, status="error", error_message="港" * 90),
    ]
    lines = shown(messages, width=width)
    assert len(lines) == 3
    assert all(len(line) + line.count("港") <= width for line in lines)


def test_the_time_left_is_counted_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes on while no event comes, down to `overdue`."""
    message = status_of("clip", status="generating", remaining_seconds=75)
    ticks = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: ticks[0])
    made = [message, READY]
    board = Board()
    for each in made:
        board.apply(each)
    console = Console(file=io.StringIO(), force_terminal=True, width=80, height=HEIGHT, color_system=None)
    seen = []
    with Screen(console, board, "films") as screen:
        for ticks[0] in (0.0, 30.0, 80.0):
            console.file = drawn = io.StringIO()
            screen.draw()
            seen.append(drawn.getvalue())
    assert ["1m 15s" in seen[0], "45s" in seen[1], "overdue" in seen[2]] == [True, True, True]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59.4, "59s"), (60, "1m 00s"), (3_599, "59m 59s"), (3_600, "1h 00m"), (90_000, "1d 01h")],
)
def test_a_duration_has_two_units(seconds: float, text: str) -> None:
    """Seconds and minutes, minutes and hours, hours and days."""
    assert duration(seconds) == text


@pytest.mark.parametrize("seconds", [1e9, 1e300, float("inf"), 8_639_999, 3599.9])
def test_a_duration_fits_its_column(seconds: float) -> None:
    """A producer may say any number."""
    assert len(duration(seconds)) <= CHARACTERS


def test_keys_scroll() -> None:
    """The last line says which rows are shown; no key scrolls beyond the ends."""
    messages = [status_of(f"clip-{number}", status="generating") for number in range(10)]

    def first_and_summary(*keys: Key) -> tuple[str, str]:
        lines = shown(messages, keys=keys)
        return lines[0].split()[0], lines[-1].partition("   ")[2]

    assert first_and_summary() == ("clip-0", "rows 1 to 4 of 10")
    assert first_and_summary(Key.DOWN) == ("clip-1", "rows 2 to 5 of 10")
    assert first_and_summary(Key.PAGE_DOWN) == ("clip-4", "rows 5 to 8 of 10")
    assert first_and_summary(Key.END) == ("clip-6", "rows 7 to 10 of 10")
    assert first_and_summary(Key.END, Key.UP) == ("clip-5", "rows 6 to 9 of 10")
    assert first_and_summary(Key.PAGE_DOWN, Key.HOME, Key.PAGE_UP) == ("clip-0", "rows 1 to 4 of 10")


def test_keys_are_read_from_what_terminals_send() -> None:
    """Sequences and letters that are no known key are skipped."""
    assert list(keys_in("\x1b[A\x1bOBx\x1b[5~\x1b[Zq")) == [Key.UP, Key.DOWN, Key.PAGE_UP, Key.QUIT]


def test_a_reset_clears_the_table() -> None:
    """Only contents of the new state are shown."""
    picture = shown([status_of("old", status="generating"), RESET, status_of("new", status="idle")])
    assert [line.split()[0] for line in picture] == ["new", "1"]


def test_a_removed_content_disappears() -> None:
    """It is neither shown nor waited for."""
    board = Board()
    board.apply(status_of("old", status="generating"))
    board.apply(status_of("clip", status="complete"))
    board.apply(READY)
    assert not board.done
    board.apply(removal_of("old"))
    assert (board.done, [row.title for row in board.rows()]) == (True, ["clip"])


def test_a_board_is_done_once_something_is_there() -> None:
    """An empty channel is not done."""
    board = Board()
    board.apply(READY)
    assert not board.done
    board.apply(status_of("clip", status="complete"))
    assert board.done


def test_a_board_waits_for_what_is_wanted() -> None:
    """Others may be missing."""
    board = Board(["one", "two"])
    for message in (READY, status_of("one", status="complete")):
        board.apply(message)
    assert (board.done, board.missing) == (False, ["two"])
    board.apply(status_of("two", status="error"))
    assert (board.done, board.missing, board.failed) == (True, [], ["two"])


def taken(selection: Selection, *messages: Change) -> list[str]:
    """The contents and control events that the selection takes of these messages."""
    return [m.content_id or m.type for m in messages if selection.takes(m)]


def test_a_selection_takes_the_contents_that_are_named() -> None:
    """Control events belong to every selection."""
    messages = (status_of("one"), status_of("two"), READY)
    assert taken(Selection(["two"], new=False), *messages) == ["two", "ready"]
    assert taken(Selection([], new=False), *messages) == ["one", "two", "ready"]


def test_a_selection_of_what_is_new_skips_the_first_state() -> None:
    """The whole state after a reset holds it again; what was published meanwhile is new."""
    old, other = status_of("old", timestamp="1"), status_of("other", timestamp="1")
    selection = Selection([], new=True)
    assert taken(selection, old, other, READY, status_of("other", timestamp="1")) == ["ready", "other"]
    late = status_of("late", timestamp="3")
    assert taken(selection, RESET, old, other, late, READY) == ["reset", "other", "late", "ready"]


def test_a_board_is_not_done_while_a_content_is_pending() -> None:
    """The board is not done before `ready`, either."""
    board = Board()
    assert not board.done
    board.apply(status_of("clip", status="idle", processing_status="pending"))
    board.apply(READY)
    assert not board.done


def test_a_reset_clears_failures() -> None:
    """The board is not done until the next `ready`."""
    board = Board()
    board.apply(READY)
    board.apply(status_of("clip", status="error"))
    assert board.done
    assert board.failed == ["clip"]
    board.apply(RESET)
    assert (board.done, board.failed) == (False, [])


@pytest.mark.parametrize("data", [{}, {"status": 7, "progress": "half", "title": None, "remaining_seconds": True}])
def test_fields_of_a_wrong_type_are_ignored(data: dict[str, object]) -> None:
    """Any producer may have written them."""
    nonsense = row("clip", data)
    assert (nonsense.title, nonsense.status, nonsense.detail, nonsense.progress) == ("clip", "", "", None)
    assert nonsense.phase is Phase.PROCESSING


def test_a_channel_is_a_column_where_there_are_several() -> None:
    """And is none as soon as there is one."""
    messages = [
        status_of("clip", "films/new", status="generating", progress=40, step="transcoding 720p", remaining_seconds=75),
        status_of("broken", "drafts", status="error", error_message="disk full"),
    ]
    first, second, _ = shown(messages)
    assert first == f"films/new    clip{' ' * 20} ━━━━──────  40% transcoding 720p    1m 15s"
    assert second.rstrip() == f"drafts       broken{' ' * 18} failed: disk full"
    first, _ = shown([*messages, removal_of("broken")])
    assert first.startswith("clip ")


def fifty(*channels: str) -> list[Change]:
    """Contents of which three run, two have failed, and the others wait or are done."""
    running = [
        status_of(
            f"run-{n}", channels[n % len(channels)], status="generating", progress=10 * n, step="transcoding 1080p"
        )
        for n in range(3)
    ]
    failed = [status_of(f"broken-{n}", channels[0], status="error", error_message="disk full") for n in range(2)]
    queued = [status_of(f"wait-{n}", channels[0], status="idle", processing_status="pending") for n in range(30)]
    done = [status_of(f"done-{n}", channels[-1], status="complete") for n in range(15)]
    return [*queued, *done, *failed, *running]


@pytest.mark.parametrize("channels", [("films",), ("films", "drafts")], ids=["one channel", "two channels"])
@pytest.mark.parametrize(
    ("width", "height", "summary"),
    [
        (80, 24, "3 running · 30 queued · 2 failed · 15 complete   rows 1 to 22 of 50"),
        (60, 16, "3 run 30 queue 2 fail 15 done 1-14/50"),
        (40, 10, "3 run 30 queue 2 fail 15 done 1-8/50"),
        (30, 10, "3 run 30 queue 2 fail 1-8/50"),
    ],
)
def test_fifty_contents_fit_a_small_terminal(width: int, height: int, summary: str, channels: tuple[str, ...]) -> None:
    """What runs is on top with its step, and the last line says how many rows there are, whatever the width."""
    lines = shown(fifty(*channels), width=width, height=height)
    assert len(lines) == height - 1
    assert all(len(line) <= width for line in lines)
    column = 1 if len(channels) == 2 else 0
    assert [line.split()[column] for line in lines[:5]] == ["run-0", "run-1", "run-2", "broken-1", "broken-0"]
    assert [line.split()[0] for line in lines[:3]] == ([*channels, channels[0]] if column else lines_names(lines[:3]))
    if width >= 40:
        assert all("transcod" in line for line in lines[:3])
    assert " 20% " in lines[2]
    assert lines[-1] == summary


def lines_names(lines: list[str]) -> list[str]:
    return [line.split()[0] for line in lines]


def test_each_source_is_reset_and_ready_by_itself() -> None:
    """A reset of one stream clears what that stream told last."""
    board = Board(sources=2)
    board.apply(status_of("one", "a", status="complete"), 0)
    board.apply(status_of("two", "b", status="complete"), 1)
    board.apply(READY, 0)
    assert not board.ready
    board.apply(READY, 1)
    assert board.done
    assert board.channels == 2
    board.apply(RESET, 1)
    assert (board.ready, [row.title for row in board.rows()], board.channels) == (False, ["one"], 1)
    board.apply(READY, 1)
    assert board.done
