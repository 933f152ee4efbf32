"""The steps and the log of a work, without a hub."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from statushub.hub.model.errors import Invalid
from statushub.hub.model.timestamp import timestamp
from statushub.producers.details import Details
from statushub.producers.steps import RUNNING_MAX, STEPS_MAX, Steps, StepState
from statushub.producers.work_log import LINE_CHARACTERS, LINES_MAX, LOG_BYTES, WorkLog
from tests.support.waiting import eventually

WEIGHTS = {"download": 1, "summarize": 5, "store": 4}


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def wait() -> None:
    """Return once the moment has changed that a state would name."""
    before = timestamp()
    eventually(lambda: timestamp() != before)


def states(steps: Steps) -> list[str]:
    return [step["state"] for step in steps.fields()["steps"]]


def test_the_progress_follows_from_the_weights() -> None:
    """A step that is done counts as its weight, one that runs as the part of it that is done."""
    steps = Steps(WEIGHTS)
    assert steps.fields()["progress"] == 0
    steps.begin("download")
    steps.end("download")
    steps.begin("summarize")
    steps.advance("summarize", 0.5)
    fields = steps.fields()
    assert fields["progress"] == 35
    assert (fields["step"], fields["step_index"], fields["total_steps"]) == ("summarize", 2, 3)


def test_each_step_has_a_state_a_start_and_an_end() -> None:
    """A pending step has neither, one that runs a start."""
    steps = Steps(WEIGHTS)
    steps.begin("download")
    steps.end("download")
    steps.begin("summarize")
    first, second, third = steps.fields()["steps"]
    assert (first["name"], first["state"]) == ("download", "completed")
    assert first["started_at"] <= first["ended_at"]
    assert (second["state"], second["ended_at"]) == ("processing", None)
    assert (third["state"], third["started_at"], third["ended_at"]) == ("pending", None, None)


def test_a_step_that_is_passed_over_is_skipped() -> None:
    """It counts as done, so that the progress of the rest is right."""
    steps = Steps(WEIGHTS)
    steps.begin("summarize")
    assert states(steps) == ["skipped", "processing", "pending"]
    assert steps.fields()["progress"] == 10


def test_steps_may_run_beside_each_other() -> None:
    """One that runs stays so when a later one begins; the later one is shown."""
    steps = Steps(WEIGHTS)
    steps.begin("download")
    steps.begin("summarize")
    steps.advance("summarize", 1)
    assert states(steps) == ["processing", "processing", "pending"]
    assert (steps.fields()["progress"], steps.fields()["step"]) == (50, "summarize")


def test_progress_never_decreases_and_stays_below_100() -> None:
    """A step that is repeated, or goes back, does not move the bar back."""
    steps = Steps({"a": 1, "b": 1})
    steps.begin("a")
    steps.advance("a", 0.8)
    assert steps.fields()["progress"] == 40
    steps.begin("a")
    steps.advance("a", 0.1)
    assert steps.fields()["progress"] == 40
    steps.end("a")
    steps.begin("b")
    steps.end("b")
    assert steps.fields()["progress"] == RUNNING_MAX


@pytest.mark.parametrize("fraction", [float("nan"), -1.0, -float("inf"), None, "half", [1], 10**400])
def test_a_fraction_that_is_none_is_ignored(fraction: Any) -> None:
    """Division by a wrong total harms no report."""
    steps = Steps(WEIGHTS)
    steps.begin("download")
    steps.advance("download", 0.5)
    steps.advance("download", fraction)
    assert steps.fields()["progress"] == 5


def test_the_time_left_follows_from_the_speed() -> None:
    """Once a part is done, the rest takes as long in proportion to its weight."""
    clock = Clock()
    steps = Steps(WEIGHTS, clock=clock)
    steps.begin("summarize")
    assert steps.fields()["remaining_seconds"] is None
    clock.now = 10.0
    steps.advance("summarize", 0.5)
    fields = steps.fields()
    assert fields["remaining_seconds"] == 26
    assert fields["estimated_completion"].endswith("Z")


def test_the_time_left_has_a_date_however_slow() -> None:
    """A pace of millennia gives no error."""
    clock = Clock()
    steps = Steps({"a": 1e-9, "b": 1e9}, clock=clock)
    steps.begin("a")
    steps.fields()
    clock.now = 1e6
    steps.advance("a", 0.5)
    assert steps.fields()["estimated_completion"] > "2100"


@pytest.mark.parametrize(
    ("status", "wanted", "progress"),
    [
        ("complete", ["completed", "completed", "skipped"], 100),
        ("READY", ["completed", "completed", "skipped"], 100),
        ("error", ["completed", "failed", "pending"], 35),
        ("generating", ["completed", "processing", "pending"], 35),
    ],
)
def test_an_end_of_the_work_ends_its_steps(status: str, wanted: list[str], progress: int) -> None:
    """By its status, in any vocabulary; nothing is left afterwards."""
    steps = Steps(WEIGHTS)
    steps.begin("download")
    steps.end("download")
    steps.begin("summarize")
    steps.advance("summarize", 0.5)
    fields = Details(steps).fields(status)
    assert [step["state"] for step in fields["steps"]] == wanted
    assert fields["progress"] == progress
    assert fields["remaining_seconds"] == (0 if progress == 100 else None)


@pytest.mark.parametrize(
    "weights",
    [
        {},
        {"a": 1e308, "b": 1e308},
        {"a": 10**400},
        {"": 1},
        {"x" * 101: 1},
        {1: 1},
        {"a": 0},
        {"a": -1},
        {"a": True},
        {"a": "1"},
        {"a": float("nan")},
        {"a": float("inf")},
        {f"s{number}": 1 for number in range(STEPS_MAX + 1)},
        ["a", "b"],
        3,
    ],
    ids=lambda value: str(value)[:20],
)
def test_invalid_steps_are_refused(weights: Any) -> None:
    """The error names the field."""
    with pytest.raises(Invalid) as caught:
        Steps(weights)
    assert caught.value.field == "steps"


def test_details_tell_whether_they_have_changed() -> None:
    """Nothing is repeated because the estimated moment moves by a millisecond."""
    clock = Clock()
    steps = Steps(WEIGHTS, clock=clock)
    details = Details(steps)
    steps.begin("summarize")
    details.fields("generating")
    clock.now = 10.0
    steps.advance("summarize", 0.5)
    seen, moment = [], {"estimated_completion"}
    changes: list[Callable[[], None]] = [
        wait,
        wait,
        wait,
        lambda: steps.begin("store"),
    ]
    for change in changes:
        seen.append({*details.changes()} - moment)
        change()
    seen.append({*details.changes()} - moment)
    assert moment <= details.fields("generating").keys()
    assert seen == [{"progress", "remaining_seconds"}, set(), set(), set(), {"step", "step_index", "steps"}]


def test_a_log_drops_its_older_half() -> None:
    """By number, and by size; the latest line is always there."""
    log = WorkLog()
    for number in range(LINES_MAX + 20):
        log.add(f"line {number}", "INFO")
    lines, half = log.lines(), LINES_MAX // 2
    assert (len(lines), lines[0]["message"], lines[-1]["message"]) == (
        half + 19,
        f"line {half + 1}",
        f"line {LINES_MAX + 19}",
    )
    assert lines[0]["level"] == "info"
    assert lines[0]["at"].endswith("Z")
    for _ in range(LINES_MAX):
        log.add("\x00" * (LINE_CHARACTERS + 1), "error")
    assert len(msgspec.json.encode(log.lines())) <= LOG_BYTES
    assert log.lines()[-1]["message"] == "\x00" * LINE_CHARACTERS


def test_a_line_may_be_any_object() -> None:
    """What cannot be shown as text is shown by its type."""

    class Broken:
        def __str__(self) -> str:
            raise ValueError

    log = WorkLog()
    log.add(Broken(), Broken())
    log.add("half a pair: \ud800", "info")
    assert log.lines()[0]["message"] == "<Broken>"
    assert log.lines()[1]["message"] == "half a pair: ?"


def test_every_state_of_a_step_is_a_phase_or_skipped() -> None:
    """Pages that know the phases know the states."""
    assert {*StepState} == {"pending", "processing", "completed", "failed", "skipped"}
