"""The table of settings in docs/deployment.md, made from their declarations.

`python -m statushub.hub.cli.settings_table docs/deployment.md` writes it into the page, and prints it without
a path.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from statushub.hub.settings import SETTINGS, Setting

COMMAND: Final = "python -m statushub.hub.cli.settings_table docs/deployment.md"

BEGIN: Final = f"<!-- settings: written by `{COMMAND}` -->"
END: Final = "<!-- end of settings -->"
"""The lines of the page between which the table stands."""

HEADER: Final = ("flag", "variable", "default", "values", "meaning")


def table() -> str:
    """The table in Markdown, one row for each setting, without a line break at its end."""
    rows = [HEADER, ("---",) * len(HEADER), *(_row(setting) for setting in SETTINGS.values())]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def updated(page: str) -> str:
    """The text of `page` with the current table. Raises `ValueError` where the lines around it are missing."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the page needs the lines {BEGIN!r} and {END!r}")
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


def _row(setting: Setting) -> tuple[str, ...]:
    flag = _code(setting.flag if setting.boolean else f"{setting.flag} {setting.metavar}") if setting.flag else ""
    return (
        f"{flag} (repeatable)" if flag and setting.repeatable else flag,
        f"{_code(setting.variable)} (comma-separated)" if setting.repeatable else _code(setting.variable),
        ", ".join(map(_code, setting.defaults)),
        setting.range or ", ".join(map(_code, setting.choices)),
        setting.description,
    )


def _code(text: str) -> str:
    return f"`{text}`"


def main(arguments: Sequence[str]) -> None:
    """Write the table into each page of `arguments`, or to stdout where there is none."""
    for path in map(Path, arguments):
        path.write_text(updated(path.read_text()))
    if not arguments:
        click.echo(table())


if __name__ == "__main__":
    main(sys.argv[1:])
