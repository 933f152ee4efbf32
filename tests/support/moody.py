"""A hub that misbehaves at first."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send


class Moody:
    """A hub that first answers as it is told, and then as `app` does; it notes what it was sent."""

    def __init__(self, app: ASGIApp, answers: Sequence[Response] = ()) -> None:
        self.app = app
        self.answers = list(answers)
        self.requests: list[dict[str, str]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        self.requests.append({name.decode(): value.decode() for name, value in scope["headers"]})
        if self.answers:
            await self.answers.pop(0)(scope, receive, send)
        else:
            await self.app(scope, receive, send)
