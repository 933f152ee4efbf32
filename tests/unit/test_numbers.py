"""Options of the command line that are numbers: their errors."""

from __future__ import annotations

import click
import pytest

from statushub.hub.cli import cli
from statushub.hub.cli.number import Number, WholeNumber


@pytest.mark.parametrize(
    ("type", "text", "expected"),
    [
        (Number(), "2d", "a number of seconds."),
        (Number(0, min_open=True), "0", "a number of seconds above 0."),
        (Number(0.5, 3600), "x", "a number of seconds from 0.5 to 3600."),
        (WholeNumber(1), "0", "a whole number of seconds from 1."),
        (WholeNumber(1, 1000), "1.5", "a whole number of seconds from 1 to 1000."),
    ],
)
def test_an_error_says_what_would_be_right(type: Number | WholeNumber, text: str, expected: str) -> None:
    """With the unit, where the option names one."""
    for metavar, words in (("SECONDS", expected), ("COUNT", expected.replace(" of seconds", ""))):
        option = click.Option(["--length"], type=type, metavar=metavar)
        with pytest.raises(click.BadParameter) as caught:
            type.convert(text, option, None)
        assert caught.value.message == f"{text!r} is not {words}"


def test_a_number_is_read() -> None:
    """As click reads it."""
    assert Number(0).convert("1.5", None, None) == 1.5
    assert WholeNumber(0).convert("2", None, None) == 2


@pytest.mark.parametrize("name", cli.commands)
def test_the_help_says_no_range_where_there_is_none(name: str) -> None:
    """click's own says `x<=None`."""
    assert "None" not in cli.commands[name].get_help(click.Context(cli.commands[name]))
