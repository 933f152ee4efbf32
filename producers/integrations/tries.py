"""A try of a task, as a run: what all task queues have in common."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Final

import msgspec

from statushub.hub.model.publication import RUN_CHARACTERS

_VALID = re.compile(rf"[A-Za-z0-9_.:/-]{{1,{RUN_CHARACTERS}}}", re.ASCII)

DIGEST_CHARACTERS: Final = 40
"""Of the hash that stands for a task's id where that is no name of a run: as long as two UUIDs are different."""


class Try(msgspec.Struct, frozen=True, kw_only=True):
    """One try of a task. `retry` is 0 for the first, and grows by one with each repetition."""

    task_id: str
    name: str
    retry: int = 0
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = {}

    @property
    def run(self) -> str:
        """The name of its run: `<task id>/<retry>`. Whatever reports the same try, on any machine, has the same."""
        name = f"{self.task_id}/{self.retry}"
        if _VALID.fullmatch(name):
            return name
        digest = sha256(self.task_id.encode("utf-8", "backslashreplace")).hexdigest()
        return f"{digest[:DIGEST_CHARACTERS]}/{self.retry}"
