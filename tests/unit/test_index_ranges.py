"""The ranges of names in which the channels lie that a token may list."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statushub.hub.auth.identity import Identity
from statushub.hub.auth.patterns import Patterns
from statushub.hub.replicas.index import Range, ranges_of


def identity(read: list[str], within: list[str]) -> Identity:
    return Identity(tenant="t", read=Patterns(read), within=Patterns(within))


@pytest.mark.parametrize(
    ("read", "within", "prefix", "ranges"),
    [
        (["**"], ["**"], "", [("", False)]),
        (["**"], ["**"], "jobs/", [("jobs/", False)]),
        ([], ["**"], "", []),
        (["b", "a"], ["**"], "", [("a", True), ("b", True)]),
        (["b/*", "a/**", "a/b/*", "a/c"], ["**"], "", [("a/", False), ("b/", False)]),
        (["jobs/*/x"], ["jobs/7/**"], "", [("jobs/7/", False)]),
        (["jobs/7"], ["jobs/*"], "jobs/", [("jobs/7", True)]),
        (["jobs/7"], ["**"], "jobs/8", []),
        (["jobs/*"], ["**"], "jobs/8", [("jobs/8", False)]),
        (["a", "a*"], ["**"], "", [("a", False)]),
        (["a", "ab*"], ["**"], "", [("a", True), ("ab", False)]),
        (["**/x", "a/b"], ["**"], "", [("", False)]),
    ],
)
def test_ranges_are_as_narrow_as_the_patterns(
    read: list[str], within: list[str], prefix: str, ranges: list[tuple[str, bool]]
) -> None:
    """They begin with what no wildcard stands for, in their order, and none lies within another."""
    found = ranges_of(identity(read, within), prefix)
    assert [(it.text, it.exact) for it in found] == ranges


pieces = st.sampled_from(["a", "b", "/", "*", "**"])
patterns = st.lists(pieces, min_size=1, max_size=4).map("".join).filter(lambda it: "***" not in it)
names = st.text("ab/", min_size=1, max_size=4)


@given(
    read=st.lists(patterns, max_size=4),
    within=st.lists(patterns, max_size=3),
    prefix=st.text("ab/", max_size=2),
    name=names,
)
def test_every_readable_name_is_in_one_range(read: list[str], within: list[str], prefix: str, name: str) -> None:
    """Exactly one, before its end and behind those of all ranges before it."""
    reader = identity([it for it in read if it.count("**") < 3], [it for it in within if it.count("**") < 3])
    ranges = ranges_of(reader, prefix)
    holding = [index for index, it in enumerate(ranges) if it.has(name)]
    assert len(holding) <= 1
    if reader.may_read(name) and name.startswith(prefix):
        assert len(holding) == 1
    for index in holding:
        assert name <= ranges[index].end
        assert all(it.end < name for it in ranges[:index])


def test_a_range_of_one_name_has_only_that() -> None:
    """One that begins with it is of no such range."""
    assert [Range(text="a", exact=exact).has("ab") for exact in (True, False)] == [False, True]
