"""The calls of `functions.lua`, as arguments and answers. No I/O: brokers and producers share it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Final

from hub.model import Cursor, Publication, Receipt, Refusal

VERSION: Final = 1
"""Of the library here. A server that holds a lower one, or none, is given this one."""

LIBRARY: Final = files("hub.brokers").joinpath("functions.lua").read_text(encoding="utf-8")
"""The library's source, for `FUNCTION LOAD REPLACE`."""

MISSING: Final = "Function not found"
"""How the server says that the library is not loaded: it restarted without its data, or is new."""

TENANTS: Final = "tenants"
"""The set of tenants that have leases to sweep, kept beside the tenants' own slots."""


def root(db: int) -> str:
    """What every key begins with. It names the database, because Redis' pub/sub does not know them."""
    return f"hub{db}" if db else "hub"


def prefix(root: str, tenant: str) -> str:
    """The key prefix of a tenant; its hash tag puts all of the tenant in one cluster slot."""
    return f"{root}:{{{tenant}}}"


def publish_args(publications: Sequence[Publication], retention: float | None) -> list[str | bytes]:
    """The arguments of `statushub_publish` after the key; `retention` in seconds."""
    args: list[str | bytes] = ["" if retention is None else str(round(retention * 1000))]
    for p in publications:
        args += (
            p.channel,
            p.content_id,
            p.type,
            "1" if p.terminal else "0",
            "" if p.attempt is None else str(p.attempt),
            "" if p.seq is None else str(p.seq),
            "" if p.lease is None or p.terminal else repr(p.lease),
            p.data,
        )
    return args


def receipts(answer: Sequence[int | bytes]) -> list[Receipt]:
    """The answer of `statushub_publish`."""
    verdicts = iter(answer)
    return [_receipt(accepted, text) for accepted, text in zip(verdicts, verdicts, strict=True)]


def _receipt(accepted: int | bytes, text: int | bytes) -> Receipt:
    said = str(text, "ascii") if isinstance(text, bytes) else str(text)
    return Receipt(cursor=Cursor.parse(said)) if accepted else Receipt(reason=Refusal(said))
