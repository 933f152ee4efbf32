"""The words of other systems for a status, and the suggestion for an unknown one."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from statushub.hub.model.errors import Invalid
from statushub.hub.model.publication import Publication, publication
from statushub.hub.model.vocabulary import (
    CONTENT_STATUS,
    PHASES,
    PROCESSING_PHASES,
    WORD_CHARACTERS,
    WORDS,
    Phase,
    advice,
    meaning_of,
    phase_of,
)

CONCEPTS = Path(__file__).parents[2] / "docs/concepts.md"

SYSTEMS = {
    "Celery": {
        "PENDING": "pending",
        "RECEIVED": "pending",
        "STARTED": "processing",
        "PROGRESS": "processing",
        "RETRY": "pending",
        "SUCCESS": "completed",
        "FAILURE": "failed",
        "REVOKED": "cancelled",
        "REJECTED": "failed",
        "IGNORED": "completed",
    },
    "RQ": {
        "queued": "pending",
        "started": "processing",
        "deferred": "pending",
        "scheduled": "pending",
        "finished": "completed",
        "failed": "failed",
        "stopped": "cancelled",
        "canceled": "cancelled",
    },
    "Airflow": {
        "queued": "pending",
        "running": "processing",
        "success": "completed",
        "up_for_retry": "pending",
        "up_for_reschedule": "pending",
        "upstream_failed": "failed",
        "skipped": "completed",
        "restarting": "processing",
    },
    "Kubernetes": {
        "Pending": "pending",
        "Running": "processing",
        "Succeeded": "completed",
        "Failed": "failed",
        "Complete": "completed",
        "Suspended": "pending",
        "OOMKilled": "failed",
        "Evicted": "failed",
    },
    "GitHub": {
        "in_progress": "processing",
        "completed": "completed",
        "requested": "pending",
        "waiting": "pending",
        "cancelled": "cancelled",
        "timed_out": "timeout",
        "action_required": "pending",
        "neutral": "completed",
        "startup_failure": "failed",
    },
    "Prefect": {"SCHEDULED": "pending", "CANCELLING": "processing", "CRASHED": "failed", "AwaitingRetry": "pending"},
    "Temporal": {"TERMINATED": "cancelled", "TIMED_OUT": "timeout", "CONTINUED_AS_NEW": "processing"},
    "BullMQ": {"active": "processing", "delayed": "pending", "waiting-children": "pending", "prioritized": "pending"},
    "Step Functions": {"ABORTED": "cancelled", "SUCCEEDED": "completed"},
    "Slurm": {"TIMEOUT": "timeout", "NODE_FAIL": "failed", "OUT_OF_MEMORY": "failed", "PREEMPTED": "failed"},
    "people": {"in progress": "processing", "Done": "completed", "OK": "completed", "In-Progress": "processing"},
}
"""What each system's own spelling means: a phase, or the `error_code` of a failure."""

CASES = [(system, word, means) for system, words in SYSTEMS.items() for word, means in words.items()]


def made(**data: Any) -> tuple[Publication, dict[str, Any]]:
    """A publication of `data`, and the data as stored."""
    offered = publication(channel="c", content_id="x", data=data)
    return offered, json.loads(offered.data)


@pytest.mark.parametrize(("system", "word", "means"), CASES, ids=[f"{system}-{word}" for system, word, _ in CASES])
def test_a_word_of_another_system_is_understood(system: str, word: str, means: str) -> None:
    """In the spelling of its system it has a phase, and is stored in the content vocabulary."""
    offered, stored = made(status=word)
    phase = Phase(means) if means in set(Phase) else Phase.FAILED
    assert (offered.phase, stored["status"]) == (phase, CONTENT_STATUS[phase])
    assert phase_of(stored) is phase
    assert stored.get("error_code") == (None if means == phase.value else means)


@pytest.mark.parametrize("word", WORDS)
def test_a_word_is_understood_in_each_spelling(word: str) -> None:
    """Case and separators do not matter."""
    spellings = {
        word.upper(),
        word.title(),
        word.replace("_", "-"),
        word.replace("_", " "),
        word.title().replace("_", ""),
    }
    assert {meaning_of(spelling) for spelling in spellings} == {WORDS[word]}


@pytest.mark.parametrize(("code", "reason"), [("cancelled", "cancelled"), ("timeout", "time limit")])
def test_a_cancelled_work_has_a_code_and_a_reason(code: str, reason: str) -> None:
    """A page can tell a cancellation and a time limit from a failure."""
    _, stored = made(status=code)
    assert stored["error_code"] == code
    assert reason in stored["error_message"]


def test_a_producer_s_own_code_and_reason_are_kept() -> None:
    """They say more than the word."""
    _, stored = made(status="cancelled", error_code="user_left", error="Closed by its author")
    assert (stored["error_code"], stored["error_message"]) == ("user_left", "Closed by its author")
    _, stored = made(status="failed", error_code="cancelled")
    assert "cancelled" in stored["error_message"]
    assert "error_code" not in made(status="failure")[1]


@pytest.mark.parametrize(("status", "detail"), [("cancelled", "revoked"), ("SUCCESS", "done"), ("failure", "FAILED")])
def test_a_final_detail_in_other_words_is_stored_as_the_phase(status: str, detail: str) -> None:
    """`processing_status` of a content that has ended is `completed` or `failed`."""
    offered, stored = made(status=status, processing_status=detail)
    assert stored["processing_status"] == offered.phase.value


def test_a_final_detail_that_contradicts_the_status_is_refused() -> None:
    """A word of the other ending is a mistake, not a detail."""
    with pytest.raises(Invalid, match="contradicts") as caught:
        made(status="SUCCESS", processing_status="cancelled")
    assert caught.value.field == "data.processing_status"


@pytest.mark.parametrize(
    ("word", "suggestion"),
    [
        ("runing", "'running'"),
        ("sucess", "'success'"),
        ("CANCELD", "'canceled'"),
        ("in_progres", "'in_progress'"),
        ("generatin", "'generating'"),
        ("complet", "'complete'"),
        ("ready", "'READY'"),
    ],
)
def test_an_unknown_status_gets_a_suggestion(word: str, suggestion: str) -> None:
    """The error names the field, the word, the statuses, and the known word with the most similar spelling."""
    with pytest.raises(Invalid) as caught:
        made(status=word)
    assert caught.value.field == "data.status"
    assert caught.value.message.startswith(f"data.status is {word!r}, and must be one of idle, generating, ")
    assert caught.value.message.endswith(f" Did you mean {suggestion}?")


@pytest.mark.parametrize("word", ["dancing", "", 7, None, [], "x" * (WORD_CHARACTERS + 1), "running" * 10_000])
def test_a_status_that_is_like_no_other_gets_no_suggestion(word: object) -> None:
    """Neither does a word so long that comparing it would take time."""
    assert advice(word) == ""
    assert meaning_of(word) is None


def test_a_detail_given_as_status_is_recognized() -> None:
    """The error says where it belongs."""
    with pytest.raises(Invalid, match=r"'uploading' is a processing_status") as caught:
        made(status="uploading")
    assert caught.value.field == "data.status"


def test_no_word_has_two_meanings() -> None:
    """A word of another system is in one group only, and never one of the hub's own with another meaning."""
    spellings = sorted(re.sub("[-_ ]", "", word).lower() for word in WORDS)
    assert all(before != after for before, after in pairwise(spellings))
    own = {**PROCESSING_PHASES, **PHASES}
    assert all(WORDS[word].phase is own[word] for word in WORDS if word in own)


def test_the_page_lists_every_word() -> None:
    """The table in docs/concepts.md has each word in the row of its meaning, and no other."""
    table = CONCEPTS.read_text().partition("| words of other systems |")[2]
    rows = re.findall(r"^\| (\w+)(?:, with `error_code` `(\w+)`)? \| (`.*`) \|$", table, re.MULTILINE)
    listed = {word: (phase, code or None) for phase, code, words in rows for word in re.findall(r"`(\w+)`", words)}
    assert listed == {word: (meaning.phase.value, meaning.error_code) for word, meaning in WORDS.items()}
