"""The Redis function library agrees with the module that calls it."""

from __future__ import annotations

import re

from statushub.hub.brokers.redis import commands


def test_the_version_is_that_of_the_library() -> None:
    """A server's version is compared with this constant, so that they must be raised together."""
    assert f"local VERSION = {commands.VERSION}\n" in commands.LIBRARY


def test_every_function_is_documented() -> None:
    """Each function that takes arguments has its form in a comment."""
    registered = set(re.findall(r"'(statushub_\w+)'", commands.LIBRARY)) - {"statushub_version"}
    assert registered == set(re.findall(r"^-- FCALL (statushub_\w+) ", commands.LIBRARY, re.MULTILINE))
