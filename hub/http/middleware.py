"""Host, path and size middleware: refuses requests before any route sees them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Final
from urllib.parse import unquote_to_bytes

from starlette.types import ASGIApp, Receive, Scope, Send

from statushub.hub.http.errors import refuse
from statushub.hub.http.hosts import Hosts
from statushub.hub.model.errors import Forbidden, HeadTooLarge, Malformed, StatushubError

FIELD_BYTES: Final = 4
"""What a header field has beside its name and value: a colon, a space, and the end of the line."""


class RequestMiddleware:
    """Refuses request heads over `head_bytes`, hosts that `hosts` does not answer to, and paths that are not UTF-8.

    `refused` is called with each error that is answered here.
    """

    def __init__(
        self, app: ASGIApp, *, head_bytes: int, hosts: Hosts, refused: Callable[[StatushubError], None]
    ) -> None:
        self._app = app
        self._head_bytes = head_bytes
        self._hosts = hosts
        self._refused = refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan" and (error := self.fault(scope)) is not None:
            self._refused(error)
            await refuse(error, scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def fault(self, scope: Scope) -> StatushubError | None:
        """Why a request is refused; None where it is not."""
        path, query = scope.get("raw_path") or b"", scope["query_string"]
        headers = scope["headers"]
        size = len(path) + len(query) + sum(map(len, chain.from_iterable(headers))) + FIELD_BYTES * len(headers)
        hosts = [value for name, value in headers if name == b"host"]
        if size > self._head_bytes:
            return HeadTooLarge(f"The request's head may have at most {self._head_bytes} bytes", limit="head")
        if not all(map(self._hosts.answer, hosts or [b""])):
            return Forbidden(
                "The hub does not answer to this host; without a key it answers to localhost, 127.0.0.1 and the names "
                "of --allowed-host",
                field="host",
            )
        for field, text in (("path", path), ("query", query)):
            if not _is_utf8(text):
                return Malformed(f"The {field} must be percent-encoded UTF-8", field=field)
        return None


def _is_utf8(escaped: bytes) -> bool:
    """Whether the text is ASCII, and UTF-8 once its escapes are read.

    Servers and Starlette replace what is not by U+FFFD, or read it as Latin-1: one name of many, or another.
    """
    if not escaped.isascii():
        return False
    if b"%" in escaped:
        try:
            unquote_to_bytes(escaped).decode()
        except UnicodeDecodeError:
            return False
    return True
