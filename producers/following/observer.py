"""What a follower says about its connection, beside the changes."""

from __future__ import annotations

import logging
from typing import Protocol

from statushub.hub.model.errors import StatushubError

logger = logging.getLogger("statushub.follow")


class Observer(Protocol):
    """Hears how the connection is. What it raises ends the follower."""

    def paused(self, sentence: str) -> None:
        """The hub has ended the stream, and asked to come back soon."""

    def lost(self, error: StatushubError) -> None:
        """Nothing comes any more. Called once an outage; a `Denied` is one that most likely does not end by itself."""

    def back(self) -> None:
        """Changes come again."""

    def polling(self, error: StatushubError) -> None:
        """No stream comes through, and polls do. Called once until a stream comes through again."""

    def limited(self, sentence: str) -> None:
        """The pattern names more channels than are followed."""

    def misfit(self, content_id: str) -> None:
        """A delta does not build on what is known of the content, whose whole status is read. It is what happens after
        a cursor that the program gave without the statuses it belongs to, and otherwise never."""


class LogObserver:
    """Says it to the log: one warning an outage."""

    def __init__(self, name: str) -> None:
        """`name` is the hub's address, without secrets."""
        self._name = name

    def paused(self, sentence: str) -> None:
        logger.debug("%s", sentence)

    def lost(self, error: StatushubError) -> None:
        logger.warning("%s; trying again until it is back, and no change is lost", error.message)

    def back(self) -> None:
        logger.info("%s is back", self._name)

    def polling(self, error: StatushubError) -> None:
        logger.warning("%s; polling until a stream comes through", error.message)

    def limited(self, sentence: str) -> None:
        logger.warning("%s", sentence)

    def misfit(self, content_id: str) -> None:
        logger.debug("the whole status of %r is read", content_id)


_fits: type[Observer] = LogObserver
