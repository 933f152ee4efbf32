"""Channel patterns: what they cover, which are refused, and that matching is fast for every pattern."""

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
def test_wildcards_cover_names(pattern: str, covered: list[str], not_covered: list[str]) -> None:
    """`*` matches within a segment, `**` across segments; every other character matches itself."""
    patterns = Patterns([pattern])
    assert [name for name in covered if not patterns.match(name)] == []
    assert [name for name in not_covered if patterns.match(name)] == []


@given(st.text("ab/*", min_size=1, max_size=9), st.text("ab/", min_size=1, max_size=9))
def test_matching_equals_that_of_the_plain_expression(pattern: str, name: str) -> None:
    """The compiled expression skips only searches that cannot match."""
    if "***" in pattern or pattern.count("**") > 2:
        return
    plain = "".join({"**": ".*", "*": "[^/]*"}.get(part, re.escape(part)) for part in re.split(r"(\*\*?)", pattern))
    assert Patterns([pattern]).match(name) == bool(re.fullmatch(plain, name))


def test_many_wildcards_do_not_backtrack_exponentially() -> None:
    """A name that almost matches is refused in time that grows with its length."""
    expression = _compile("*".join(["a"] * 100) + "c")
    assert expression.fullmatch("a" * 128) is None
    assert Patterns(["**" + "a*" * 60 + "b**c"]).match("a" * 128) is False


@pytest.mark.parametrize("text", ["", "a" * 257, "a***", "**a**b**", "a\nb", "a\0"])
def test_an_invalid_pattern_is_named_by_its_position(text: str) -> None:
    """The error's field is the index in the list."""
    with pytest.raises(Invalid) as caught:
        Patterns(["fine", text], "read")
    assert caught.value.field == "read[1]"


def test_the_number_of_patterns_is_limited() -> None:
    """A longer list is refused by the name of its field."""
    with pytest.raises(Invalid) as caught:
        Patterns(["a"] * (PATTERNS + 1), "write")
    assert caught.value.field == "write"


def test_all_matches_every_name_and_none_matches_no_name() -> None:
    """Equal lists of patterns are equal and have one hash."""
    assert ALL.match("a/b")
    assert not NONE.match("a")
    assert Patterns(["a"]) == Patterns(["a"])
    assert len({Patterns(["a"]), Patterns(["a"]), Patterns(["b"])}) == 2
