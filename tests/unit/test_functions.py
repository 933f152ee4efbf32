"""What the function library repeats of Python's constants agrees with them."""

from __future__ import annotations

import re

from statushub.hub.brokers.contract import SWEEP_GAP
from statushub.hub.brokers.redis import commands
from statushub.hub.model.receipt import Refusal
from statushub.hub.model.retention import RETENTION_SECONDS

NUMBERS = dict(re.findall(r"^local ([A-Z_]+) = ([\d *]+)$", commands.LIBRARY, re.MULTILINE))


def product(text: str) -> int:
    """The value of `7 * 24`."""
    value = 1
    for factor in text.split("*"):
        value *= int(factor)
    return value


def test_the_constants_agree() -> None:
    """The version, the default retention and the sweep gap are those of Python."""
    assert {name: product(text) for name, text in NUMBERS.items()} == {
        "VERSION": commands.VERSION,
        "DEFAULT_RETENTION_MS": RETENTION_SECONDS * 1000,
        "SWEEP_GAP_MS": SWEEP_GAP * 1000,
    }


def test_the_refusals_agree() -> None:
    """The library refuses for the reasons that a receipt can name."""
    assert set(re.findall(r"return nil, '(\w+)'", commands.LIBRARY)) == {*Refusal}


def test_every_function_is_registered_and_documented() -> None:
    """Each function that is called has its form above its definition."""
    registered = set(re.findall(r"'(statushub_\w+)'", commands.LIBRARY)) - {"statushub_version"}
    assert registered == set(re.findall(r"^-- FCALL (statushub_\w+) ", commands.LIBRARY, re.MULTILINE))
