"""Deltas: publications that say only what changed in a content that grows.

A delta sets fields and appends to fields, which are texts or lists. Parts of texts and lists are kept as the JSON
between their quotes or brackets: such parts are joined as bytes, and a state grows without being decoded.

An append to a field that holds something else, or a text where it is a list, begins the field anew.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from statushub.hub.model.cancel import CANCEL_REQUESTED
from statushub.hub.model.cursor import COUNTER_MAX
from statushub.hub.model.errors import Invalid, TooLarge
from statushub.hub.model.line import one_line
from statushub.hub.model.names import NAME_CHARACTERS
from statushub.hub.model.vocabulary import PROCESSING_PHASES, Phase

GROWN_BYTES: Final = 1024 * 1024
"""Most bytes of all fields together that deltas of one content have set or appended, as JSON: a long book's text, and
what one reader may be sent in one frame."""

GROWN_ITEMS: Final = 10_000
"""Most items that are appended to one list: a page that shows more of them needs another way to read them."""

GROWN_FIELDS: Final = 16
"""Most fields of a content that deltas set, and most that they append to: each of them is looked at with each delta."""

MOMENT: Final = "timestamp"
"""The field with the time of a state, which each delta sets."""

FILLED_FIELDS: Final = (MOMENT, "estimated_completion")
"""The fields that the model fills in, which a delta has beside those that its producer sets."""

FIELD_NAME: Final = re.compile(rf'[^\s"\\]{{1,{NAME_CHARACTERS}}}')
"""The names of fields that a delta may set or append to. Brokers list them with spaces between, and in JSON they are
written as they are."""

_UNSET: Final = frozenset({"status", "content_id", "channel_id", CANCEL_REQUESTED})
"""Fields that no delta may set or append to: those that say which content it is, its phase, and what the hub sets."""

_UNAPPENDED: Final = _UNSET | {
    "processing_status",
    "progress",
    "remaining_seconds",
    "completed_at",
    "type",
    *FILLED_FIELDS,
}
"""Fields that hold one value, so that no delta may append to them."""

_encode = msgspec.json.Encoder().encode
_fields_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_items_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Kind(StrEnum):
    """What a field is that grows."""

    TEXT = "text"
    LIST = "list"


class Appended(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is appended to a field: `inner` is the JSON between the quotes of a text, or the brackets of a list, which
    has so many `items`."""

    kind: Kind
    inner: bytes
    items: int = 0

    @property
    def value(self) -> bytes:
        """The JSON of a field that holds this and nothing else."""
        return enclosed(self.kind, self.inner)


class Delta(msgspec.Struct, frozen=True, kw_only=True):
    """What changes in a content: fields with their new values as JSON, `timestamp` among them, and fields with what is
    appended to them. `follows` is the seq that it builds on; 0 where it is of no account."""

    sets: Mapping[str, bytes]
    appends: Mapping[str, Appended]
    follows: int = 0

    @property
    def size(self) -> int:
        """The bytes that it stores."""
        return sum(map(len, self.sets.values())) + sum(len(it.inner) for it in self.appends.values())

    @property
    def moment(self) -> bytes | None:
        """The JSON of the `timestamp` that it sets; None where it sets none."""
        return self.sets.get(MOMENT)

    def untimed(self) -> Delta:
        """The same without its `timestamp`."""
        return replace(self, sets={name: value for name, value in self.sets.items() if name != MOMENT})


def enclosed(kind: Kind, inner: bytes | bytearray) -> bytes:
    """The JSON of a text or a list with this between its quotes or brackets."""
    start, end = (b'"', b'"') if kind is Kind.TEXT else (b"[", b"]")
    return b"".join((start, inner, end))


def joint(kind: Kind, before: bytes | bytearray, inner: bytes) -> bytes:
    """What goes between two parts of a field: a comma in a list, where neither is empty."""
    return b"," if kind is Kind.LIST and before and inner else b""


def opened(value: bytes) -> tuple[Kind, bytes] | None:
    """What is between the quotes or brackets of a field's JSON; None where it is neither a text nor a list."""
    if value.startswith(b'"'):
        return Kind.TEXT, value[1:-1]
    if value.startswith(b"["):
        return Kind.LIST, value[1:-1].strip()
    return None


def check_delta(value: object) -> Delta:
    """The delta that a producer says, `{"follows","set","append"}`, checked. Raises `Invalid` naming the field."""
    if not isinstance(value, Mapping):
        raise Invalid("delta must be an object", field="delta")
    for name in value:
        if name not in ("follows", "set", "append"):
            raise Invalid(f"delta has an unknown field {name!r:.60}; it has follows, set and append", field="delta")
    follows = value.get("follows")
    if isinstance(follows, bool) or not isinstance(follows, int) or not 0 <= follows <= COUNTER_MAX:
        raise Invalid(
            "delta.follows must be the seq that the delta builds on, a whole number from 0 to 2^53 - 1",
            field="delta.follows",
        )
    said_sets, said_appends = _named(value, "set"), _named(value, "append")
    if not said_sets and not said_appends:
        raise Invalid("delta must set or append to at least one field", field="delta")
    for name in said_appends:
        if name in said_sets:
            raise Invalid(f"delta.append.{name} is in delta.set, too", field=f"delta.append.{name}")
    _check_values(said_sets)
    sets = {name: _json(it, f"delta.set.{name}") for name, it in said_sets.items()}
    appends = {name: _appended(it, f"delta.append.{name}") for name, it in said_appends.items()}
    return Delta(follows=follows, sets=sets, appends=appends)


def encode(content_id: str, delta: Delta) -> bytes:
    """The `data` of the event that announces a delta: `{"content_id","set","append","timestamp"}`, without what it does
    not have."""
    fields = {"content_id": one_line(_encode(content_id))}
    sets = {name: value for name, value in delta.sets.items() if name != MOMENT}
    if sets:
        fields["set"] = _object(sets.items())
    if delta.appends:
        fields["append"] = _object((name, it.value) for name, it in delta.appends.items())
    if (moment := delta.sets.get(MOMENT)) is not None:
        fields[MOMENT] = moment
    return state_of(fields)


class _Announced(msgspec.Struct, gc=False):
    """The fields of `encode` that are read back."""

    set: dict[str, msgspec.Raw] = {}
    append: dict[str, msgspec.Raw] = {}
    timestamp: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_announced_decoder = msgspec.json.Decoder(_Announced)


def decode(data: bytes) -> Delta:
    """The delta in the `data` of a `content_delta`. Raises `Invalid` where they are of another form."""
    try:
        said = _announced_decoder.decode(data)
        sets = {name: bytes(it) for name, it in said.set.items()}
        if said.timestamp is not msgspec.UNSET:
            sets[MOMENT] = bytes(said.timestamp)
        return Delta(sets=sets, appends={name: _read(bytes(it)) for name, it in said.append.items()})
    except _UNREADABLE as error:
        raise Invalid(f"data is no delta: {error}", field="data") from error


def fields_of(data: bytes) -> dict[str, bytes]:
    """The fields of a state with their JSON, in their order; none of data that are no JSON object."""
    try:
        return {name: bytes(value).strip() for name, value in _fields_decoder.decode(data).items()}
    except _UNREADABLE:
        return {}


def state_of(fields: Mapping[str, bytes]) -> bytes:
    """The state that has these fields."""
    return _object(fields.items())


def composed(data: bytes, delta: Delta) -> bytes:
    """The state that a delta makes of the state `data`."""
    fields = fields_of(data)
    fields.update(delta.sets)
    for name, it in delta.appends.items():
        fields[name] = appended(fields.get(name), it)
    return state_of(fields)


def appended(value: bytes | None, addition: Appended) -> bytes:
    """The JSON of a field, or None, with what is appended to it."""
    kind, before = (None if value is None else opened(value)) or (None, b"")
    if kind is not addition.kind:
        return addition.value
    return enclosed(kind, before + joint(kind, before, addition.inner) + addition.inner)


def merged(first: Delta, second: Delta) -> Delta:
    """The one delta that does what these two do in turn."""
    sets, appends = {**first.sets, **second.sets}, {**first.appends}
    for name in second.sets:
        appends.pop(name, None)
    for name, it in second.appends.items():
        before = appends.pop(name, None)
        if name in sets:
            sets[name] = appended(sets[name], it)
        elif before is None:
            appends[name] = it
        elif before.kind is it.kind:
            inner = before.inner + joint(it.kind, before.inner, it.inner) + it.inner
            appends[name] = Appended(kind=it.kind, inner=inner, items=before.items + it.items)
        else:
            # It began anew, whatever the field held before.
            sets[name] = it.value
    return Delta(sets=sets, appends=appends, follows=first.follows)


def _named(value: Mapping[str, Any], which: str) -> Mapping[str, Any]:
    fields = value.get(which)
    if fields is None:
        return {}
    if not isinstance(fields, Mapping):
        raise Invalid(f"delta.{which} must be an object", field=f"delta.{which}")
    if len(fields) > GROWN_FIELDS:
        raise TooLarge(
            f"delta.{which} has {len(fields)} fields; at most {GROWN_FIELDS} are allowed",
            field=f"delta.{which}",
            limit="delta",
        )
    unfit = _UNSET if which == "set" else _UNAPPENDED
    for name in fields:
        if not isinstance(name, str) or not name.isprintable() or FIELD_NAME.fullmatch(name) is None:
            raise Invalid(
                f"delta.{which} has a field {name!r:.60}; a name is 1 to {NAME_CHARACTERS} printable characters "
                "without spaces, quotation marks and backslashes",
                field=f"delta.{which}",
            )
        if name in unfit:
            raise Invalid(
                f"delta.{which}.{name} must be left out: a delta may not change it", field=f"delta.{which}.{name}"
            )
    return fields


def _check_values(sets: Mapping[str, Any]) -> None:
    stage = sets.get("processing_status")
    if isinstance(stage, str) and PROCESSING_PHASES.get(stage, Phase.PROCESSING) is not Phase.PROCESSING:
        raise Invalid(
            f"delta.set.processing_status {stage!r} would change the phase, which only a whole event does",
            field="delta.set.processing_status",
        )


def _appended(value: object, field: str) -> Appended:
    if isinstance(value, str):
        return Appended(kind=Kind.TEXT, inner=_json(value, field)[1:-1])
    if isinstance(value, list | tuple):
        if len(value) > GROWN_ITEMS:
            raise TooLarge(
                f"{field} has {len(value)} items; at most {GROWN_ITEMS} are allowed", field=field, limit="delta"
            )
        return Appended(kind=Kind.LIST, inner=_json(value, field)[1:-1], items=len(value))
    raise Invalid(f"{field} must be a text or a list", field=field)


def _json(value: object, field: str) -> bytes:
    try:
        return one_line(_encode(value))
    except UnicodeEncodeError as error:
        raise Invalid(f"{field} has half of a surrogate pair, which is no character", field=field) from error
    except (TypeError, ValueError, RecursionError) as error:
        raise Invalid(f"{field} cannot be written as JSON: {error}", field=field) from error


def _read(value: bytes) -> Appended:
    kind_and_inner = opened(value.strip())
    if kind_and_inner is None:
        raise msgspec.ValidationError("append takes texts and lists")
    kind, inner = kind_and_inner
    items = len(_items_decoder.decode(value)) if kind is Kind.LIST else 0
    return Appended(kind=kind, inner=inner, items=items)


def _object(fields: Any) -> bytes:
    return b"{%b}" % b",".join([b"%b:%b" % (one_line(_encode(name)), value) for name, value in fields])
