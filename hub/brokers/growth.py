"""How brokers keep a content that grows: the data of its last whole event, the values that deltas have set since, and a
log of what they have appended. The whole state is composed by who reads it. Pure.

The log has pieces of texts and lists. Where a whole event leaves appended fields as they are, it also gets what these
held before the first piece: the data of the former whole event, or the value that a delta had set.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from statushub.hub.model.delta import (
    FIELD_NAME,
    FILLED_FIELDS,
    GROWN_BYTES,
    GROWN_FIELDS,
    GROWN_ITEMS,
    Appended,
    Delta,
    Kind,
    appended,
    fields_of,
    joint,
    state_of,
)
from statushub.hub.model.errors import Invalid

_HEAD: Final = re.compile(rb"([stlvb]) ([^\x00-\x20\x7f]+) ([0-9]+) ([0-9]+)\n")

_NOTHING: Final = b"null"
"""What a field held that begins anew: neither a text nor a list, so that nothing is appended to it."""


class Op(StrEnum):
    """What a record is."""

    SET = "s"
    """The value of a field."""
    TEXT = "t"
    """What is appended to a text, between its quotes."""
    LIST = "l"
    """What is appended to a list, between its brackets."""
    VALUE = "v"
    """What a field held before the first piece of it."""
    FORMER = "b"
    """The data of a former whole event: what all fields held that have pieces before this and no such record."""


class Record(NamedTuple):
    """A part of a delta or of a log; `payload` is JSON, or the inside of it, and `items` are those of a list."""

    op: Op
    name: str
    items: int
    payload: bytes


_OPS: Final = {Kind.TEXT: Op.TEXT, Kind.LIST: Op.LIST}
_KINDS: Final = {op: kind for kind, op in _OPS.items()}


def records_of(delta: Delta) -> list[Record]:
    """What a delta sets and appends, as records."""
    sets = [Record(Op.SET, name, 0, value) for name, value in delta.sets.items()]
    return sets + [Record(_OPS[it.kind], name, it.items, it.inner) for name, it in delta.appends.items()]


def delta_of(records: Iterable[Record]) -> Delta:
    """The delta that these records are."""
    sets, appends = {}, {}
    for op, name, items, payload in records:
        if op is Op.SET:
            sets[name] = payload
        else:
            appends[name] = Appended(kind=_KINDS[op], inner=payload, items=items)
    return Delta(sets=sets, appends=appends)


def pack(records: Iterable[Record]) -> bytes:
    """Records as the functions of Redis take and return them."""
    return b"".join(
        [
            b"%b %b %d %d\n%b" % (op.encode(), name.encode(), items, len(payload), payload)
            for op, name, items, payload in records
        ]
    )


def unpack(data: bytes) -> list[Record]:
    """The records in `data`. Raises `Invalid` where they are malformed."""
    records, at = [], 0
    while at < len(data):
        head = _HEAD.match(data, at)
        start = head.end() if head is not None else 0
        at = start + int(head[4]) if head is not None else 0
        if head is None or at > len(data):
            raise Invalid("these are no records of a content that grows", field="data")
        records.append(Record(Op(head[1].decode()), head[2].decode(errors="replace"), int(head[3]), data[start:at]))
    return records


def replayed(data: bytes, records: Iterable[Record]) -> bytes:
    """The whole state: the data of the last whole event with all records of the content."""
    sets: dict[str, bytes] = {}
    values: dict[str, bytes | None] = {}
    pieces: dict[str, tuple[Kind, bytearray]] = {}
    for op, name, _, payload in records:
        if op is Op.SET:
            sets[name] = payload
        elif op is Op.VALUE:
            values[name] = payload
        elif op is Op.FORMER:
            former = fields_of(payload)
            values = {it: former.get(it) for it in pieces} | values
        else:
            kind, inner = pieces.setdefault(name, (_KINDS[op], bytearray()))
            inner += joint(kind, inner, payload)
            inner += payload
    fields = fields_of(data)
    fields.update(sets)
    for name, (kind, inner) in pieces.items():
        value = values[name] if name in values else fields.get(name)
        fields[name] = appended(value, Appended(kind=kind, inner=bytes(inner)))
    return state_of(fields)


def names_of(data: bytes) -> list[str]:
    """The fields that a whole event names, of those that a delta can append to."""
    return [name for name in fields_of(data) if FIELD_NAME.fullmatch(name) is not None]


class Field(msgspec.Struct):
    """A field that deltas have set or appended to: its items and bytes, whether the log has what it held before, and
    the bytes of that where it is a value."""

    op: Op
    items: int = 0
    bytes: int = 0
    based: bool = False
    held: int = 0


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What an event changes: the fields whose records go from the log, and the records that come, in their order."""

    drops: Sequence[str] = ()
    adds: Sequence[Record] = ()


class Growth(msgspec.Struct):
    """How a content has grown: the fields that deltas have set, those that they have appended to, and the bytes of the
    data of former whole events in the log."""

    sets: dict[str, Field] = {}
    appends: dict[str, Field] = {}
    former: int = 0

    @property
    def grown(self) -> int:
        """The bytes of what deltas have set and appended."""
        return sum(field.bytes for fields in (self.sets, self.appends) for field in fields.values())

    @property
    def size(self) -> int:
        """The bytes that it takes, beside the data of the last whole event."""
        return self.grown + self.former + sum(field.held for field in self.appends.values())

    def by(self, records: Iterable[Record]) -> tuple[Growth, Change] | None:
        """What a delta makes of it; None where that exceeds the limits."""
        sets, appends = {**self.sets}, {**self.appends}
        drops: list[str] = []
        adds: list[Record] = []
        for record in records:
            op, name, items, payload = record
            before = appends.get(name)
            if before is not None and before.op is not op:
                drops.append(name)
                del appends[name]
            if op is Op.SET:
                sets[name] = Field(op, bytes=len(payload))
                continue
            if before is not None and before.op is not op:
                adds.append(Record(Op.VALUE, name, 0, _NOTHING))
                before = Field(op, based=True, held=len(_NOTHING))
            before = before or Field(op)
            items, size = before.items + items, before.bytes + len(payload)
            appends[name] = Field(op, items, size, before.based, before.held)
            adds.append(record)
        grown = Growth(sets, appends, self.former)
        return None if grown._exceeds() else (grown, Change(drops=drops, adds=adds))

    def kept(self, named: Iterable[str], data: bytes, values: Mapping[str, bytes]) -> tuple[Growth, Change]:
        """What a whole event leaves of it, which names these fields. `data` are those of the whole event before, and
        `values` what deltas have set since."""
        drops = [name for name in named if name in self.appends]
        left = {name: field for name, field in self.appends.items() if name not in drops}
        unbased = [name for name, field in left.items() if not field.based]
        adds = [Record(Op.VALUE, name, 0, values[name]) for name in unbased if name in values]
        former = self.former if left else 0
        if len(adds) < len(unbased):
            adds.append(Record(Op.FORMER, "-", 0, data))
            former += len(data)
        held = {it.name: len(it.payload) for it in adds if it.op is Op.VALUE}
        appends = {
            name: Field(field.op, field.items, field.bytes, True, held.get(name, field.held))
            for name, field in left.items()
        }
        return Growth({}, appends, former), Change(drops=drops, adds=adds)

    def _exceeds(self) -> bool:
        said = [name for name in self.sets if name not in FILLED_FIELDS]
        many = len(self.appends) > GROWN_FIELDS or len(said) > GROWN_FIELDS
        long = any(field.items > GROWN_ITEMS for field in self.appends.values())
        return many or long or self.grown > GROWN_BYTES
