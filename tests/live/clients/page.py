"""docs/clients.md: the program of each client, and the table of their results."""

from __future__ import annotations

import re
from typing import Final

from tests.support.snippets import CLIENTS_PAGE, Snippet, snippets_of

TEXT: Final = CLIENTS_PAGE.read_text()


def programs() -> list[tuple[str, Snippet]]:
    """Each program of the page with the heading above it, in order."""
    lines = TEXT.split("\n")
    found = []
    for snippet in snippets_of(CLIENTS_PAGE):
        above = lines[: snippet.line - 1]
        heading = next(line for line in reversed(above) if line.startswith("#"))
        found.append((heading.lstrip("# "), snippet))
    return found


def program(name: str) -> Snippet:
    """The program of a client."""
    return dict(programs())[name]


def table() -> dict[str, dict[str, str]]:
    """The table of results: the cells of each row by their column, by the first cell."""
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in re.findall(r"^\|.*\|$", TEXT, re.MULTILINE)]
    start = next(number for number, row in enumerate(rows) if row[0] == "client")
    head, _, *results = rows[start:]
    return {row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in results if len(row) == len(head)}
