"""Subscribers: what a replica needs of those that read it."""

from __future__ import annotations

from typing import Protocol

from statushub.hub.model.cursor import Cursor


class Subscriber(Protocol):
    """Reads one or more replicas of a tenant. Every call returns immediately."""

    @property
    def cursor(self) -> Cursor:
        """Where it stands."""

    @property
    def spans_channels(self) -> bool:
        """Whether it reads several channels, which share its one cursor."""

    def pause(self) -> None:
        """A replica that it reads is no longer live: it is behind from now on."""

    def catch_up(self) -> None:
        """There may be something to read, and it may be possible to read it."""

    def invalidate(self) -> None:
        """Its cursor is void: it is reset before it reads on."""


class Paced(Protocol):
    """May have to wait until it is sent whole states of contents that grow."""

    def release(self) -> None:
        """An ending has come: it waits no longer."""


class Recipient(Subscriber, Paced, Protocol):
    """A subscriber that events are written to."""

    def due(self, size: int) -> float:
        """In how many seconds it may be sent a whole state of so many bytes; 0.0 is now."""

    def show(self) -> None:
        """It is sent such a state now."""

    def hold(self, offset: int, seconds: float) -> None:
        """It has been written everything up to `offset`, and is written nothing more before `seconds` have passed."""
