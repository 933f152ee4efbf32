"""Which changes of a source a watch is about."""

from __future__ import annotations

from collections.abc import Collection

from statushub.producers.following.change import READY, RESET, Change


class Selection:
    """Takes the changes of `contents`, or of all contents where there are none; with `new` only what is published
    after the first `ready`."""

    def __init__(self, contents: Collection[str], *, new: bool) -> None:
        self._contents = frozenset(contents)
        self._new = new
        self._began = False
        # Between a reset and the next `ready` comes the whole state.
        self._whole = True
        self._old: dict[str, object] = {}

    def takes(self, change: Change) -> bool:
        """Whether the change is selected. Those of the stream itself always are."""
        if not change.content_id:
            self._whole = change.type == RESET or (self._whole and change.type != READY)
            self._began = self._began or change.type == READY
            return True
        if self._contents and change.content_id not in self._contents:
            return False
        return not (self._new and self._is_old(change.content_id, change.data.get("timestamp")))

    def _is_old(self, content_id: str, timestamp: object) -> bool:
        if not self._began:
            self._old[content_id] = timestamp
            return True
        if self._whole:
            return content_id in self._old and self._old[content_id] == timestamp
        self._old.pop(content_id, None)
        return False
