"""The index of channels on Redis, read in two calls: the names of a page, and what is known of each of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from statushub.hub.brokers.contract import ChannelEntry, ChannelPage
from statushub.hub.brokers.listing import Listing
from statushub.hub.brokers.redis import commands
from statushub.hub.brokers.redis.client import Client
from statushub.hub.brokers.redis.commands import Call
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.errors import BrokerUnavailable


def channels_call(prefix: str, listing: Listing) -> Call:
    """The call that reads the names of a page."""
    keys = [commands.clock_key(prefix), f"{prefix}:index", f"{prefix}:names"]
    bounds = _names(listing) if listing.by_name else _offsets(listing)
    return Call(function="channels", keys=keys, args=["name" if listing.by_name else "", *bounds, listing.rows])


def _names(listing: Listing) -> tuple[bytes, bytes]:
    beyond = listing.named is not None and listing.named >= listing.prefix
    first = b"(" + (listing.named or b"") if beyond else b"[" + listing.prefix
    # A byte that UTF-8 has nowhere, so that every name with the prefix comes before it.
    return first, b"(" + listing.prefix + b"\xff"


def _offsets(listing: Listing) -> tuple[str, str]:
    return "+inf" if listing.below is None else f"({listing.below}", f"({listing.since}"


def channels(answer: Sequence[int | bytes]) -> tuple[Cursor, list[tuple[bytes, int]]]:
    """The answer of `channels`: the clock, and names with their offsets."""
    rows = iter(answer[2:])
    return _clock(answer), [(_bytes(name), int(offset)) for name, offset in zip(rows, rows, strict=True)]


def counts_call(prefix: str, channels: Sequence[str]) -> Call:
    """The call that reads what is known of these channels."""
    keys = [commands.clock_key(prefix), f"{prefix}:index", *(commands.counts_key(prefix, it) for it in channels)]
    return Call(function="counts", keys=keys, args=channels)


def counts(channels: Sequence[str], answer: Sequence[Any]) -> tuple[Cursor, list[ChannelEntry | None], list[str]]:
    """The answer of `counts` about these channels: the clock, the entry of each or None, and those whose keys hold
    something else."""
    rows = list(zip(channels, answer[2:], strict=True))
    entries = [_entry(channel, row) if row else None for channel, row in rows]
    foreign = [
        channel for (channel, row), entry in zip(rows, entries, strict=True) if entry is None and row is not None
    ]
    return _clock(answer), entries, foreign


def _entry(channel: str, row: Sequence[int | bytes]) -> ChannelEntry | None:
    try:
        offset, updated, pending, processing, completed, failed, idle = map(int, row)
    except ValueError:
        return None  # another program's hash
    return ChannelEntry(
        channel=channel,
        offset=offset,
        updated_at=updated / 1000,
        pending=pending,
        processing=processing,
        completed=completed,
        failed=failed,
        idle=idle,
    )


async def read_page(client: Client, prefix: str, listing: Listing, skip: Callable[[str], None]) -> ChannelPage:
    """As `Broker.channels`; `skip` is called with each key that holds something else.

    Channels move between the two calls. Offsets and counts are those of the second, the page's end is of the first.
    """
    cursor, rows = channels(await client.call(channels_call(prefix, listing)))
    taken, next = listing.cut(rows)
    # A foreign publisher's broken UTF-8 names a channel that no request can name: it is not in the index so.
    names = [name.decode(errors="replace") for name, _ in taken]
    if not names:
        return ChannelPage(cursor=cursor, entries=[], next=next)
    clock, found, foreign = counts(names, await client.call(counts_call(prefix, names)))
    if clock.epoch != cursor.epoch:
        raise BrokerUnavailable("the clock has begun anew during the read")
    for channel in foreign:
        skip(commands.counts_key(prefix, channel))
    entries = [entry for entry in found if entry is not None]
    if not listing.by_name:
        entries.sort(key=lambda entry: -entry.offset)
    return ChannelPage(cursor=cursor, entries=entries, next=next)


def _clock(answer: Sequence[Any]) -> Cursor:
    return Cursor(epoch=str(answer[0], "ascii"), offset=int(answer[1]))


def _bytes(value: int | bytes) -> bytes:
    return value if isinstance(value, bytes) else b"%d" % value
