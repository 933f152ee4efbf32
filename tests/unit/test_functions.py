"""The Redis function library agrees with the module that calls it."""

from __future__ import annotations

import re

from statushub.hub.brokers.redis import commands


def test_the_version_is_that_of_the_library() -> None:
    """A server's version is compared with this constant, so that they must be raised together."""
    assert f"local MINOR = {commands.MINOR}\n" in commands.LIBRARY


def test_the_major_version_is_in_the_names() -> None:
    """The library and the functions of this version are named for it."""
    assert commands.LIBRARY.startswith(f"#!lua name=statushub{commands.MAJOR}\n")
    assert f"statushub{commands.MAJOR}_" == commands.FUNCTION


def test_every_function_is_documented() -> None:
    """Each function that takes arguments has its form in a comment."""
    registered = set(re.findall(r"'(statushub5?_[a-z]+)'", commands.LIBRARY))
    documented = set(re.findall(r"FCALL (statushub5?_\w+) ", commands.LIBRARY))
    assert registered - {"statushub_version", f"{commands.FUNCTION}version"} == documented
