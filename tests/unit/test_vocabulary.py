"""The vocabulary and the limits that JavaScript, CSS and Lua repeat, compared with Python's, which are the source."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from math import prod
from pathlib import Path
from typing import Any, Final, get_args

import pytest

from statushub.hub.api.batch import BATCH_IDS
from statushub.hub.api.events import OVERLOAD_RETRY_MS
from statushub.hub.api.matching import STREAM_CHANNELS
from statushub.hub.brokers.contract import FORMER_RUNS, SWEEP_GAP, TOMBSTONE_SECONDS
from statushub.hub.config import HEARTBEAT_SECONDS
from statushub.hub.http.query import WAIT_SECONDS_MAX
from statushub.hub.model.names import NAME_CHARACTERS
from statushub.hub.model.receipt import Refusal
from statushub.hub.model.retention import RETENTION_SECONDS
from statushub.hub.model.vocabulary import (
    CANCELLED,
    COMPLETE,
    CONTENT_DELTA,
    CONTENT_REMOVED,
    CONTENT_STATUS,
    CONTROL_TYPES,
    ENCODING_PROGRESS,
    ERROR,
    ERROR_TEXTS,
    EVENT_SOURCE_TYPES,
    JOB_STATUS,
    LIMIT,
    PHASES,
    STALLED,
    STATUS_UPDATE,
    TIMEOUT,
    TYPE_PHASES,
    VIDEO_STATUS,
    ContentStatus,
    Phase,
)
from statushub.hub.viewers.session import RETRY_MS

ROOT: Final = Path(__file__).parents[2]
LUA: Final = "hub/brokers/redis/functions.lua"


def words(text: str) -> list[str]:
    """The quoted words of a list, in order."""
    return re.findall(r"""["'](\w+)["']""", text)


def word_set(text: str) -> set[str]:
    """The quoted words of a list, whose order does not matter."""
    return set(words(text))


def pairs(text: str) -> dict[str, str]:
    """The entries of a `Map`."""
    return dict(re.findall(r'\["(\w+)", "(\w+)"\]', text))


def keys(text: str) -> set[str]:
    """The keys of an object."""
    return set(re.findall(r"(\w+): ", text))


def refusals(text: str) -> set[str]:
    """The refusals that Lua functions return instead of an offset."""
    return set(re.findall(r"return nil, '(\w+)'", text))


def number(text: str) -> float:
    """A product, such as `7 * 24`."""
    return prod(float(factor.replace("_", "")) for factor in text.split("*"))


Agreement = tuple[str, str, Callable[[str], Any], Any]

PHASE_NAMES: Final = {phase.value for phase in Phase}
CODES: Final = {STALLED, CANCELLED, TIMEOUT}

AGREEMENTS: Final[dict[str, Agreement]] = {
    "phases": ("web/dashboard/status.js", r"@typedef \{(.*?)\} Phase", word_set, PHASE_NAMES),
    "error texts": ("web/dashboard/status.js", r"ERROR_TEXTS = \[(.*?)\];", words, list(ERROR_TEXTS)),
    "the client's types": (
        "web/client/content.js",
        r"TYPES = \[(.*?)\];",
        word_set,
        {STATUS_UPDATE, ENCODING_PROGRESS, COMPLETE, ERROR},
    ),
    "the client's control types": ("web/client/sse.js", r"CONTROLS = \[(.*?)\];", word_set, CONTROL_TYPES | {LIMIT}),
    "the client's type of removals": ("web/client/content.js", r"REMOVED = (.*?);", words, [CONTENT_REMOVED]),
    "the client's type of deltas": ("web/client/content.js", r"DELTA = (.*?);", words, [CONTENT_DELTA]),
    "the client's phases of a status": (
        "web/client/content.js",
        r"PHASES = new Map\((.*?)\n\);",
        pairs,
        {status: phase for status, phase in PHASES.items() if phase != Phase.PROCESSING},
    ),
    "the client's phase of any other status": (
        "web/client/content.js",
        r"PHASES.get\(status\) \?\? (.*?);",
        words,
        [Phase.PROCESSING],
    ),
    "the client's phases": ("web/client/content.js", r"@typedef \{(.*?)\} Phase", word_set, PHASE_NAMES),
    "the client's pending content": (
        "web/client/content.js",
        r"processing_status === ([^?]+) \?",
        words,
        [Phase.PENDING],
    ),
    "the client's heartbeat": (
        "web/client/machine-state.js",
        r"HEARTBEAT_MS = (.*?);",
        number,
        HEARTBEAT_SECONDS * 1000,
    ),
    "the client's topics": ("web/client/topics.js", r"TOPICS_MAX = (.*?);", number, STREAM_CHANNELS),
    "the client's contents": ("web/client/transport.js", r"CONTENTS_MAX = (.*?);", number, BATCH_IDS),
    "the client's long poll": ("web/client/poll-region.js", r"WAIT_SECONDS = (.*?);", number, WAIT_SECONDS_MAX),
    "groups": ("web/dashboard/board.js", r"PHASES = \[(.*?)\];", word_set, PHASE_NAMES),
    "the page's own codes": ("web/dashboard/content-view.js", r"CODES = new Set\(\[(.*?)\]\);", word_set, CODES),
    "a name's length": ("web/dashboard/overview.js", r'maxlength: "(\d+)"', number, NAME_CHARACTERS),
    "refusals": (LUA, r"(.*)", refusals, set(Refusal)),
    "phases in Lua": (LUA, r"PHASES = \{(.*?)\}", word_set, PHASE_NAMES),
    "retention": (LUA, r"DEFAULT_RETENTION_MS = (.*?)\n", number, RETENTION_SECONDS * 1000),
    "the sweep's gap": (LUA, r"SWEEP_GAP_MS = (.*?)\n", number, SWEEP_GAP * 1000),
    "a tombstone's time": (LUA, r"TOMBSTONE_MS = (.*?)\n", number, TOMBSTONE_SECONDS * 1000),
    "former runs": (LUA, r"FORMER_RUNS = (.*?)\n", number, FORMER_RUNS),
}
"""What must agree: the file, an expression whose group has the words, a parser for them, and the expected value."""


def stated(agreement: Agreement, change: Callable[[str], str] = lambda text: text) -> Any:
    """The value in the file, after `change` is applied to its text."""
    file, expression, read, _ = agreement
    found = re.search(expression, (ROOT / file).read_text(encoding="utf-8"), re.DOTALL)
    assert found, f"{file} does not match {expression}"
    return read(change(found[1]))


@pytest.mark.parametrize("agreement", AGREEMENTS.values(), ids=list(AGREEMENTS))
def test_other_languages_agree(agreement: Agreement) -> None:
    """Each list and each limit equals Python's."""
    assert stated(agreement) == agreement[-1]


@pytest.mark.parametrize("agreement", AGREEMENTS.values(), ids=list(AGREEMENTS))
def test_a_disagreement_is_noticed(agreement: Agreement) -> None:
    """A change of any word or number makes the comparison fail."""
    expected = agreement[-1]
    parts = [r"\d+"] if isinstance(expected, int | float) else [*expected]
    if isinstance(expected, dict):
        parts += expected.values()
    for part in parts:
        assert stated(agreement, partial(re.sub, part, r"\g<0>1")) != expected


def test_the_client_pauses_before_it_polls() -> None:
    """It waits for an ordinary `retry` without polls, and polls until that of a full hub."""
    pause = stated(("web/client/machine.js", r"PAUSE_MAX_MS = (.*?);", number, None))
    assert RETRY_MS[1] < pause <= OVERLOAD_RETRY_MS[0]


def test_the_styles_know_every_phase() -> None:
    """The phases with a style equal those of the vocabulary."""
    styles = (ROOT / "web/dashboard/dashboard.css").read_text(encoding="utf-8")
    assert set(re.findall(r'data-phase="(\w+)"', styles)) == PHASE_NAMES | {"all"}


def test_a_stream_sends_the_control_types() -> None:
    """The control events that the encoder sends equal the reserved types."""
    encoder = (ROOT / "hub/wire/sse.py").read_text(encoding="utf-8")
    assert set(re.findall(r'_control\("(\w+)"', encoder)) == CONTROL_TYPES | {LIMIT}
    assert not CONTROL_TYPES & EVENT_SOURCE_TYPES


def test_the_vocabularies_are_complete() -> None:
    """Each vocabulary has a word for every phase; each of its words, and each type, has a phase."""
    assert set(CONTENT_STATUS.values()) == set(get_args(ContentStatus))
    for vocabulary in (CONTENT_STATUS, VIDEO_STATUS, JOB_STATUS):
        assert set(vocabulary) == set(Phase)
        assert set(vocabulary.values()) <= set(PHASES)
    assert all(phase.terminal == (type in (COMPLETE, ERROR)) for type, phase in TYPE_PHASES.items())
