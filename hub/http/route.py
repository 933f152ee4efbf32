"""Routes that match the whole path."""

from __future__ import annotations

import re
from typing import Any

from starlette import routing


class Route(routing.Route):
    """Starlette's route, matched against every character of the path."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.path_regex = _whole(self.path_regex)


class WebSocketRoute(routing.WebSocketRoute):
    """The same for WebSocket, on servers that have a protocol of their own for it."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.path_regex = _whole(self.path_regex)


def _whole(path: re.Pattern[str]) -> re.Pattern[str]:
    """An expression that matches every character of the path.

    Starlette's expression ends in `$`, which also matches before a line break at the end, and its `.` matches none:
    `a%0a` would be read as `a`.
    """
    return re.compile(path.pattern.removesuffix("$") + r"\Z", re.DOTALL)
