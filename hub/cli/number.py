"""Options that are numbers, perhaps within a range."""

from __future__ import annotations

from typing import Any

import click

from statushub.hub.marks import UNITS


class Number(click.FloatRange):
    """As click's, with an error that says what would be right, in the words of the settings."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return float(super().convert(value, param, ctx))
        except click.BadParameter:
            self.fail(f"{value!r} is not a number{_more(self, param)}.", param, ctx)

    def _describe_range(self) -> str:
        # click's help says `x<=None` where there is no range.
        return "" if self.min is None else super()._describe_range()


class WholeNumber(click.IntRange):
    """The same of whole numbers."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return int(super().convert(value, param, ctx))
        except click.BadParameter:
            self.fail(f"{value!r} is not a whole number{_more(self, param)}.", param, ctx)

    def _describe_range(self) -> str:
        # click's help says `x<=None` where there is no range.
        return "" if self.min is None else super()._describe_range()


def _more(type: click.FloatRange | click.IntRange, param: click.Parameter | None) -> str:
    """The unit and the range."""
    unit = f" of {param.metavar.lower()}" if param is not None and param.metavar in UNITS else ""
    if type.min is None:
        return unit
    least = f"{unit} {'above' if type.min_open else 'from'} {type.min:g}"
    return least if type.max is None else f"{least} to {type.max:g}"
