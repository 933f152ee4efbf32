"""The gate before every route: what is not even looked at, whatever it asks for."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

from statushub.hub.config import Config, is_loopback
from statushub.hub.http.response import error_response
from statushub.hub.hub import Hub
from statushub.hub.model.errors import Forbidden, HeadTooLarge, StatushubError

FIELD_BYTES: Final = 4
"""What a header field has beside its name and value: a colon, a space, and the line's end."""

HOSTS: Final = 64
"""Names that need not be looked at again: those of this machine are few."""


class HostAndSizeMiddleware:
    """Refuses heads over their limit and, where anybody may do everything, names that are not this machine's."""

    def __init__(self, app: Starlette, settings: Config) -> None:
        self._app = app
        self._head_bytes = settings.max_head
        # A page of any site can give its name this machine's address, and would be of the same origin then.
        self._local = not settings.auth_required and is_loopback(settings.host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (error := self._fault(scope)) is not None:
            hub: Hub = self._app.state.hub
            hub.counts.refuse(error)
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
        if self._local and not _names_loopback(host):
            return Forbidden("Without a key the hub answers to localhost and 127.0.0.1 alone", field="host")
        return None


@lru_cache(HOSTS)
def _names_loopback(field: bytes) -> bool:
    host = field.decode("latin-1")
    name = host.partition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
    return is_loopback(name.rstrip(".").lower())
