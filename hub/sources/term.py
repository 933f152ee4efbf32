"""The term of the hub that writes the record: of many hubs on one broker one writes at a time.

It is kept where the hub's state is, as contents of a tenant that no token can name, and held by the fence: a hub begins
a term by a run of its own, and what the hub of an earlier term publishes is superseded from then on. So are its marks,
which say up to where on a tenant's clock the record has everything.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import Any, Final, Protocol

import msgspec

from statushub.hub.brokers.contract import Found
from statushub.hub.brokers.periodic import repeat
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.errors import Invalid
from statushub.hub.model.publication import Publication
from statushub.hub.model.receipt import Receipt, Refusal
from statushub.hub.model.vocabulary import Phase

TENANT: Final = ".record"
"""The tenant of terms and marks. No token can name it: a tenant's name has no dot."""

WRITERS: Final = "writers"
MARKS: Final = "marks"
"""The channels of both, so that marks, which are many, never fill that of the writer."""

TYPE: Final = "record"

WRITER: Final = "writer"
"""The content whose events say that the hub that writes is there."""

PATIENCE: Final = 5
"""Intervals in which it says nothing, after which another hub begins a term: it was killed, or is stuck."""

RETENTION_SECONDS: Final = 366 * 24 * 3600.0
"""For marks, far beyond that of contents: without its mark a tenant's contents are all compared with their rows."""


class Ended(Exception):
    """Raised where another hub has begun a term."""


class Store(Protocol):
    """What terms are kept in: a broker."""

    async def lookup(self, tenant: str, content_ids: Sequence[str]) -> Found:
        """As `Broker.lookup`."""

    async def publish(
        self, tenant: str, publications: Sequence[Publication], *, retention: float | None = None
    ) -> list[Receipt]:
        """As `Broker.publish`."""


class _Mark(msgspec.Struct, frozen=True):
    cursor: str


_decoder = msgspec.json.Decoder(_Mark)
_encode = msgspec.json.Encoder().encode


class Term:
    """One hub's terms, one after the other."""

    held: bool
    """Whether this hub is the one that writes."""

    def __init__(self, store: Store, *, shared: bool, interval: float) -> None:
        """`shared` is as in `Broker`: without other hubs the term is held from the beginning. The hub that writes says
        so every `interval` seconds."""
        self.held = not shared
        self._store = store
        self._shared = shared
        self._interval = interval
        self._begin()
        self._begun = False
        # The place of the latest event of the hub that writes, and when it was seen first.
        self._seen: object = None
        self._seen_at = 0.0

    def _begin(self) -> None:
        self._run = secrets.token_hex(16)
        self._began = time.monotonic()
        self._marks: dict[str, Cursor | None] = {}

    async def run(self) -> None:
        """Hold the term, or wait for it, until cancelled."""
        if self._shared:
            # While the broker is away no other hub can take it, either.
            await repeat(self._interval, self.renew, "the term of the hub that writes the record")

    async def mark(self, tenant: str) -> Cursor | None:
        """Up to where on the tenant's clock the record has everything; None where that is not known."""
        if tenant not in self._marks:
            [event] = (await self._store.lookup(TENANT, [_mark_id(tenant)])).events
            self._marks[tenant] = None if event is None or event.removed else _parsed(event.data)
        return self._marks[tenant]

    async def save(self, tenant: str, cursor: Cursor) -> None:
        """Keep a mark. Raises `Ended`."""
        receipt = await self._publish(MARKS, _mark_id(tenant), {"cursor": str(cursor)})
        if receipt.reason is Refusal.SUPERSEDED:
            self._end()
        self._marks[tenant] = cursor

    def check(self) -> None:
        """Raises `Ended`."""
        if not self.held:
            raise Ended

    async def renew(self) -> None:
        """Say that this hub writes, or begin a term where no hub says so. Raises `BrokerUnavailable`."""
        if self._begun:
            # Of two hubs that begin a term in one moment the first is superseded before it writes.
            self.held = self._begun = (await self._publish(WRITERS, WRITER, {})).reason is None
        elif await self._vacant():
            self._begin()
            self._begun = (await self._publish(WRITERS, WRITER, {})).reason is None

    async def _vacant(self) -> bool:
        found = await self._store.lookup(TENANT, [WRITER])
        [event] = found.events
        if event is None or event.removed:
            return True
        seen, now = (found.cursor.epoch, event.offset), time.monotonic()
        if seen != self._seen:
            self._seen, self._seen_at = seen, now
        return now - self._seen_at > PATIENCE * self._interval

    def _end(self) -> None:
        self.held = self._begun = not self._shared
        self.check()

    async def _publish(self, channel: str, content_id: str, data: dict[str, Any]) -> Receipt:
        publication = Publication(
            channel=channel,
            content_id=content_id,
            type=TYPE,
            data=_encode(data),
            phase=Phase.PROCESSING,
            # It says what was, and nothing is to be done.
            lease=0.0,
            run=self._run,
            age_ms=int((time.monotonic() - self._began) * 1000),
        )
        [receipt] = await self._store.publish(TENANT, [publication], retention=RETENTION_SECONDS)
        return receipt


def _mark_id(tenant: str) -> str:
    return f"mark/{tenant}"


def _parsed(data: bytes) -> Cursor | None:
    try:
        return Cursor.parse(_decoder.decode(data).cursor)
    except (msgspec.DecodeError, Invalid):
        return None
