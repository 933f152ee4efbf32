"""Redaction: addresses as logs and errors may show them."""

from __future__ import annotations

import re
from typing import Final

HIDDEN: Final = "…"

_SECRET: Final = re.compile(
    r"(?<=://)[^\s@]*@"  # the user and the password of a URL
    r"|\beyJ[\w-]+\.[\w-]*\.?[\w-]*"  # a JSON Web Token
    r"|(?i:(?<=bearer )|(?<=basic )|(?<=ticket=)|(?<=token=)|(?<=password=))[^\s&'\",;]+"
)
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


def hides_authority(url: str) -> bool:
    """Whether an unescaped `/`, `?` or `#` before an `@` leaves open which part of `url` is a password."""
    match = _SCHEME.match(url)
    rest = url[match.end() :] if match else url
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    # Without an authority it names a file or a socket, whose path may hold an `@`.
    return bool(authority) and "@" in rest[len(authority) :]


def censored(text: str) -> str:
    """`text` of a library or a server, without what may be a secret: users in URLs, bearer tokens and tickets."""
    return _SECRET.sub(HIDDEN, text)
