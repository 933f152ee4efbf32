"""What jobs compute without a broker: pauses, times, progress, and what may be declared."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from statushub.hub.model.errors import ConfigError, Invalid
from statushub.hub.model.vocabulary import Phase
from statushub.producers.jobs.definition import job
from statushub.producers.jobs.item import Item
from statushub.producers.jobs.ledger import Counts
from statushub.producers.jobs.loading import load_jobs
from statushub.producers.jobs.progress import Progress, ended
from statushub.producers.jobs.retry import Retry
from statushub.producers.jobs.schedule import Schedule
from statushub.producers.jobs.start import BATCH_BYTES, BATCH_EVENTS, batches, new_job
from statushub.producers.jobs.state import ItemState


def test_pauses_double_up_to_the_longest() -> None:
    """Each pause is at least what was declared, and by chance up to half as long again."""
    retry = Retry(first=60, longest=500)
    assert [retry.delay(failures, min) for failures in (1, 2, 3, 4, 5, 10_000)] == [60, 120, 240, 480, 500, 500]
    assert retry.delay(1, max) == 90


@pytest.mark.parametrize(
    ("cron", "zone", "after", "expected"),
    [
        ("0 2 * * *", "Asia/Seoul", "2026-11-30T16:59:59+00:00", "2026-11-30T17:00:00+00:00"),
        ("0 2 * * *", "Asia/Seoul", "2026-11-30T17:00:00+00:00", "2026-12-01T17:00:00+00:00"),
        # 02:30 does not exist on this day in Berlin; it runs right after the hour that is left out.
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00+00:00", "2026-03-29T01:00:00+00:00"),
        # 02:30 comes twice; it runs the first time.
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00+00:00", "2026-10-25T00:30:00+00:00"),
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00+00:00", "2026-10-26T01:30:00+00:00"),
        ("0 0 29 2 *", "UTC", "2026-11-30T00:00:00+00:00", "2028-02-29T00:00:00+00:00"),
    ],
)
def test_a_schedule_has_the_times_of_its_zone(cron: str, zone: str, after: str, expected: str) -> None:
    """Also where clocks are changed."""
    assert Schedule(cron, zone).next(datetime.fromisoformat(after)) == datetime.fromisoformat(expected)


def test_the_latest_missed_time_is_found() -> None:
    """Of many times up to now it is the last, now included; None where none has come."""
    hourly = Schedule("0 * * * *")
    noon = datetime.fromisoformat("2026-11-30T12:00:00+00:00")
    assert hourly.latest(noon - timedelta(days=3), noon) == noon
    assert hourly.latest(noon, noon + timedelta(minutes=59)) is None


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("name", {"name": "a/b"}),
        ("name", {"name": "x" * 41}),
        ("steps", {"steps": {"a": 0}}),
        ("concurrency", {"concurrency": 0}),
        ("pace", {"pace": -1}),
        ("timeout", {"timeout": 0}),
        ("priority", {"priority": "urgent"}),
        ("group", {"group": "*"}),
        ("together", {"together": 2}),
        ("together", {"group": "g", "together": 0}),
        ("together", {"group": "g", "together": 2, "pace": 1}),
        ("missed", {"missed": "later"}),
        ("retry", {"retry": Retry(tries=0)}),
        ("retry", {"retry": Retry(first=2, longest=1)}),
        ("schedule", {"schedule": "* * * *"}),
        ("schedule", {"schedule": "61 * * * *"}),
        ("schedule", {"schedule": "0 0 30 2 *"}),
        ("timezone", {"schedule": "0 2 * * *", "timezone": "Mars/Olympus"}),
        ("items", {"items": list}),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(field: str, options: dict[str, Any]) -> None:
    """A declaration with an error names the argument."""

    async def count(item: Item) -> None: ...

    with pytest.raises(Invalid) as refused:
        job(**options)(count)
    assert refused.value.field == field


def test_a_job_with_a_pace_has_a_group_of_its_own() -> None:
    """So that its pace holds over all of its jobs; a declared group is kept."""

    async def count(item: Item) -> None: ...

    assert [job(**it)(count).group for it in ({}, {"pace": 1}, {"pace": 1, "group": "api"})] == [None, "count", "api"]


def item(number: int, phase: Phase, *finished: str) -> ItemState:
    return ItemState(number=number, phase=phase, input=None, tries=1, finished=finished, retry_at=0)


def test_progress_is_weighted_by_steps() -> None:
    """An item that is over counts in every step, whether or not it has done it."""
    progress = Progress({"load": 1, "count": 3}, 4, lambda: 0.0)
    progress.load([item(1, Phase.FAILED), item(2, Phase.PROCESSING, "load"), item(3, Phase.PENDING)])
    said = progress.fields(Counts(0, 1))
    assert [step["current"] for step in said["steps"]] == [2, 1]
    assert said["progress"] == 31
    progress.step("count")
    progress.end(["load", "count"])
    assert [step["current"] for step in progress.fields(Counts(1, 1))["steps"]] == [2, 2]


def test_progress_ends_only_with_the_job() -> None:
    """All items over are 99 % until the job itself has ended."""
    assert Progress({}, 3, lambda: 0.0).fields(Counts(3, 0))["progress"] == 99


@pytest.mark.parametrize(
    ("counts", "partial", "phase"),
    [
        (Counts(0, 0), False, Phase.COMPLETED),
        (Counts(2, 1), True, Phase.COMPLETED),
        (Counts(2, 1), False, Phase.FAILED),
        (Counts(0, 3), True, Phase.FAILED),
    ],
)
def test_the_end_follows_from_the_counts(counts: Counts, partial: bool, phase: Phase) -> None:
    """With `partial` one success is enough."""
    assert ended(counts, partial=partial) is phase


def test_the_job_is_published_last_in_bounded_batches() -> None:
    """Workers see a job only when all of its items are there, and no request is too large."""
    job_id, publications = new_job("count", ["x" * 10_000] * 700)
    parts = list(batches(publications))
    assert [said for part in parts for said in part] == publications
    assert (publications[-1].channel, publications[-1].content_id) == ("jobs", job_id)
    assert all(len(part) <= BATCH_EVENTS and sum(len(it.data) for it in part) <= BATCH_BYTES for part in parts)


def test_modules_are_checked_where_they_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that is missing, fails or declares nothing is an error of the setting."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path])
    (tmp_path / "empty_jobs.py").write_text("x = 1\n")
    (tmp_path / "broken_jobs.py").write_text("1 / 0\n")
    declared = "from statushub.jobs import job\n@job()\nasync def same(item): ...\n"
    for name in ("first_jobs", "second_jobs"):
        (tmp_path / f"{name}.py").write_text(declared)
    for modules, said in (
        (["no_such_jobs"], "No module named"),
        (["empty_jobs"], "declares no job"),
        (["broken_jobs"], "division by zero"),
        (["first_jobs", "second_jobs"], "two jobs are named 'same'"),
    ):
        with pytest.raises(ConfigError, match=said):
            load_jobs(modules)
    assert [it.name for it in load_jobs(["first_jobs"])] == ["same"]
