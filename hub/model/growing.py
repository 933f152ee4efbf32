"""A content that grows, kept in parts: a delta costs its own bytes, and the whole state is composed where it is needed.

Fields that deltas append to are kept as one buffer each. A mark remembers how long they were, so that a reader who was
at that mark gets what was appended since, in one delta.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from statushub.hub.model.delta import MOMENT, Appended, Delta, Kind, enclosed, fields_of, joint, opened, state_of


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """A moment of a content that grows: how many deltas it had, and how long each field was that they appended to."""

    deltas: int
    lengths: Mapping[str, int]


class _Field(msgspec.Struct):
    """A field that deltas append to: what is between its quotes or brackets, how long that was at first, and the delta
    with which it began anew."""

    kind: Kind
    inner: bytearray
    first: int
    since: int


class Growing:
    """The state of a content as deltas make it from `data`, the whole state that the first one follows."""

    def __init__(self, data: bytes) -> None:
        # Fields that grow have None here, which keeps their place.
        self._values: dict[str, bytes | None] = {**fields_of(data)}
        self._set_at: dict[str, int] = {}
        self._grown: dict[str, _Field] = {}
        self._deltas = 0

    @property
    def size(self) -> int:
        """The bytes of the values that it keeps."""
        plain = sum(len(value) for value in self._values.values() if value is not None)
        return plain + sum(len(field.inner) for field in self._grown.values())

    @property
    def moment(self) -> bytes | None:
        """The JSON of its `timestamp`; None where it has none."""
        return self._values.get(MOMENT)

    def apply(self, delta: Delta) -> None:
        """Take in a delta, which follows the ones before it."""
        self._deltas += 1
        for name, value in delta.sets.items():
            self._grown.pop(name, None)
            self._values[name] = value
            self._set_at[name] = self._deltas
        for name, addition in delta.appends.items():
            self._append(name, addition)

    def data(self) -> bytes:
        """The whole state as JSON, which is what `delta.composed` makes of all deltas in turn. It costs its length."""
        grown = self._grown
        return state_of(
            {
                name: enclosed(grown[name].kind, grown[name].inner) if value is None else value
                for name, value in self._values.items()
            }
        )

    def mark(self) -> Mark:
        """This moment, for `since`."""
        return Mark(deltas=self._deltas, lengths={name: len(field.inner) for name, field in self._grown.items()})

    def since(self, mark: Mark) -> Delta:
        """The one delta that makes this state of the state at a mark of this content."""
        sets = {
            name: value
            for name, at in self._set_at.items()
            if at > mark.deltas and (value := self._values[name]) is not None
        }
        appends: dict[str, Appended] = {}
        for name, field in self._grown.items():
            if field.since > mark.deltas:
                sets[name] = enclosed(field.kind, field.inner)
            elif (length := mark.lengths.get(name, field.first)) < len(field.inner):
                inner = bytes(field.inner[length:])
                if length and field.kind is Kind.LIST:
                    inner = inner[1:]  # the comma
                appends[name] = Appended(kind=field.kind, inner=inner)
        return Delta(sets=sets, appends=appends)

    def _append(self, name: str, addition: Appended) -> None:
        field = self._grown.get(name)
        if field is None or field.kind is not addition.kind:
            kind, before = self._opened(name)
            set_at = self._set_at.pop(name, 0)
            if kind is addition.kind:
                field = _Field(addition.kind, bytearray(before), len(before), set_at)
            else:
                field = _Field(addition.kind, bytearray(), 0, self._deltas)
            self._values[name] = None
            self._grown[name] = field
        field.inner += joint(field.kind, field.inner, addition.inner)
        field.inner += addition.inner

    def _opened(self, name: str) -> tuple[Kind | None, bytes]:
        value = self._values.get(name)
        return (None, b"") if value is None else opened(value) or (None, b"")
