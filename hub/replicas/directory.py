"""The directory: a hub's knowledge of which channels a tenant has, for the selections of its patterns. No I/O.

While it is *hearing*, it hears every announcement of the tenant, each following the one before on the clock: so no
channel can come into being unnoticed, and a selection whose channels were read from the index stays complete.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from statushub.hub.model.cursor import Cursor
from statushub.hub.model.event import Announcement
from statushub.hub.replicas.selection import Criteria, Selection

IGNORED: Final = 10_000
"""Channels that are remembered as followed by no selection, so that their events cost no match: a MB."""

Survey = Callable[["Directory"], None]
"""Starts to find out what the directory does not know."""


class Directory:
    """`last` is the offset up to which every announcement was heard, `floor` that of channels that are empty.

    `frozen` counts the loss of the broker that found it hearing, and is 0 otherwise. `survey` counts the beginnings of
    surveys: what was read for an earlier one says nothing.
    """

    __slots__ = (
        "_expect",
        "_ignored",
        "_later",
        "_shared",
        "_start",
        "_verify",
        "epoch",
        "floor",
        "frozen",
        "heard",
        "hearing",
        "last",
        "selections",
        "survey",
        "surveying",
        "tenant",
    )

    def __init__(
        self,
        tenant: str,
        *,
        start: Survey,
        verify: Survey,
        expect: Callable[[str, str, str], bool],
        later: Callable[[Selection], None],
    ) -> None:
        """`expect` looks for an epoch of a tenant, given the known one; the others are as `Place` needs them."""
        self.tenant = tenant
        self.epoch: str | None = None
        self.last = 0
        self.floor = 0
        self.hearing = False
        self.frozen = 0
        self.survey = 0
        self.surveying = False
        # The epoch and offset of the latest announcement, also while it is not hearing.
        self.heard = ("", 0)
        self.selections: set[Selection] = set()
        self._shared: dict[Criteria, Selection] = {}
        self._ignored: set[str] = set()
        self._start = start
        self._verify = verify
        self._expect = expect
        self._later = later

    # Selections

    def select(self, criteria: Criteria) -> Selection:
        """The selection of these channels. One that has left channels out is shared no longer: they may fit by now."""
        selection = self._shared.get(criteria)
        if selection is None or selection.exceeded is not None:
            selection = self._shared[criteria] = Selection(self, criteria)
            self.selections.add(selection)
            self._ignored.clear()
        return selection

    def drop(self, selection: Selection) -> None:
        """Drop a selection that has no viewers."""
        selection.close()
        self.selections.discard(selection)
        if self._shared.get(selection.criteria) is selection:
            del self._shared[selection.criteria]

    def verify(self) -> None:
        self._verify(self)

    def reaches(self, offset: int) -> bool:
        if offset > self.last:
            self._verify(self)
        return offset <= self.last

    def expect(self, epoch: str) -> bool:
        return self._expect(self.tenant, self.epoch or "", epoch)

    def later(self, selection: Selection) -> None:
        self._later(selection)

    def catch_up(self) -> None:
        """Let the viewers of all selections catch up, where they can."""
        for selection in self.selections:
            selection.catch_up()

    # What it knows

    def begin_survey(self) -> None:
        """What it knows may be incomplete: find out. Its viewers wait."""
        self.lose()
        self.survey += 1
        self._start(self)

    def lose(self, loss: int = 0) -> None:
        """It hears nothing from now on. `loss` counts the loss of the broker that is the reason: it stays true for that
        moment."""
        self.frozen = loss if self.hearing else 0
        self.hearing = False
        for selection in self.selections:
            selection.pause()
            selection.indexed = selection.indexed and self.frozen > 0
            # Those that wait for it may go on without.
            selection.settled.set()
            selection.settled.clear()

    def hear_on(self, epoch: str, offset: int, floor: int) -> None:
        """Every announcement up to this place was heard, and further ones are."""
        if self.epoch != epoch:
            self.epoch, self.last, self.floor = epoch, 0, 0
        heard = self.heard[1] if self.heard[0] == epoch else 0
        self.last = max(self.last, offset, heard)
        self.floor = max(self.floor, floor)
        self.hearing = True

    def follows(self, announcement: Announcement) -> bool:
        """Whether nothing is missing before the announcement; only while it is hearing."""
        return announcement.epoch == self.epoch and announcement.before is not None and announcement.before <= self.last

    def misses(self, clock: Cursor) -> bool:
        """Whether it has not heard what was announced up to there, though all of that has reached the hub."""
        return self.hearing and clock.epoch == self.epoch and clock.offset > self.last

    def hear(self, announcement: Announcement) -> None:
        """Take the announcement's place on the clock."""
        offset = announcement.event.offset
        self.heard = (announcement.epoch, offset)
        if self.hearing and announcement.epoch == self.epoch:
            self.last = max(self.last, offset)
            self.floor = max(self.floor, announcement.floor)

    def wanting(self, channel: str) -> list[Selection]:
        """The selections that want a channel they do not have."""
        if channel in self._ignored:
            return []
        found = [it for it in self.selections if it.exceeded is None and it.criteria.match(channel)]
        if not found:
            if len(self._ignored) >= IGNORED:
                self._ignored.clear()
            self._ignored.add(channel)
        return found
