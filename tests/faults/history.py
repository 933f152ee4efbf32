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


def written(content: str, run: int, step: int) -> str:
    """The text of a content that grows, after so many steps of a run: no two of its pieces are alike."""
    return "".join(piece(content, run, it) for it in range(1, step + 1))


def piece(content: str, run: int, step: int) -> str:
    """What a step appends."""
    return f"{content} {run}.{step} é\u2028😀; "


class _Data(msgspec.Struct):
    run: int
    step: int
    error_code: str | None = None
    text: str | None = None


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
    text: str | None = None
    """That of a content that grows."""

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
            text=said.text,
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


class Gone(msgspec.Struct, frozen=True):
    """The viewer was sent that a content was removed, with this cursor."""

    content: str
    cursor: Cursor


class Misfit(msgspec.Struct, frozen=True):
    """The viewer was sent a delta that builds on the event `after`, and has the one at `held`, or nothing."""

    content: str
    after: str
    held: str | None


Entry: TypeAlias = Shown | Gone | Reset | Ready | Misfit
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
        if (state.offset, state.type) != (there.offset, there.type) or not _equal(state.data, there.data):
            return f"{content} is shown at {state.offset} {state.rank}, and is stored at {there.offset} {there.rank}"
    return None


def _equal(data: bytes, other: bytes) -> bool:
    """Whether these are the same state: one that is made of deltas may be written in another way."""
    return data == other or msgspec.json.decode(data) == msgspec.json.decode(other)
