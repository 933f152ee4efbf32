"""Redaction: addresses as logs and errors may show them."""

from __future__ import annotations

import re
from typing import Final

HIDDEN: Final = "…"

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def redacted(url: str) -> str:
    """`url` without its user, password, query and fragment.

    Takes any text, also what is not a valid URL. Where an unescaped `/`, `?` or `#` leaves open whether a part is
    a password, only the scheme is shown.
    """
    match = _SCHEME.match(url)
    scheme = match.group() if match else ""
    rest = url[len(scheme) :]
    shown = re.split("[?#]", rest, maxsplit=1)[0]
    if shown.startswith("/") and "@" not in rest[len(shown) :]:
        return scheme + shown  # a file or a socket: the authority, where users are named, is empty
    authority, slash, path = shown.partition("/")
    if "@" in path or "@" in rest[len(shown) :]:
        return scheme + HIDDEN
    return scheme + authority.rpartition("@")[2] + slash + path
