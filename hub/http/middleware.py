"""Host and size middleware: refuses requests before any route sees them."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from statushub.hub.config import is_loopback
from statushub.hub.http.errors import error_response
from statushub.hub.model.errors import Forbidden, HeadTooLarge, StatushubError

FIELD_BYTES: Final = 4
"""What a header field has beside its name and value: a colon, a space, and the end of the line."""

HOSTS_CACHED: Final = 64
"""Host fields whose check is remembered: a machine has few names."""


class HostAndSizeMiddleware:
    """Refuses request heads over `head_bytes` and, where `local_only`, hosts that are not loopback names.

    The host check is the defence against DNS rebinding: where no token is required, a page of any site could point
    its own name to 127.0.0.1, be of the same origin as the hub, and read and publish everything. `refused` is called
    with each error that is answered here.
    """

    def __init__(
        self, app: ASGIApp, *, head_bytes: int, local_only: bool, refused: Callable[[StatushubError], None]
    ) -> None:
        self._app = app
        self._head_bytes = head_bytes
        self._local_only = local_only
        self._refused = refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (error := self._fault(scope)) is not None:
            self._refused(error)
            await error_response(error)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _fault(self, scope: Scope) -> StatushubError | None:
        size = len(scope.get("raw_path") or b"") + len(scope["query_string"])
        host = b""
        for name, value in scope["headers"]:
            size += len(name) + len(value) + FIELD_BYTES
            if name == b"host" and not host:
                host = value
        if size > self._head_bytes:
            return HeadTooLarge(f"The request's head may have at most {self._head_bytes} bytes", limit="head")
        if self._local_only and not _names_loopback(host):
            return Forbidden("Without a key the hub answers only to localhost and 127.0.0.1", field="host")
        return None


@lru_cache(HOSTS_CACHED)
def _names_loopback(field: bytes) -> bool:
    host = field.decode("latin-1")
    name = host.partition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
    return is_loopback(name.rstrip(".").lower())
