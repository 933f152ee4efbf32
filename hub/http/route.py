"""Routes that match the whole path."""

from __future__ import annotations

import re
from typing import Any

from starlette import routing


class Route(routing.Route):
    """Starlette's route, matched against every character of the path.

    Starlette's expression ends in `$`, which also matches before a line break at the end, and its `.` matches none:
    `a%0a` would be read as `a`.
    """

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.path_regex = re.compile(self.path_regex.pattern.removesuffix("$") + r"\Z", re.DOTALL)
