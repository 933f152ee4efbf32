"""Transports carry publications to where they are stored. This module is their contract, and their errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from statushub.hub.brokers.contract import Cancels
from statushub.hub.feeds.contract import Written
from statushub.hub.feeds.writes import AnyWrite
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.errors import BrokerUnavailable, StatushubError
from statushub.hub.model.publication import Publication
from statushub.hub.model.receipt import Receipt
from statushub.producers.removal import Removed


class Denied(StatushubError):
    """Raised when the hub, or Redis, answers and accepts nothing from this producer: a wrong token or password, a
    missing permission, a wrong address. Trying again does not help until the setting is corrected."""

    code = "denied"


class Busy(BrokerUnavailable):
    """Raised when the hub asks to come back in `retry_after` seconds."""

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Transport(Protocol):
    """Carries publications to a hub or into Redis. Opens its connections when they are needed."""

    name: str
    """The address, without secrets."""

    async def send(self, publications: Sequence[Publication]) -> list[Receipt]:
        """Publish; returns a receipt each, in order.

        Raises `BrokerUnavailable` where it is not known whether all arrived (some may have: send the same again),
        `Invalid` where one of them is refused and therefore none was stored, `Denied`.
        """

    async def remove(self, channel: str, content_ids: Sequence[str] | None) -> Removed:
        """Remove these contents of the channel, or all of them for None. Raises what `send` raises; repeating it is
        harmless."""

    async def feed(self, writes: Sequence[AnyWrite]) -> list[Written]:
        """Write up to `BATCH` writes into feeds, all or none. Raises what `send` raises; with ids, repeating it is
        harmless."""

    async def cancels(self, content_ids: Sequence[str], since: Cursor | None) -> Cancels:
        """The requests to cancel after `since`, those of `content_ids` among them, as soon as there are any, or after
        some time. Raises `BrokerUnavailable`, and what `send` raises where it is useless to ask again."""

    async def aclose(self) -> None:
        """Close the connections."""
