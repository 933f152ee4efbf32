"""The calls of `functions.lua`, as arguments and answers. No I/O."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from importlib.resources import files
from typing import Any, Final

import msgspec

from statushub.hub.brokers import growth
from statushub.hub.brokers.contract import Cancel
from statushub.hub.model import cancel
from statushub.hub.model.cancel import CancelRequest
from statushub.hub.model.cursor import COUNTER_MAX, Cursor
from statushub.hub.model.delta import encode
from statushub.hub.model.errors import Invalid, TooManyRequests
from statushub.hub.model.event import Announcement, Event, tombstone
from statushub.hub.model.limits import PublishRate, StorageLimits
from statushub.hub.model.publication import Publication, cancelled, stalled
from statushub.hub.model.receipt import CancelReceipt, CancelRefusal, Receipt, Refusal
from statushub.hub.model.vocabulary import CONTENT_DELTA, CONTENT_REMOVED

MAJOR: Final = 5
"""The library's major version. Its functions carry it in their names: another one has another form."""

MINOR: Final = 6
"""The library's minor version. It replaces a lower one on a server."""

FUNCTION: Final = f"statushub{MAJOR}_"
"""What the names of the functions begin with."""

FORMER_LIBRARY: Final = "statushub"
"""The library of the former version. It is deleted: this one answers its producers, and its hubs must not write."""

LIBRARY: Final = files("statushub.hub.brokers.redis").joinpath("functions.lua").read_text(encoding="utf-8")
"""The library's source, for `FUNCTION LOAD REPLACE`."""

MISSING: Final = "Function not found"
"""The server's message where the library is not loaded: it restarted without its data, or is new."""

FORMER_FORM: Final = "takes 6 keys and 10 arguments, and 3 keys"
"""What an earlier minor version of the library says of a publish that declares the keys of contents that grow."""

_DECIMAL: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")

_TOMBSTONE: Final = "\1"
_FLOOR: Final = "\2"
_TOMBSTONE_ROW: Final = ("channel", "offset")
_STATE_ROW: Final = ("channel", "offset", "type", "data")
_GROWN_ROW: Final = (*_STATE_ROW, "cancel", "log")

_PLAIN_HEAD: Final = ("epoch", "offset", "prev", "content_id", "type", "cancel")
_GROWN_HEAD: Final = (*_PLAIN_HEAD, "after", "bytes")
"""The words before an announcement's data; a plain one may lack the last."""

TOLD: Final = ("retention", "default_lease")
"""What hubs write for other publishers: their retention in milliseconds, and their default lease in seconds."""


def root(db: int, prefix: str = "") -> str:
    """What every key begins with: `prefix`, where Redis is shared with other programs, and the database, because Redis'
    pub/sub spans all databases."""
    name = f"hub{db}" if db else "hub"
    return f"{prefix}:{name}" if prefix else name


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


def tenant_events(prefix: str) -> bytes:
    """The pub/sub channel on which all events of a tenant are announced while it is followed."""
    return f"{prefix}:events".encode()


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


def growth_key(prefix: str, content_id: str) -> str:
    """The key of the log of a content that grows."""
    return f"{prefix}:growth:{content_id}"


def channel_key(prefix: str, channel: str) -> str:
    """The key of a channel."""
    return f"{prefix}:channel:{channel}"


def counts_key(prefix: str, channel: str) -> str:
    """The key of a channel's counts."""
    return f"{prefix}:counts:{channel}"


def cancels_key(prefix: str) -> str:
    """The key of the set of contents that may have a request to cancel."""
    return f"{prefix}:cancels"


def _tenant_keys(prefix: str) -> list[str]:
    return [f"{prefix}:{name}" for name in ("clock", "leases", "ends", "index", "names")]


def _content_keys(prefix: str, channel: str, content_id: str) -> tuple[str, ...]:
    shared = channel_key(prefix, channel), counts_key(prefix, channel)
    return content_key(prefix, content_id), *shared, growth_key(prefix, content_id)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a hub writes into the clocks of its tenants, for every publisher. `retention` and `default_lease` are in
    seconds; None is what hubs have written, and a lease of 0 is none."""

    retention: float | None = None
    default_lease: float | None = None
    limits: StorageLimits | None = None

    def args(self, retention: float | None = None) -> list[str]:
        """As the functions take them; `retention` replaces that of the settings."""
        seconds = self.retention if retention is None else retention
        limits = self.limits
        return [
            "" if seconds is None else milliseconds(seconds),
            "" if self.default_lease is None else f"{self.default_lease:.3f}",
            *(("", "", "") if limits is None else map(str, (limits.contents, limits.bytes, limits.channel_contents))),
        ]


def told(settings: Settings) -> list[str]:
    """The fields of `TOLD` and their values."""
    retention, lease = settings.args()[: len(TOLD)]
    return [TOLD[0], retention, TOLD[1], lease]


def tells(stored: Sequence[bytes | None], settings: Settings) -> bool:
    """Whether the stored values of `TOLD` are those of `settings`."""
    return [_text(value or "") for value in stored] == settings.args()[: len(TOLD)]


def heard(stored: Sequence[bytes | None], before: Settings) -> Settings:
    """The settings that the stored values of `TOLD` tell. Where one is missing or invalid, that of `before` holds: a
    server that lost its data has none until a hub sweeps."""
    retention, lease = seconds(stored[0]), _text(stored[1] or "")
    known = _DECIMAL.fullmatch(lease) is not None
    return Settings(
        retention=retention or before.retention, default_lease=float(lease) if known else before.default_lease
    )


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
            *_said(p),
        )
    return Call(function="publish", keys=keys, args=args)


def _said(p: Publication) -> tuple[str | bytes, bytes]:
    """Of a delta the seq that it follows and its records; of a whole event the fields that it names, and its data."""
    if p.delta is None:
        return " ".join(growth.names_of(p.data)), p.data
    return str(p.delta.follows), growth.pack(growth.records_of(p.delta))


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
    if accepted:
        number, _, request = attempt.partition(b"\t") if isinstance(attempt, bytes) else (attempt, b"", b"")
        return Receipt(
            cursor=Cursor.parse(text), attempt=int(number), cancel=cancel.decode(request) if request else None
        )
    reason, there = Refusal(text), _text(attempt)
    if reason is Refusal.GAP:
        return Receipt(reason=reason, seq=int(there) if there else None)
    return Receipt(reason=reason, channel=there or None)


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
    keys = [clock_key(prefix), *(content_key(prefix, it) for it in content_ids)]
    keys += [growth_key(prefix, it) for it in content_ids]
    return Call(function="states", keys=keys, args=[len(content_ids)])


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
    data = row[3]
    if len(row) == len(_GROWN_ROW):
        data = _grown(data, row[5])
    if len(row) > len(_STATE_ROW) and row[4]:
        data = cancel.composed(data, row[4])
    return Event(channel=channel, content_id=content_id, offset=int(row[1]), type=sys.intern(_text(row[2])), data=data)


def offsets_call(prefix: str, channels: Sequence[str]) -> Call:
    """The call that reads the offsets of channels."""
    return Call(function="offsets", keys=[clock_key(prefix), *(channel_key(prefix, it) for it in channels)])


def offsets(answer: Sequence[int | bytes]) -> tuple[Cursor, int, list[int]]:
    """The answer of `offsets`: the clock, the floor of empty channels, and the offset of each channel, -1 where its key
    holds something else."""
    return _clock(answer[0], answer[1]), int(answer[2]), [int(offset) for offset in answer[3:]]


def follow_call(prefix: str, seconds: float) -> Call:
    """The call that has all events of the tenant announced together, for so many seconds."""
    return Call(function="follow", keys=[clock_key(prefix)], args=[milliseconds(seconds)])


def due_call(prefix: str, now: float | None, limit: int, settings: Settings) -> Call:
    """The call that sweeps a tenant; `now` is in Unix seconds."""
    keys = [*_tenant_keys(prefix)[:3], cancels_key(prefix)]
    return Call(function="due", keys=keys, args=[_moment(now), limit, *settings.args()])


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """An answer of `due`: contents whose lease has run out, contents that are to be cancelled, contents whose retention
    has ended, and tombstones that are old enough to be forgotten."""

    overdue: list[str]
    cancelled: list[str]
    ended: list[str]
    forgotten: list[Named]


def due(answer: Sequence[Sequence[bytes]]) -> Due:
    """The answer of `due`."""
    members = [_text(member) for member in answer[1]]
    tombstones = [member[1:].partition("\t") for member in members if member.startswith(_TOMBSTONE)]
    return Due(
        overdue=[_text(content_id) for content_id in answer[0]],
        cancelled=[_text(content_id) for content_id in answer[2]],
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


def stop_call(prefix: str, now: float | None, settings: Settings, contents: Sequence[tuple[str, Event | None]]) -> Call:
    """The call that ends contents that are to be cancelled, given what is known of each."""
    keys = [*_tenant_keys(prefix), cancels_key(prefix)]
    args: list[str | bytes | int] = [settings.args()[0], _moment(now)]
    for content_id, event in contents:
        keys += _content_keys(prefix, event.channel if event else "", content_id)
        if event is None or event.removed:
            args += ("", content_id, "", "")
        else:
            ending = cancelled(event)
            args += (event.channel, content_id, ending.type, ending.data)
    return Call(function="stop", keys=keys, args=args)


def cancel_call(prefix: str, channel: str, content_id: str, request: CancelRequest) -> Call:
    """The call that asks for a content's attempt to be cancelled."""
    keys = [clock_key(prefix), _tenant_keys(prefix)[3], cancels_key(prefix)]
    keys += _content_keys(prefix, channel, content_id)
    return Call(function="cancel", keys=keys, args=[channel, content_id, cancel.encode(request)])


def cancel_receipt(answer: Sequence[int | bytes]) -> CancelReceipt:
    """The answer of `cancel`."""
    if not answer[0]:
        return CancelReceipt(reason=CancelRefusal(_text(answer[1])))
    _, cursor, request = answer
    return CancelReceipt(cursor=Cursor.parse(_text(cursor)), request=cancel.decode(_bytes(request)))


def cancels_call(prefix: str, limit: int) -> Call:
    """The call that reads which contents may have a request to cancel."""
    return Call(function="cancels", keys=[clock_key(prefix), cancels_key(prefix)], args=[limit])


def cancels(answer: Sequence[int | bytes]) -> tuple[Cursor, list[str]]:
    """The answer of `cancels`."""
    return _clock(answer[0], answer[1]), [_text(content_id) for content_id in answer[2:]]


def requests_call(prefix: str, content_ids: Sequence[str]) -> Call:
    """The call that reads the requests to cancel of contents, at least one."""
    return Call(function="requests", keys=[content_key(prefix, it) for it in content_ids])


def requests(content_ids: Sequence[str], answer: Sequence[Any]) -> list[Cancel]:
    """The answer of `requests` about these contents: those that are in force."""
    found: list[Cancel] = []
    for content_id, row in zip(content_ids, answer, strict=True):
        request = cancel.decode(row[3]) if row else None
        if request is not None:
            channel, attempt, offset = _text(row[0]), int(row[1]), int(row[2])
            found.append(
                Cancel(channel=channel, content_id=content_id, attempt=attempt, offset=offset, request=request)
            )
    return found


def remove_call(prefix: str, now: float | None, contents: Sequence[tuple[str, Event | None]]) -> Call:
    """The call that removes contents whose retention has ended, given what is known of each."""
    keys = _tenant_keys(prefix)
    args: list[str | bytes | int] = [_moment(now), CONTENT_REMOVED]
    for content_id, event in contents:
        channel, offset = (event.channel, event.offset) if event else ("", 0)
        keys += _content_keys(prefix, channel, content_id)
        args += (channel, content_id, offset, tombstone(channel, content_id, offset).data)
    return Call(function="remove", keys=keys, args=args)


def erase_call(prefix: str, channel: str, content_ids: Sequence[str]) -> Call:
    """The call that removes contents of a channel on request."""
    keys = _tenant_keys(prefix)
    args: list[str | bytes | int] = [channel, CONTENT_REMOVED]
    for content_id in content_ids:
        keys += _content_keys(prefix, channel, content_id)
        args += (content_id, tombstone(channel, content_id, 0).data)
    return Call(function="erase", keys=keys, args=args)


def erased(content_ids: Sequence[str], answer: Sequence[int | bytes]) -> tuple[Cursor, list[str]]:
    """The answer of `erase` about these contents: the clock, and those that were removed."""
    offsets = zip(content_ids, answer[2:], strict=True)
    return _clock(answer[0], answer[1]), [content_id for content_id, offset in offsets if int(offset)]


def forget_call(prefix: str, now: float | None, tombstones: Sequence[Named]) -> Call:
    """The call that forgets tombstones."""
    keys = _tenant_keys(prefix)
    args: list[str | bytes | int] = [_moment(now)]
    for it in tombstones:
        keys += _content_keys(prefix, it.channel, it.content_id)[:3]
        args += (it.channel, it.content_id)
    return Call(function="forget", keys=keys, args=args)


def _moment(now: float | None) -> str:
    return "" if now is None else milliseconds(now)


def announcement(tenant: str, channel: str, message: bytes) -> Announcement:
    """A message on a channel's pub/sub channel. Raises `ValueError` for a foreign publisher's message."""
    head, newline, data = message.partition(b"\n")
    words = head.decode().split("\t")
    epoch, offset_text, prev_text, content_id, type, *more = words
    offset, prev, after = int(offset_text), int(prev_text), 0
    if not newline or b"\r" in head or not 0 <= prev < offset <= COUNTER_MAX:
        raise ValueError("not an announcement")
    if len(words) == len(_GROWN_HEAD):
        after, data = _announced(content_id, type, more[1], more[2], data)
    elif len(words) > len(_PLAIN_HEAD) or type == CONTENT_DELTA:
        raise ValueError("not an announcement")
    if more and more[0]:
        data = cancel.composed(data, more[0].encode())
    event = Event(channel=channel, content_id=content_id, offset=offset, type=sys.intern(type), data=data, after=after)
    return Announcement(tenant=tenant, epoch=epoch, prev=prev, event=event)


def _announced(content_id: str, type: str, after: str, bytes: str, data: bytes) -> tuple[int, bytes]:
    """The offset that a delta builds on, and the data of its event; or 0, and the state of a content that has grown."""
    try:
        if type != CONTENT_DELTA:
            return 0, growth.replayed(data[: int(bytes)], growth.unpack(data[int(bytes) :]))
        delta = growth.delta_of(growth.unpack(data))
    except (Invalid, KeyError) as error:
        raise ValueError("not an announcement of what grows") from error
    if int(after) <= 0:
        raise ValueError("a delta builds on no event")
    return int(after), encode(content_id, delta)


def _grown(data: bytes, log: bytes) -> bytes:
    try:
        return growth.replayed(data, growth.unpack(log))
    except Invalid:
        return data  # another program's records


def tenant_announcement(tenant: str, message: bytes) -> Announcement:
    """A message on a tenant's own pub/sub channel. Raises `ValueError` for a foreign publisher's message."""
    channel, before_text, floor_text, rest = message.split(b"\t", 3)
    before, floor = int(before_text), int(floor_text)
    if not channel or not 0 <= before <= COUNTER_MAX or not 0 <= floor <= COUNTER_MAX:
        raise ValueError("not an announcement of a tenant")
    it = announcement(tenant, sys.intern(channel.decode()), rest)
    return Announcement(tenant=tenant, epoch=it.epoch, prev=it.prev, event=it.event, before=before, floor=floor)


def _clock(epoch: int | bytes, offset: int | bytes) -> Cursor:
    return Cursor(epoch=_text(epoch), offset=int(offset))


def _bytes(value: str | int | bytes) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _text(value: str | int | bytes) -> str:
    # A foreign publisher's broken UTF-8 must not keep a channel from being read.
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
