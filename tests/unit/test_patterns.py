"""Channel patterns: what they cover, what they refuse, and that they cost little whatever they are."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statushub.hub.auth.patterns import ALL, NONE, PATTERNS, Patterns, _compile
from statushub.hub.model.errors import Invalid


@pytest.mark.parametrize(
    ("pattern", "covered", "not_covered"),
    [
        ("jobs", ["jobs"], ["jobs/a", "job", "JOBS", "jobs2"]),
        ("jobs/*", ["jobs/a", "jobs/a.b-c"], ["jobs", "jobs/a/b", "x/jobs/a"]),
        ("jobs/**", ["jobs/a", "jobs/a/b/c"], ["jobs", "job/a"]),
        ("*", ["a", "a b"], ["a/b"]),
        ("**", ["a", "a/b", "ä/ö"], []),
        ("u/*/s", ["u/1/s"], ["u/1/2/s", "u/1/t"]),
        ("**/e/**", ["a/e/b", "a/b/e/c/d"], ["e/b", "a/f/b"]),
        ("a*b*c", ["abc", "aXbYc", "abcbc"], ["ab/c", "a/bc", "acb"]),
        ("a*.c", ["a.c", "ab.c"], ["abc"]),
        ("**a*b", ["a/ab", "xa1b"], ["a/b"]),
        ("a.c", ["a.c"], ["abc"]),
        ("[a]", ["[a]"], ["a"]),
    ],
)
def test_a_pattern_covers_what_it_says(pattern: str, covered: list[str], not_covered: list[str]) -> None:
    """`*` within a segment, `**` across; every other character is itself."""
    patterns = Patterns([pattern])
    assert [name for name in covered if not patterns.match(name)] == []
    assert [name for name in not_covered if patterns.match(name)] == []


@given(st.text("ab/*", min_size=1, max_size=9), st.text("ab/", min_size=1, max_size=9))
def test_matching_is_that_of_the_plain_expression(pattern: str, name: str) -> None:
    """What is left out of the search would have found nothing."""
    if "***" in pattern or pattern.count("**") > 2:
        return
    plain = "".join({"**": ".*", "*": "[^/]*"}.get(part, re.escape(part)) for part in re.split(r"(\*\*?)", pattern))
    assert Patterns([pattern]).match(name) == bool(re.fullmatch(plain, name))


def test_many_wildcards_do_not_search_for_ever() -> None:
    """A name that nearly fits is refused in steps that grow with its length, not with their product."""
    expression = _compile("*".join(["a"] * 100) + "c")
    assert expression.fullmatch("a" * 128) is None
    assert Patterns(["**" + "a*" * 60 + "b**c"]).match("a" * 128) is False


@pytest.mark.parametrize("text", ["", "a" * 257, "a***", "**a**b**", "a\nb", "a\0"])
def test_what_is_no_pattern_is_named(text: str) -> None:
    """By its place in the list."""
    with pytest.raises(Invalid) as caught:
        Patterns(["fine", text], "read")
    assert caught.value.field == "read[1]"


def test_a_list_of_patterns_has_an_end() -> None:
    """As long as a stream has channels."""
    with pytest.raises(Invalid) as caught:
        Patterns(["a"] * (PATTERNS + 1), "write")
    assert caught.value.field == "write"


def test_all_is_everything_and_none_is_nothing() -> None:
    """The two ends."""
    assert ALL.match("a/b")
    assert not NONE.match("a")
    assert Patterns(["a"]) == Patterns(["a"])
    assert len({Patterns(["a"]), Patterns(["a"]), Patterns(["b"])}) == 2
