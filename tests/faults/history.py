"""Reports of producers, states of contents, and what a viewer was shown. Pure data."""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec

from statushub.hub.model.cursor import Cursor
from statushub.hub.model.event import Event
from statushub.hub.model.vocabulary import COMPLETE, ERROR

STALLED: Final = "stalled"

Rank: TypeAlias = tuple[int, int, bool]
"""The progress of a content: the run of the work, the step in the run, and whether it ended there as stalled."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One status that a producer offers; a `late` one repeats a superseded status and must be refused."""

    content: str
    channel: str
    run: int
    step: int
    final: bool
    late: bool = False

    @property
    def rank(self) -> Rank:
        return self.run, self.step, False


class _Data(msgspec.Struct):
    run: int
    step: int
    error_code: str | None = None


_decoder: Final = msgspec.json.Decoder(_Data)


class State(msgspec.Struct, frozen=True, kw_only=True):
    """One state of a content, as stored or shown."""

    content: str
    channel: str
    epoch: str
    offset: int
    type: str
    data: bytes
    rank: Rank

    @classmethod
    def of(cls, epoch: str, event: Event) -> State:
        """The state in an event, which is of this suite's producers or a hub's ending."""
        said = _decoder.decode(event.data)
        return cls(
            content=event.content_id,
            channel=event.channel,
            epoch=epoch,
            offset=event.offset,
            type=event.type,
            data=event.data,
            rank=(said.run, said.step, said.error_code == STALLED),
        )

    @property
    def final(self) -> bool:
        return self.type in (COMPLETE, ERROR)

    @property
    def stalled(self) -> bool:
        return self.rank[2]


class Reset(msgspec.Struct, frozen=True):
    """The viewer was sent `reset`."""


class Ready(msgspec.Struct, frozen=True):
    """The viewer was sent `ready` with this cursor."""

    cursor: Cursor


class Shown(msgspec.Struct, frozen=True):
    """The viewer was sent a state, at this time of the monotonic clock."""

    state: State
    at: float


Entry: TypeAlias = Shown | Reset | Ready
"""One entry in the history of a viewer."""


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """All that a broker holds, of every channel, while no producer publishes."""

    epoch: str
    states: dict[str, State]

    def of(self, channels: frozenset[str]) -> dict[str, State]:
        """The states in these channels."""
        return {content: state for content, state in self.states.items() if state.channel in channels}


def difference(view: dict[str, State], stored: dict[str, State], epoch: str) -> str | None:
    """How a view differs from the expected state; None where it does not."""
    for content in stored.keys() - view.keys():
        return f"{content} is not shown"
    for content, state in view.items():
        there = stored.get(content)
        if there is None:
            return f"{content} is shown, and is not stored"
        if state.epoch != epoch:
            return f"{content} is shown with epoch {state.epoch}, and the clock's is {epoch}"
        if (state.offset, state.type, state.data) != (there.offset, there.type, there.data):
            return f"{content} is shown at {state.offset} {state.rank}, and is stored at {there.offset} {there.rank}"
    return None
