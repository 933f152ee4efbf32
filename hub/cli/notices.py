"""What a watch says about its connection."""

from __future__ import annotations

from collections.abc import Callable, Generator

from statushub.hub.cli.failure import TROUBLE, USAGE, Failure
from statushub.hub.model.errors import StatushubError
from statushub.producers.following.change import Change
from statushub.producers.following.follow import Plan, SyncFollow
from statushub.producers.following.observer import Observer
from statushub.producers.transports import Denied


class Notices:
    """Sentences for the user, as `Observer`. Where nothing comes at all in the beginning, the watch ends."""

    def __init__(self, name: str, put: Callable[[str], object]) -> None:
        """`name` is the hub's, and `put` takes the sentences."""
        self.began = False
        """Whether a change has come."""
        self._name = name
        self._put = put
        self._paused = False

    def paused(self, sentence: str) -> None:
        self._paused = True
        self._put(f"{sentence}; reconnecting, and no event is lost")

    def lost(self, error: StatushubError) -> None:
        if not self.began:
            raise Failure(error.message, USAGE if isinstance(error, Denied) else TROUBLE)
        if not self._paused:
            self._put(f"{error.message}; reconnecting, and no event is lost")

    def back(self) -> None:
        self._paused = False
        self._put(f"{self._name} is back")

    def polling(self, error: StatushubError) -> None:
        self._put(f"{error.message}; polling, and no event is lost")

    def limited(self, sentence: str) -> None:
        self._put(sentence)

    def misfit(self, content_id: str) -> None:
        """The user need not know."""


def changes(plan: Plan, notices: Notices) -> Generator[Change]:
    """The changes of the plan. Raises `Failure` where nothing comes at all in the beginning, and as `follow_sync`."""
    for change in SyncFollow(plan):
        notices.began = True
        yield change


_fits: Callable[..., Observer] = Notices
