"""The calls of `functions.lua`, as arguments and answers. No I/O."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.resources import files
from typing import Any, Final

import msgspec

from statushub.hub.model.cursor import COUNTER_MAX, Cursor
from statushub.hub.model.errors import TooManyRequests
from statushub.hub.model.event import Announcement, Event, tombstone
from statushub.hub.model.limits import PublishRate, StorageLimits
from statushub.hub.model.publication import Publication, stalled
from statushub.hub.model.receipt import Receipt, Refusal
from statushub.hub.model.vocabulary import CONTENT_REMOVED

MAJOR: Final = 5
"""The library's major version. Its functions carry it in their names: another one has another form."""

MINOR: Final = 1
"""The library's minor version. It replaces a lower one on a server."""

FUNCTION: Final = f"statushub{MAJOR}_"
"""What the names of the functions begin with."""

FORMER_LIBRARY: Final = "statushub"
"""The library of the former version. It is deleted: this one answers its producers, and its hubs must not write."""

LIBRARY: Final = files("statushub.hub.brokers.redis").joinpath("functions.lua").read_text(encoding="utf-8")
"""The library's source, for `FUNCTION LOAD REPLACE`."""

MISSING: Final = "Function not found"
"""The server's message where the library is not loaded: it restarted without its data, or is new."""

_TOMBSTONE: Final = "\1"
_FLOOR: Final = "\2"
_TOMBSTONE_ROW: Final = ("channel", "offset")

RETENTION: Final = "retention"
"""The field of the settings that holds the hubs' retention, in milliseconds."""


def root(db: int) -> str:
    """What every key begins with. It names the database, because Redis' pub/sub spans all databases."""
    return f"hub{db}" if db else "hub"


def prefix(root: str, tenant: str) -> str:
    """The key prefix of a tenant; its hash tag puts all of the tenant in one cluster slot."""
    return f"{root}:{{{tenant}}}"


def tenants(root: str) -> str:
    """The key of the set of tenants that have leases to sweep. It lies outside the tenants' own slots."""
    return f"{root}:tenants"


def settings(root: str) -> str:
    """The key of the hash in which hubs write what publishers need to know."""
    return f"{root}:settings"


def events(prefix: str, channel: str) -> bytes:
    """The pub/sub channel on which a channel's events are announced."""
    return f"{prefix}:events:{channel}".encode()


def milliseconds(seconds: float) -> str:
    """Seconds as the functions take them."""
    return str(round(seconds * 1000))


def seconds(milliseconds: bytes | str | None) -> float | None:
    """Seconds of a stored number of milliseconds; None where there is no valid one."""
    text = _text(milliseconds or "")
    return int(text) / 1000 if text.isascii() and text.isdigit() and int(text) else None


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A call of a function: its name without the prefix, its keys, of which the first names the slot, and its other
    arguments."""

    function: str
    keys: Sequence[str]
    args: Sequence[str | bytes | int] = ()

    @property
    def command(self) -> list[str | bytes | int]:
        """The command and its arguments."""
        return ["FCALL", FUNCTION + self.function, len(self.keys), *self.keys, *self.args]


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """A content, or a tombstone, that a sweep found, and the channel where it is known."""

    content_id: str
    channel: str = ""


def clock_key(prefix: str) -> str:
    """The key of the tenant's clock."""
    return f"{prefix}:clock"


def content_key(prefix: str, content_id: str) -> str:
    """The key of a content."""
    return f"{prefix}:content:{content_id}"


def channel_key(prefix: str, channel: str) -> str:
    """The key of a channel."""
    return f"{prefix}:channel:{channel}"


def _tenant_keys(prefix: str) -> list[str]:
    return [f"{prefix}:{name}" for name in ("clock", "leases", "ends", "index", "names")]


def _content_keys(prefix: str, channel: str, content_id: str) -> tuple[str, str, str]:
    return content_key(prefix, content_id), channel_key(prefix, channel), f"{prefix}:counts:{channel}"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a hub writes into the clocks of its tenants, for every publisher. `retention` is in seconds."""

    retention: float | None = None
    limits: StorageLimits | None = None

    def args(self, retention: float | None = None) -> list[str]:
        """As the functions take them; `retention` replaces that of the settings."""
        seconds = self.retention if retention is None else retention
        limits = self.limits
        return [
            "" if seconds is None else milliseconds(seconds),
            "",
            *(("", "", "") if limits is None else map(str, (limits.contents, limits.bytes, limits.channel_contents))),
        ]


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """What one publish takes of a publisher's rates."""

    rate: PublishRate
    events: int
    bytes: int

    @property
    def args(self) -> tuple[str | int, ...]:
        """As the function takes it."""
        return self.rate.sub, repr(self.rate.events), repr(self.rate.bytes), self.events, self.bytes


def publish_call(
    prefix: str,
    publications: Sequence[Publication],
    settings: Settings,
    *,
    retention: float | None = None,
    spent: Spent | None = None,
) -> Call:
    """The call that publishes; `retention` is in seconds, `spent` is counted with it."""
    keys = [*_tenant_keys(prefix), f"{prefix}:rates"]
    args: list[str | bytes | int] = [*settings.args(retention)]
    args += ("",) * 5 if spent is None else spent.args
    for p in publications:
        keys += _content_keys(prefix, p.channel, p.content_id)
        args += (
            p.channel,
            p.content_id,
            p.type,
            p.phase.value,
            "" if p.attempt is None else str(p.attempt),
            "" if p.seq is None else str(p.seq),
            "" if p.lease is None else repr(p.lease),
            p.run or "",
            str(p.age_ms),
            "restart" if p.restart else "",
            "",
            p.data,
        )
    return Call(function="publish", keys=keys, args=args)


def receipts(answer: Sequence[int | bytes]) -> list[Receipt]:
    """The answer of `publish`. Raises `TooManyRequests` where a rate was exceeded."""
    if answer[:1] == [-1]:
        _, wait, rate = answer
        raise TooManyRequests(
            f"more {_text(rate)} were published in a second than this publisher may",
            retry_after=int(wait) / 1000,
            limit="publish_rate",
        )
    verdicts = iter(answer)
    return [_receipt(*verdict) for verdict in zip(verdicts, verdicts, verdicts, strict=True)]


def _receipt(accepted: int | bytes, verdict: int | bytes, attempt: int | bytes) -> Receipt:
    text = _text(verdict)
    return Receipt(cursor=Cursor.parse(text), attempt=int(attempt)) if accepted else Receipt(reason=Refusal(text))


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """An answer of `ids`: the clock, the channel's floor, whether more follow, and up to a limit of contents and
    tombstones with their offsets."""

    clock: Cursor
    floor: int
    more: bool
    contents: dict[str, int]
    tombstones: dict[str, int]

    @property
    def last(self) -> int:
        """The highest offset in it; 0 where it is empty."""
        return max([*self.contents.values(), *self.tombstones.values()], default=0)


def ids_call(prefix: str, channel: str, epoch: str, offset: int, limit: int, *, whole: bool) -> Call:
    """The call that reads which contents of a channel have changed since a cursor. `whole`: it is a page of a read of
    all of the channel, for which the floor does not count."""
    keys = [clock_key(prefix), channel_key(prefix, channel)]
    return Call(function="ids", keys=keys, args=[epoch, offset, limit, "whole" if whole else ""])


def page(answer: Sequence[int | bytes]) -> Page:
    """The answer of `ids`."""
    epoch, offset, floor, more = answer[:4]
    members = iter(answer[4:])
    contents: dict[str, int] = {}
    tombstones: dict[str, int] = {}
    for name, at in zip(members, members, strict=True):
        member = _text(name)
        if member.startswith(_TOMBSTONE):
            tombstones[member[1:]] = int(at)
        elif member != _FLOOR:
            contents[member] = int(at)
    return Page(
        clock=_clock(epoch, offset), floor=int(floor), more=bool(more), contents=contents, tombstones=tombstones
    )


class States(msgspec.Struct, frozen=True, kw_only=True):
    """An answer of `states`: the clock, and of each content its event, which may be a tombstone, or None. `foreign`
    are those whose keys hold something else."""

    clock: Cursor
    events: list[Event | None]
    foreign: list[str]


def states_call(prefix: str, content_ids: Sequence[str]) -> Call:
    """The call that reads contents."""
    return Call(function="states", keys=[clock_key(prefix), *(content_key(prefix, it) for it in content_ids)])


def states(content_ids: Sequence[str], answer: Sequence[Any]) -> States:
    """The answer of `states` about these contents."""
    rows = list(zip(content_ids, answer[2:], strict=True))
    return States(
        clock=_clock(answer[0], answer[1]),
        events=[_row(content_id, row) for content_id, row in rows],
        foreign=[content_id for content_id, row in rows if row == b""],
    )


def _row(content_id: str, row: Any) -> Event | None:
    if not row:
        return None
    # Interned, because many contents share them, and comparing identical strings is fast.
    channel = sys.intern(_text(row[0]))
    if len(row) == len(_TOMBSTONE_ROW):
        return tombstone(channel, content_id, int(row[1]))
    return Event(
        channel=channel, content_id=content_id, offset=int(row[1]), type=sys.intern(_text(row[2])), data=row[3]
    )


def offsets_call(prefix: str, channels: Sequence[str]) -> Call:
    """The call that reads the offsets of channels."""
    return Call(function="offsets", keys=[clock_key(prefix), *(channel_key(prefix, it) for it in channels)])


def offsets(answer: Sequence[int | bytes]) -> tuple[Cursor, int, list[int]]:
    """The answer of `offsets`: the clock, the floor of empty channels, and the offset of each channel, -1 where its key
    holds something else."""
    return _clock(answer[0], answer[1]), int(answer[2]), [int(offset) for offset in answer[3:]]


def due_call(prefix: str, now: float | None, limit: int, settings: Settings) -> Call:
    """The call that sweeps a tenant; `now` is in Unix seconds."""
    return Call(function="due", keys=_tenant_keys(prefix)[:3], args=[_moment(now), limit, *settings.args()])


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """An answer of `due`: contents whose lease has run out, contents whose retention has ended, and tombstones that
    are old enough to be forgotten."""

    overdue: list[str]
    ended: list[str]
    forgotten: list[Named]


def due(answer: Sequence[Sequence[bytes]]) -> Due:
    """The answer of `due`."""
    members = [_text(member) for member in answer[1]]
    tombstones = [member[1:].partition("\t") for member in members if member.startswith(_TOMBSTONE)]
    return Due(
        overdue=[_text(content_id) for content_id in answer[0]],
        ended=[member for member in members if not member.startswith(_TOMBSTONE)],
        forgotten=[Named(channel=channel, content_id=content_id) for channel, _, content_id in tombstones],
    )


def stall_call(
    prefix: str, now: float | None, settings: Settings, contents: Sequence[tuple[str, Event | None]]
) -> Call:
    """The call that ends contents whose lease has run out, given what is known of each: as stalled, or, where that is
    nothing, only its lease."""
    keys = _tenant_keys(prefix)
    args: list[str | bytes | int] = [settings.args()[0], _moment(now)]
    for content_id, event in contents:
        keys += _content_keys(prefix, event.channel if event else "", content_id)
        if event is None or event.removed:
            args += ("", content_id, "", "", "")
        else:
            ending = stalled(event)
            args += (event.channel, content_id, event.offset, ending.type, ending.data)
    return Call(function="stall", keys=keys, args=args)


def remove_call(prefix: str, now: float | None, contents: Sequence[tuple[str, Event | None]]) -> Call:
    """The call that removes contents whose retention has ended, given what is known of each."""
    keys = _tenant_keys(prefix)
    args: list[str | bytes | int] = [_moment(now), CONTENT_REMOVED]
    for content_id, event in contents:
        channel, offset = (event.channel, event.offset) if event else ("", 0)
        keys += _content_keys(prefix, channel, content_id)
        args += (channel, content_id, offset, tombstone(channel, content_id, offset).data)
    return Call(function="remove", keys=keys, args=args)


def forget_call(prefix: str, now: float | None, tombstones: Sequence[Named]) -> Call:
    """The call that forgets tombstones."""
    keys = _tenant_keys(prefix)
    args: list[str | bytes | int] = [_moment(now)]
    for it in tombstones:
        keys += _content_keys(prefix, it.channel, it.content_id)
        args += (it.channel, it.content_id)
    return Call(function="forget", keys=keys, args=args)


def _moment(now: float | None) -> str:
    return "" if now is None else milliseconds(now)


def announcement(tenant: str, channel: str, message: bytes) -> Announcement:
    """A message on a channel's pub/sub channel. Raises `ValueError` for a foreign publisher's message."""
    head, newline, data = message.partition(b"\n")
    epoch, offset_text, prev_text, content_id, type = head.decode().split("\t")
    offset, prev = int(offset_text), int(prev_text)
    if not newline or b"\r" in head or not 0 <= prev < offset <= COUNTER_MAX:
        raise ValueError("not an announcement")
    event = Event(channel=channel, content_id=content_id, offset=offset, type=sys.intern(type), data=data)
    return Announcement(tenant=tenant, epoch=epoch, prev=prev, event=event)


def _clock(epoch: int | bytes, offset: int | bytes) -> Cursor:
    return Cursor(epoch=_text(epoch), offset=int(offset))


def _text(value: str | int | bytes) -> str:
    # A foreign publisher's broken UTF-8 must not keep a channel from being read.
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
