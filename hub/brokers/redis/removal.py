"""Removal on request, in calls of a bounded size: for hubs, and for producers that connect to Redis themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

from statushub.hub.brokers.contract import REMOVE_BATCH, Removal
from statushub.hub.brokers.redis import commands
from statushub.hub.brokers.redis.commands import Call
from statushub.hub.model.cursor import Cursor

LISTED_CONTENTS: Final = 1_000
"""Contents listed in one call: a millisecond of the server's time."""


class Caller(Protocol):
    """Calls a function of the library. Raises `BrokerUnavailable`."""

    async def call(self, call: Call) -> Any: ...


async def remove(client: Caller, prefix: str, channel: str, content_ids: Sequence[str] | None) -> Removal:
    """As `Broker.remove`, for the tenant of `prefix`."""
    wanted = await _listed(client, prefix, channel) if content_ids is None else [*dict.fromkeys(content_ids)]
    cursor, removed = await _erase(client, prefix, channel, wanted[:REMOVE_BATCH])
    for start in range(REMOVE_BATCH, len(wanted), REMOVE_BATCH):
        cursor, further = await _erase(client, prefix, channel, wanted[start : start + REMOVE_BATCH])
        removed += further
    return Removal(cursor=cursor, removed=removed)


async def _erase(client: Caller, prefix: str, channel: str, content_ids: Sequence[str]) -> tuple[Cursor, list[str]]:
    answer = await client.call(commands.erase_call(prefix, channel, content_ids))
    return commands.erased(content_ids, answer)


async def _listed(client: Caller, prefix: str, channel: str) -> list[str]:
    """The contents of a channel. One that changes during the read moves behind what is read yet, and comes again."""
    listed: dict[str, None] = {}
    epoch, offset = "", 0
    while True:
        call = commands.ids_call(prefix, channel, epoch, offset, LISTED_CONTENTS, whole=True)
        page = commands.page(await client.call(call))
        listed.update(dict.fromkeys(page.contents))
        if not page.more:
            return [*listed]
        epoch, offset = page.clock.epoch, page.last
