"""Values as programs have them. Each in a process of its own, which must work on whatever it reports."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.live import LiveHub, live_hub
from tests.support.script import held, ran


@pytest.fixture(scope="module")
def hub() -> Iterator[LiveHub]:
    with live_hub() as hub:
        yield hub


REPORT = """
import sys, statushub
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import Path
class Mute:
    def __str__(self):
        raise RuntimeError("mute")
class Color(Enum):
    RED = "red"
loop = []
loop.append(loop)
with statushub.work(sys.argv[1], channel="jobs") as work:
    work.update(value={value})
    work.update(after=True)
print("worked")
"""

VALUES: dict[str, Any] = {
    "Decimal('0.25')": 0.25,
    "Decimal('3')": 3,
    "Decimal('NaN')": None,
    "Fraction(1, 4)": 0.25,
    "float('nan')": None,
    "float('inf')": None,
    "2**53": 2.0**53,
    "10**20": 1e20,
    "Path('caf\\udce9.mp4')": "caf?.mp4",
    "'caf\\udce9.mp4'": "caf?.mp4",
    "'half \\ud83d'": "half ?",
    "b'caf\\xe9'": "caf\N{REPLACEMENT CHARACTER}",
    "Mute()": "<Mute>",
    "[Mute(), 1]": ["<Mute>", 1],
    "Color.RED": "red",
    "datetime(2025, 7, 31, 13)": "2025-07-31T13:00:00",
    "timedelta(minutes=1)": 60,
    "{'a': {1, }, 2: None}": {"a": [1], "2": None},
    "(1, 2)": [1, 2],
}


@pytest.mark.parametrize("value", VALUES)
def test_a_value_is_reported_as_json_has_it(hub: LiveHub, value: str) -> None:
    """Numbers are numbers, texts valid, everything else its text; the work goes on and is complete."""
    name = f"value {list(VALUES).index(value)}"
    ended = ran(REPORT.replace("{value}", value), hub.base_url, name)
    assert (ended.code, ended.out, ended.err) == (0, "worked\n", "")
    status = held(hub.base_url)[name]
    assert (status["status"], status["after"], status["value"]) == ("complete", True, VALUES[value])


def test_a_value_that_holds_itself_is_cut(hub: LiveHub) -> None:
    """It neither kills the work nor fills the event."""
    ended = ran(REPORT.replace("{value}", "loop"), hub.base_url, "loop")
    assert (ended.code, ended.out) == (0, "worked\n")
    assert held(hub.base_url)["loop"]["status"] == "complete"


def test_numpy_numbers_are_numbers(hub: LiveHub) -> None:
    """Scalars of every kind, and small arrays."""
    script = """
    import numpy as np, statushub
    with statushub.work("numpy", channel="jobs", epoch=np.int64(3), loss=np.float32(0.5), flag=np.bool_(True)) as work:
        work.update(progress=np.float64(45.5), sizes=np.array([1, 2]), wrong=np.float32("nan"))
    """
    ended = ran(script, hub.base_url)
    assert (ended.code, ended.err) == (0, "")
    status = held(hub.base_url)["numpy"]
    assert (status["epoch"], status["loss"], status["flag"], status["sizes"]) == (3, 0.5, True, [1, 2])
    assert status["wrong"] is None


PROGRESS = [
    ("100.00000000000001", 100, ""),
    ("-1e-12", 0, ""),
    ("101", 100, "progress"),
    ("Decimal('45.5')", 45.5, ""),
    ("float('nan')", None, "progress"),
    ("'half'", None, "progress"),
]


@pytest.mark.parametrize(("value", "shown", "warned"), PROGRESS)
def test_progress_is_clamped(hub: LiveHub, value: str, shown: float | None, warned: str) -> None:
    """Rounding is clamped without a word, what is far off with one line."""
    script = f"""
    import statushub
    from decimal import Decimal
    work = statushub.SyncProducer().open().work("progress {value}", channel="jobs")
    work.update("generating", progress={value})
    work.fail("over")
    """
    ended = ran(script, hub.base_url)
    assert ended.code == 0
    assert ended.err.count("field 'progress'") == (1 if warned else 0)
    assert held(hub.base_url)[f"progress {value}"].get("progress") == shown


TOO_LARGE = """
import statushub
with statushub.work("large", channel="jobs", title="A film") as work:
    work.update(progress=10)
    assert work.complete(result="x" * 10_000_000, notes=["y" * 1000] * 100, small=1)
print("worked")
"""


def test_a_result_over_the_limit_is_left_out_and_the_end_delivered(hub: LiveHub) -> None:
    """A finished job is complete, names what was left out, and the log says so."""
    ended = ran(TOO_LARGE, hub.base_url)
    assert (ended.code, ended.out) == (0, "worked\n"), ended
    status = held(hub.base_url)["large"]
    assert (status["status"], status["progress"], status["title"], status["small"]) == ("complete", 100, "A film", 1)
    assert sorted(status["truncated_fields"]) == ["notes", "result"]
    assert ended.err.count("too large") == 2


def test_the_end_is_delivered_to_a_hub_with_a_lower_limit() -> None:
    """What a hub refuses as too large is sent without its largest fields."""
    with live_hub(max_event=1024) as hub:
        script = """
        import statushub
        with statushub.work("large", channel="jobs", title="A film") as work:
            assert work.complete(result="x" * 5_000, small=1)
        """
        ended = ran(script, hub.base_url)
        assert ended.code == 0, ended
        status = held(hub.base_url)["large"]
        assert (status["status"], status["title"], status["truncated_fields"]) == ("complete", "A film", ["result"])


RULES = {
    "an unknown status": ("work.update('sleeping', step=1)", "status"),
    "a contradiction": ("work.update('generating', processing_status='completed', step=1)", "processing_status"),
    "a time without a zone": ("work.update(timestamp='2025-07-31T13:00:00', step=1)", "timestamp"),
    "another content id": ("work.update(content_id='another', step=1)", "content_id"),
}


@pytest.mark.parametrize("case", RULES)
def test_a_field_that_breaks_a_rule_is_left_out(hub: LiveHub, case: str) -> None:
    """The other fields are reported, the log has one line, and the work is complete."""
    call, field = RULES[case]
    script = f"""
    import statushub
    with statushub.work({case!r}, channel="jobs") as work:
        {call}
        {call}
    """
    ended = ran(script, hub.base_url)
    assert ended.code == 0, ended
    assert ended.err.count(f"field {field!r}") == 1, ended
    status = held(hub.base_url)[case]
    assert (status["status"], status["step"]) == ("complete", 1)


def test_a_report_after_the_end_costs_one_warning(hub: LiveHub) -> None:
    """Neither updates nor a second end raise."""
    script = """
    import statushub
    with statushub.work("ended", channel="jobs") as work:
        work.complete()
        work.update(progress=1)
        work.fail("no")
    """
    ended = ran(script, hub.base_url)
    assert (ended.code, ended.err.count("the work has ended")) == (0, 1), ended
    assert held(hub.base_url)["ended"]["status"] == "complete"


def test_an_error_without_a_text_is_reported(hub: LiveHub) -> None:
    """An exception whose text raises is named by its class."""
    script = """
    import statushub
    class Torn(Exception):
        def __str__(self):
            raise ValueError("torn, too")
    try:
        with statushub.work("torn", channel="jobs"):
            raise Torn
    except Torn:
        print("raised")
    """
    ended = ran(script, hub.base_url)
    assert (ended.code, ended.out) == (0, "raised\n")
    assert held(hub.base_url)["torn"]["error_message"] == "Torn"


LENGTHS = {
    "a length that raises": "class Rows(list):\n    def __len__(self):\n        raise RuntimeError('no')\n",
    "a negative length": "class Rows(list):\n    def __len__(self):\n        return -1\n",
}


@pytest.mark.parametrize("case", LENGTHS)
def test_a_loop_over_items_without_a_sound_length(hub: LiveHub, case: str) -> None:
    """Its total is unknown, and it runs."""
    loop = f"track(Rows([1, 2]), channel='jobs', content_id={case!r})"
    script = f"{LENGTHS[case]}from statushub import track\nprint([*{loop}])"
    ended = ran(script, hub.base_url)
    assert (ended.code, ended.out, ended.err) == (0, "[1, 2]\n", "")
    assert held(hub.base_url)[case]["done"] == 2


def test_a_file_name_with_undecodable_bytes_is_an_id(hub: LiveHub) -> None:
    """Two such names stay two contents."""
    script = """
    import statushub
    for name in ("caf\\udce9.mp4", "caf\\udce8.mp4"):
        with statushub.work(name, channel="jobs", title=name):
            pass
    """
    ended = ran(script, hub.base_url)
    assert (ended.code, ended.err) == (0, "")
    statuses = held(hub.base_url)
    assert {"caf\\udce9.mp4", "caf\\udce8.mp4"} <= statuses.keys()


def test_strict_raises(hub: LiveHub) -> None:
    """With `strict` a value that breaks a rule raises at its call, and changes nothing."""
    script = """
    import statushub
    from statushub import Invalid
    with statushub.SyncProducer(strict=True) as producer, producer.work("strict", channel="jobs", progress=7) as work:
        for fields in ({"progress": 101}, {"value": object()}, {"value": "x" * 100_000}, {"value": "\\ud83d"}):
            try:
                work.update(**fields)
            except Invalid as error:
                print(error.field)
        work.update("error")
        try:
            work.update(step=1)
        except Invalid as error:
            print(error)
    """
    ended = ran(script, hub.base_url)
    assert (ended.code, ended.err) == (0, ""), ended
    assert ended.out.splitlines()[:4] == ["data.progress", "data", "data", "data"]
    assert "the work has ended" in ended.out
    assert held(hub.base_url)["strict"]["progress"] == 7


def test_not_a_number_is_the_same_in_every_kind() -> None:
    """Also in numbers of other libraries."""
    from statushub.producers.values import plain

    class Real(float):
        pass

    assert plain(Real("nan")) is None
    assert plain(Real(0.5)) == 0.5
    assert math.isclose(plain(Real(0.1)), 0.1)
