"""Locations of sources and results: paths, URLs and fsspec's chains of URLs, and what a message may show of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from statushub.hub.model.redaction import HIDDEN, redacted

PRINTED_MAX: Final = 300
"""Characters of a location that a message shows: a `data:` URL holds a whole file."""

_WEB: Final = re.compile(r"(?:^|::)(?=https?://)", re.IGNORECASE)
_AUTHORITY: Final = re.compile(r"(\[[^]]*\]|[^]:[]*)(:\d*)?")
_PROTOCOL: Final = re.compile("[a-z0-9]+")
_MISTYPED: Final = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]{,20}:/).*@", re.DOTALL)


def local_path(location: str) -> Path | None:
    """The local path that `location` names; None where it is a URL of another kind than file://."""
    if "://" not in location:
        return Path(location)
    rest = location.removeprefix("file://")
    if rest == location or "://" in rest:
        return None
    try:
        return Path(unquote(urlsplit(location).path))
    except ValueError:
        return Path(unquote(rest))


def web_part(location: str) -> tuple[str, str] | None:
    """The links of a chain that come before its http(s) URL, and that URL; None where it has none.

    `zip://a.mp4::https://host/b.zip` is the file `a.mp4` in the archive at the URL. The links are empty where
    `location` is such a URL itself.
    """
    match = _WEB.search(location)
    return (location[: match.start()], location[match.end() :]) if match else None


def shown(location: str) -> str:
    """`location` without users, passwords, queries and fragments; a local path as it is.

    Takes any text. Where it leaves open whether a part is a password, that part is not shown.
    """
    if "://" in location:
        return "::".join(_shown_links(location))
    match = _MISTYPED.search(location)
    return location[: match.end("scheme")] + HIDDEN if match else location


def has_secret(location: str) -> bool:
    """Whether a part of `location` must not be shown."""
    return shown(location) != location


def printable(location: str) -> str:
    """`location` as a message may show it: redacted, in one line, and of limited length.

    Bytes of a path that are not text are replaced: they cannot be published.
    """
    text = shown(location).encode("utf-8", "replace").decode("utf-8")
    text = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return text if len(text) <= PRINTED_MAX else text[:PRINTED_MAX] + HIDDEN


def title(location: str) -> str:
    """The file name of `location`, without its folder and query; of a chain, that of the innermost file."""
    path = local_path(location)
    name = _file_name(location) if path is None else path.name
    hidden = has_secret(location) and HIDDEN in shown(location)
    return printable(location if hidden else name) or printable(location)


def _file_name(location: str) -> str:
    links = [link.partition("://") for link in _shown_links(location)]
    scheme, _, rest = next((link for link in links if link[2]), ("", "", ""))
    _, slash, name = rest.rstrip("/").rpartition("/")
    is_host = scheme.lower() in ("http", "https") and not slash
    return "" if is_host else unquote(name)


def _shown_links(location: str) -> list[str]:
    """The links of a URL or chain, redacted. A password or a query may contain `::`: what follows is not shown."""
    links, url = web_part(location) or (location, "")
    parts: list[str] = []
    secret = False
    for link in links.split("::") if links else ():
        is_url = "://" in link
        if not is_url and (secret or not _PROTOCOL.fullmatch(link)):
            parts.append(HIDDEN)
            break
        parts.append(_shown_link(link) if is_url else link)
        secret = secret or parts[-1] != link
    return [*parts, _shown_link(url)] if url else parts


def _shown_link(link: str) -> str:
    scheme, _, rest = redacted(link).partition("://")
    authority = rest.partition("/")[0]
    return f"{scheme}://{rest}" if _AUTHORITY.fullmatch(authority) else f"{scheme}://{HIDDEN}"
