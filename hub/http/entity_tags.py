"""Entity tags in `If-None-Match`, as proxies return them."""

from __future__ import annotations

import re
from typing import Final

from starlette.datastructures import Headers

ANY: Final = "*"
"""Listed, it stands for whatever tag there is."""

_ENTITY_TAG = re.compile(r'"([^"]*)"|(\*)')
"""A tag in a list of them, whether weak (`W/` before it) or not."""

_CODING = re.compile(r"(?:--?|;)(?:gzip|br|zstd|deflate)\Z")
"""What a proxy that compresses an answer appends to its tag: `-gzip` (Apache, Caddy, lighttpd), `--gzip` or `;gzip`
(Jetty), and the same with another coding."""


def held_tags(headers: Headers) -> set[str]:
    """The tags of what the client holds, without their quotes; `ANY` for any.

    `If-None-Match` compares weakly (RFC 9110, section 13.1.2), since proxies that compress weaken tags. A coding's
    suffix is dropped as well: the content is the same.
    """
    lines = headers.getlist("if-none-match")
    return {_CODING.sub("", tag) or star for line in lines for tag, star in _ENTITY_TAG.findall(line)}


def holds(headers: Headers, tag: str) -> bool:
    """Whether the client holds what is tagged with `tag`, given without quotes: the answer is 304 then."""
    return not held_tags(headers).isdisjoint((tag, ANY))
