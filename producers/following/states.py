"""The states that deltas build on: what a follower was last told of each content that may grow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from statushub.hub.model.cursor import Cursor
from statushub.hub.model.vocabulary import Phase
from statushub.producers.following.change import Change


class State(msgspec.Struct, frozen=True, gc=False):
    """A content's whole status, with its type and the cursor of the event that made it."""

    cursor: Cursor
    type: str
    data: Mapping[str, Any]


class States:
    """The states of the contents that are processed: no other one grows."""

    def __init__(self, misfit: Callable[[str], object]) -> None:
        """`misfit` is called with the id of a content of which a delta does not build on what is here."""
        self._misfit = misfit
        self._held: dict[str, State] = {}

    def take(self, change: Change, cursor: Cursor | None) -> None:
        """Take in a whole status, or a removal; `cursor` is that of its event."""
        if cursor is None or change.phase is not Phase.PROCESSING:
            self._held.pop(change.content_id, None)
        else:
            self._held[change.content_id] = State(cursor, change.type, change.data)

    def has(self, content_id: str, cursor: Cursor) -> bool:
        """Whether what is here of a content is as new as the event at `cursor`."""
        held = self._held.get(content_id)
        return held is not None and held.cursor.epoch == cursor.epoch and cursor.offset <= held.cursor.offset

    def grown(self, said: Change, cursor: Cursor) -> Change | None:
        """The change that a delta makes, with the whole status; None where it builds on another event than the one that
        is here."""
        held = self._held.get(said.content_id)
        if held is None or held.cursor != before(cursor, said.data):
            self._misfit(said.content_id)
            return None
        data = grown(held.data, said.data)
        self._held[said.content_id] = State(cursor, held.type, data)
        return msgspec.structs.replace(said, type=held.type, data=data, delta=_parts(said.data))

    def clear(self) -> None:
        """Nothing that was told holds any more."""
        self._held.clear()


def before(cursor: Cursor, said: Mapping[str, Any]) -> Cursor | None:
    """The cursor of the event on which a delta builds, whose own is `cursor`; None where it does not say it."""
    back = said.get("back")
    if type(back) is not int or not 0 < back <= cursor.offset:
        return None
    return Cursor(epoch=cursor.epoch, offset=cursor.offset - back)


def grown(data: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """The whole status that the data of a `content_delta` make of `data`: fields that are set, texts and lists that are
    appended to. One that holds something else begins anew."""
    sets, appends = _parts(said).values()
    fields = {**data, **sets}
    if isinstance(moment := said.get("timestamp"), str):
        fields["timestamp"] = moment
    for name, addition in appends.items():
        before: Any = fields.get(name)
        fields[name] = before + addition if type(before) is type(addition) else addition
    return fields


def _parts(said: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {name: said[name] if isinstance(said.get(name), dict) else {} for name in ("set", "append")}
