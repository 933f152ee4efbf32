"""Where jobs, their items and their schedules are, and what the names of jobs may be."""

from __future__ import annotations

import re
import secrets
import time
from typing import Final

from statushub.hub.model.errors import Invalid

JOBS: Final = "jobs"
"""The channel whose contents are the jobs. Those of one job's items begin with it."""

SCHEDULES: Final = "job-schedules"
"""The channel whose contents say when each schedule has run last. It is not below `jobs/`, where items are."""

TURNS: Final = "job-turns"
"""The channel whose contents say which job of a group was let begin last."""

JOB_CHARACTERS: Final = 40
"""Longest name of a job: with a time and a random part it is the id of one, and leaves room for the number of an item
within the 128 characters of a content's name."""

_NAME: Final = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_.-]{{0,{JOB_CHARACTERS - 1}}}")


def check_job_name(value: object, field: str = "name") -> str:
    """Return `value` if it is a legal name of a job or a group; else raise `Invalid` naming `field`."""
    if not isinstance(value, str) or _NAME.fullmatch(value) is None:
        raise Invalid(
            f"{field} must be 1 to {JOB_CHARACTERS} of the characters A-Z a-z 0-9 _ . - and begin with a letter or a "
            "digit",
            field=field,
        )
    return value


def new_job_id(name: str) -> str:
    """The id of a job that is started now."""
    return f"{name}_{time.time_ns() // 1_000_000}_{secrets.token_hex(4)}"


def items_channel(job_id: str) -> str:
    """The channel of a job's items."""
    return f"{JOBS}/{job_id}"


def item_id(job_id: str, number: int) -> str:
    """The content of an item; `number` counts from 1."""
    return f"{job_id}/{number}"


def schedule_id(name: str) -> str:
    """The content that says when the schedule of a job has run last."""
    return f"schedule:{name}"


def turn_id(group: str) -> str:
    """The content that says which job of a group was let begin last."""
    return f"turn:{group}"
