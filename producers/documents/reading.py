"""The text of a document's file."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Final

TEXT_BYTES: Final = 4 * 1024 * 1024
"""Most of one file that is read: the longest novels have three. Indexing it takes about four seconds."""

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

LEGACY: Final = "cp949"
"""How Korean Windows writes text files that are not Unicode."""


def read_text(path: Path) -> str | None:
    """The text of the file's first `TEXT_BYTES`; None where it is binary. Raises `OSError`."""
    with path.open("rb") as file:
        return decoded(file.read(TEXT_BYTES))


def decoded(data: bytes) -> str | None:
    """`data` as text: by its byte order mark, else as UTF-8, else as `LEGACY`, else as UTF-8 without its errors."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, errors="replace")
    if 0 in data:
        return None
    cut = len(data) == TEXT_BYTES
    for encoding in ("utf-8", LEGACY):
        decoder = codecs.getincrementaldecoder(encoding)()
        try:
            # Of a file that was cut, the last character may be, too.
            return decoder.decode(data, final=not cut)
        except UnicodeDecodeError:
            continue
    return data.decode(errors="replace")
