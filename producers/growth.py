"""What a work has set and appended: all of it, and what of it has not been sent yet. No I/O."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from statushub.hub.model.delta import (
    FILLED_FIELDS,
    GROWN_BYTES,
    GROWN_FIELDS,
    GROWN_ITEMS,
    check_delta,
    fields_of,
    state_of,
)
from statushub.hub.model.errors import TooLarge
from statushub.hub.model.line import one_line
from statushub.hub.model.publication import EVENT_BYTES, Publication
from statushub.hub.model.timestamp import timestamp
from statushub.producers.state import OWN_BYTES

DELTA_BYTES: Final = 48 * 1024
"""Most bytes of what one delta appends, as JSON: with all else it stays under the limit of an event."""

STATE_BYTES: Final = EVENT_BYTES - OWN_BYTES
"""Most bytes of a whole state with what it has of the fields that are appended to."""

NAMED_BYTES: Final = 8
"""What a field takes in a state beside its name and its items: quotation marks, brackets, a colon and a comma."""

JOINED_PARTS: Final = 1_000
"""Parts that were sent and are joined into one: so many strings of a few characters take ten times their bytes."""

_encoder = msgspec.json.Encoder()


def _encode(value: Any) -> bytes:
    """`value` as JSON as a state has it."""
    return one_line(_encoder.encode(value))


class _Field:
    """A field that is appended to: its parts, and how many of them were sent."""

    def __init__(self, kind: type[str] | type[list[Any]], *, begun: bool = False) -> None:
        """`begun`: whole states have all of it, which is small, whether or not something is appended later."""
        self.kind = kind
        self._spares = not begun
        self.parts: list[tuple[Any, int]] = []
        self.sent = 0
        self._size = 0

    @property
    def size(self) -> int:
        """The bytes of its parts as JSON, at most."""
        return self._size

    def first(self, count: int | None = None) -> str | list[Any]:
        """What its first parts make; all of them by default."""
        parts = [part for part, _ in self.parts[:count]]
        return "".join(parts) if self.kind is str else parts

    def fitting(self, room: int) -> int:
        """How many of its first parts have at most `room` bytes together. Its end, a character or an item, is spared:
        once it is appended, the hub keeps the field, whatever comes next."""
        if self._spares and self.kind is str and self.parts and len(text := self.parts[-1][0]) > 1:
            last = len(_encode(text[-1])) - 2
            self.parts[-1:] = [(text[:-1], self.parts[-1][1] - last), (text[-1], last)]
        most = len(self.parts) - 1 if self._spares else len(self.parts)
        for count, (_, size) in enumerate(self.parts):
            room -= size
            if count >= most or room < 0:
                return count
        return len(self.parts)

    def check(self, value: str | list[Any]) -> None:
        """Raise `TooLarge` where it cannot be appended."""
        if isinstance(value, list):
            if len(self.parts) + len(value) > GROWN_ITEMS:
                raise TooLarge(f"more than {GROWN_ITEMS} items are appended", limit="delta")
            # With its comma it has to fit.
            if any(len(_encode(item)) >= DELTA_BYTES for item in value):
                raise TooLarge(f"an item has {DELTA_BYTES} bytes or more", limit="delta")

    def add(self, value: str | list[Any]) -> None:
        """Append to it: items one by one, a text in parts that fit into a delta."""
        # A character has at most six bytes as JSON; half of a delta is left for what it sets.
        step = DELTA_BYTES // 12
        texts = [value[at : at + step] for at in range(0, len(value), step)] if isinstance(value, str) else value
        # A text has its quotation marks, and an item its comma, only once.
        own = -2 if self.kind is str else 1
        parts = [(part, len(_encode(part)) + own) for part in texts]
        self.parts += parts
        self._size += sum(size for _, size in parts)

    def take(self, room: int) -> tuple[str | list[Any], int]:
        """What was not sent, up to so many bytes, and how many these are."""
        first, filled = self.sent, 0
        while self.sent < len(self.parts) and filled + self.parts[self.sent][1] <= room:
            filled += self.parts[self.sent][1]
            self.sent += 1
        taken = [part for part, _ in self.parts[first : self.sent]]
        if self.kind is str and self.sent > JOINED_PARTS:
            self._join()
        return "".join(taken) if self.kind is str else taken, filled

    def rewind(self) -> None:
        """Nothing of it was sent."""
        if self.kind is str:
            self._join()
            whole, size = self.first(), self._size
            self.parts = []
            self.add(whole)
            self._size = size
        self.sent = 0

    def _join(self) -> None:
        sent = self.parts[: self.sent]
        if sent:
            self.parts[: self.sent] = [("".join(part for part, _ in sent), sum(size for _, size in sent))]
            self.sent = 1


class Growth:
    """The fields that one work appends to, and those that it has set since its last whole state.

    The work adds to it on any thread, and the sender takes from it on its own.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fields: dict[str, _Field] = {}
        self._sets: dict[str, Any] = {}
        self._renew: set[str] = set()
        self._named: dict[str, int] = {}
        """Of the fields that the whole state names which was sent last, how many parts it has."""
        self._begun: set[str] = set()
        """Lists that begin anew, which the next delta sets."""
        self._unkept: set[str] = set()
        """Fields that a delta has set, or a whole state has, and none appended to since: a whole state would drop
        them."""
        self._told: set[str] = set()
        """The fields that deltas have set since the last whole state."""
        self._size = 0
        self._stopped = False
        self.whole: Publication | None = None
        """The whole state, but for the fields that are appended to, as of the last `set`."""

    def __contains__(self, name: object) -> bool:
        return name in self._fields

    @property
    def names(self) -> list[str]:
        """The fields that are appended to."""
        return [*self._fields]

    @property
    def waiting(self) -> bool:
        """Whether something was not sent yet."""
        if self._stopped:
            return False
        with self._lock:
            return bool(self._sets or self._renew) or any(it.sent < len(it.parts) for it in self._fields.values())

    @property
    def renews(self) -> bool:
        """Whether a whole state has to name fields before more is appended to them."""
        return bool(self._renew)

    def append(self, name: str, addition: str | Sequence[Any], before: Any = None) -> None:
        """Append to a field; `before` is what it holds as a field of whole states, None for nothing.

        Raises `Invalid` naming what is wrong, `TooLarge` where the work has grown as far as it may.
        """
        said = check_delta({"follows": 0, "append": {name: addition}}).appends[name]
        value = addition if isinstance(addition, str) else [*addition]
        kind: type[str] | type[list[Any]] = str if isinstance(value, str) else list
        with self._lock:
            held = self._fields.get(name)
            field = held if held is not None and held.kind is kind else _Field(kind)
            if held is not field and isinstance(before, kind):
                field.add(before)
            field.check(value)
            if len({*self._fields, name}) > GROWN_FIELDS:
                raise TooLarge(f"more than {GROWN_FIELDS} fields are appended to", field=name, limit="delta")
            size = self._size + len(said.inner) + field.size - (0 if held is None else held.size)
            if size > GROWN_BYTES:
                raise TooLarge(f"more than {GROWN_BYTES} bytes are appended", field=name, limit="delta")
            if held is not field and (held is not None or before is not None):
                # What the hub has there is of another kind, or in a whole state.
                self._renew.add(name)
                self._begun.discard(name)
                self._unkept.discard(name)
                self._named.pop(name, None)
            self._fields[name], self._size = field, size
            self._sets.pop(name, None)
            field.add(value)

    def begin(self, name: str, items: Sequence[Any]) -> None:
        """Let a list begin anew with these items. Raises as `append`."""
        field = _Field(list, begun=True)
        with self._lock:
            field.check([*items])
            field.add([*items])
            held = self._fields.get(name)
            self._check_told({name})
            if len({*self._fields, name}) > GROWN_FIELDS:
                raise TooLarge(f"more than {GROWN_FIELDS} fields are appended to", field=name, limit="delta")
            if self._size + field.size - (0 if held is None else held.size) > GROWN_BYTES:
                raise TooLarge(f"more than {GROWN_BYTES} bytes are appended", field=name, limit="delta")
            self._forget(name)
            self._sets.pop(name, None)
            self._fields[name], self._size = field, self._size + field.size
            self._begun.add(name)

    def set(self, fields: Mapping[str, Any], whole: Publication) -> None:
        """Set fields, with which the whole state is `whole`. Raises `Invalid` where a delta cannot set one."""
        with self._lock:
            sets = {**self._sets, **fields}
            self._check_told(fields.keys())
            if check_delta({"follows": 0, "set": sets}).size > DELTA_BYTES:
                raise TooLarge("the fields are too large for a delta", field="set", limit="delta")
            for name in fields:
                self._forget(name)
            self._sets.update(fields)
            self.whole = whole

    def forget(self, names: Iterable[str]) -> None:
        """A whole state names these fields, or has all that was set."""
        with self._lock:
            for name in names:
                self._forget(name)
            self._sets.clear()
            self.whole = None

    def take(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The fields to set, and what to append, in one delta; both may be empty."""
        with self._lock:
            sets, self._sets = self._sets, {}
            appends, room = {}, DELTA_BYTES - (len(_encode(sets)) if sets else 0)
            begun, self._begun = self._begun, set()
            for name, field in self._fields.items():
                if name not in self._renew and field.sent < len(field.parts):
                    value, filled = field.take(room)
                    room -= filled
                    if name in begun:
                        sets[name] = value
                        self._unkept.add(name)
                    elif value:
                        appends[name] = value
                        self._unkept.discard(name)
            self._told |= sets.keys()
            return sets, appends

    def rewind(self) -> None:
        """The hub does not have what was sent: a whole state has to name all fields, and all is sent again."""
        with self._lock:
            for field in self._fields.values():
                field.rewind()
            self._renew, self._named = {*self._fields}, {}
            self._begun, self._unkept = set(), set()

    def named(self, state: Publication) -> Publication:
        """The whole state with the fields that it has to name, as far as they fit: what comes with a whole state goes
        with the next one, and only what is appended stays."""
        with self._lock:
            self._told, self._named = set(), {}
            unkept, self._unkept = self._unkept, set()
            if self._stopped or not (self._renew or self._begun or unkept):
                return state
            fields = fields_of(state.data)
            if state.terminal:
                # Nothing can be appended after it.
                fields.update((name, _encode(self._fields[name].first())) for name in unkept)
            else:
                self._renew |= unkept | self._begun
                self._begun = set()
            room = STATE_BYTES - len(state.data)
            for name, field in self._fields.items():
                if name not in self._renew:
                    continue
                room -= len(name.encode()) + NAMED_BYTES
                self._named[name] = count = field.fitting(room)
                room -= sum(size for _, size in field.parts[:count])
                fields[name] = _encode(field.first(count))
            return msgspec.structs.replace(state, data=state_of(fields))

    def emptied(self, state: Publication) -> Publication | None:
        """The whole state that was made by `named` with these fields empty; None where they are."""
        with self._lock:
            if not any(self._named.values()):
                return None
            self._named = dict.fromkeys(self._named, 0)
            fields = fields_of(state.data)
            fields.update((name, _encode(self._fields[name].first(0))) for name in self._named)
            return msgspec.structs.replace(state, data=state_of(fields))

    def renewed(self) -> None:
        """The whole state that was sent of `named` is stored."""
        with self._lock:
            for name, count in self._named.items():
                field = self._fields[name]
                field.sent = count
                if count:
                    self._unkept.add(name)
            self._renew -= self._named.keys()
            self._named = {}

    def touch(self) -> None:
        """Let there be a delta, where there were any."""
        with self._lock:
            if self._fields:
                self._sets.setdefault("timestamp", timestamp())

    @property
    def stopped(self) -> bool:
        """Whether nothing more of it is sent."""
        return self._stopped

    def stop(self) -> None:
        """Send nothing more of it."""
        self._stopped = True

    def _forget(self, name: str) -> None:
        field = self._fields.pop(name, None)
        if field is not None:
            self._size -= field.size
        for names in (self._renew, self._begun, self._unkept):
            names.discard(name)
        self._named.pop(name, None)

    def _check_told(self, names: Iterable[str]) -> None:
        told = {*self._told, *self._sets, *self._begun, *names} - {*FILLED_FIELDS}
        if len(told) > GROWN_FIELDS:
            raise TooLarge(f"more than {GROWN_FIELDS} fields are set", field="set", limit="delta")
