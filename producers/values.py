"""Values as programs have them, made into such as JSON has: nothing that a program reports raises here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Set
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from numbers import Integral, Real
from os import PathLike, fspath
from typing import Any, Final
from uuid import UUID

DEPTH: Final = 32
"""Deepest nesting that is reported: no page shows more, and a value may hold itself."""

ITEMS: Final = 10_000
"""Most items of one collection that are reported: more do not fit into an event anyhow."""

CHARACTERS: Final = 100_000
"""Longest text: longer ones do not fit into an event anyhow."""

LARGEST: Final = 2**53 - 1
"""Largest whole number that every reader of JSON keeps exact; larger ones are reported as floats, or as text."""

_EXACT: Final = frozenset({bool, int, float, str, type(None)})
"""Types that need no conversion, as far as their values are ordinary ones."""


def plain(value: Any, depth: int = 0) -> Any:
    """`value` as None, a bool, a number, a text, a list or a dict with texts as keys.

    Numbers of any kind (numpy, Decimal, Fraction) are numbers, those without a value (NaN, infinite) None. Text that
    is not valid Unicode has its errors replaced. Anything else is its text.
    """
    try:
        return _plain(value, depth)
    except Exception:  # noqa: BLE001 - any method of a program's own object may raise anything
        return f"<{type(value).__name__}>"


def plain_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """`fields` with each value `plain`, but for what the type alone does not tell: huge numbers and invalid text."""
    return {name: value if type(value) in _EXACT else plain(value) for name, value in fields.items()}


def text(value: str) -> str:
    """`value` with what is not valid Unicode replaced: file names may hold half of a surrogate pair."""
    return value[:CHARACTERS].encode("utf-8", "replace").decode("utf-8")


def _plain(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return text(str.__str__(value))
    if isinstance(value, Enum):
        return plain(value.value, depth + 1)
    if isinstance(value, Real | Decimal):
        return _number(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value[:CHARACTERS]).decode("utf-8", "replace")
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, PathLike):
        return _path(value)
    if depth >= DEPTH:
        return "…"
    return _collection(value, depth)


def _collection(value: Any, depth: int) -> Any:
    if isinstance(value, Mapping):
        pairs = zip(range(ITEMS), value.items(), strict=False)
        return {_key(name): plain(each, depth + 1) for _, (name, each) in pairs}
    if isinstance(value, list | tuple | Set):
        return [plain(each, depth + 1) for _, each in zip(range(ITEMS), value, strict=False)]
    # A numpy scalar that is registered as no number (a bool, a datetime), or an array.
    if hasattr(value, "tolist") and getattr(value, "size", ITEMS + 1) <= ITEMS:
        return plain(value.tolist(), depth + 1)
    return text(str(value))


def _number(value: Any) -> int | float | str | None:
    if isinstance(value, Integral):
        whole = int(value)
        if abs(whole) <= LARGEST:
            return whole
        return float(whole) if whole.bit_length() < 1_000 else f"{'-' if whole < 0 else ''}2^{whole.bit_length() - 1}"
    number = float(value)
    if not math.isfinite(number):
        return None
    # A Decimal or a Fraction that is whole is shown as it was written.
    return int(number) if not isinstance(value, float) and value == int(number) else number


def _path(value: PathLike[Any]) -> str:
    path = fspath(value)
    return text(path) if isinstance(path, str) else path.decode("utf-8", "replace")


def _key(name: Any) -> str:
    return text(name) if isinstance(name, str) else str(plain(name, DEPTH))
