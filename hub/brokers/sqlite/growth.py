"""The rows of contents that grow: what deltas have set, and the log of what they have appended."""

from __future__ import annotations

from collections.abc import Sequence

from statushub.hub.brokers.growth import Change, Growth, Op, Record, replayed
from statushub.hub.brokers.sqlite.sql import Execute


class GrowthRows:
    """The table `growth`, within the transactions of its store."""

    def __init__(self, execute: Execute) -> None:
        self._execute = execute

    def state(self, tenant: str, content_id: str, data: bytes) -> bytes:
        """The whole state of a content with these data. It costs as much as it is long."""
        rows = self._execute("records", (tenant, content_id))
        return replayed(data, [Record(Op(op), name, 0, payload) for op, name, payload in rows])

    def grow(self, tenant: str, content_id: str, place: int, change: Change, delta: Sequence[Record]) -> None:
        """Take in a delta: what it sets, and what it changes in the log."""
        for op, name, _, payload in delta:
            if op is Op.SET:
                self._execute("save_record", (tenant, content_id, op, name, 0, payload))
        self._change(tenant, content_id, place, change)

    def keep(self, tenant: str, content_id: str, place: int, growth: Growth, named: Sequence[str]) -> Growth | None:
        """Take in a whole event, which names these fields and is not yet stored. Returns how the content has grown
        then, None where nothing is left of that."""
        values: dict[str, bytes] = dict(self._execute("values", (tenant, content_id)).fetchall())
        [(data,)] = self._execute("data", (tenant, content_id))
        left, change = growth.kept(named, data, values)
        if not left.appends:
            self.clear(tenant, content_id)
            return None
        self._execute("delete_values", (tenant, content_id))
        self._change(tenant, content_id, place, change)
        return left

    def clear(self, tenant: str, content_id: str) -> None:
        """Delete all rows of a content."""
        self._execute("delete_growth", (tenant, content_id))

    def _change(self, tenant: str, content_id: str, place: int, change: Change) -> None:
        for name in change.drops:
            self._execute("delete_records", (tenant, content_id, name))
        for op, name, _, payload in change.adds:
            self._execute("save_record", (tenant, content_id, op, name, place, payload))
