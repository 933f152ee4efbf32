"""What a watch waits for: the changes of its sources, sentences about its connection, and keys."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable
from typing import Final

import msgspec

from statushub.hub.cli.keys import Key
from statushub.producers.following.change import Change

ITEMS: Final = 1_000
"""Most items that wait to be shown. Beyond them the stream is not read, and the hub skips what is superseded."""


class Told(msgspec.Struct, frozen=True):
    """A change, and the number of the source that told it."""

    source: int
    change: Change


Item = Told | Key | str
"""A string is a sentence for the user."""


class Feed:
    """Items from other threads, for a thread that waits for them with a time limit."""

    def __init__(self) -> None:
        self._items: queue.Queue[Item | Exception] = queue.Queue(ITEMS)

    def put(self, item: Item) -> None:
        """Add an item; waits while `ITEMS` are there."""
        self._items.put(item)

    def read(self, items: Iterable[Item]) -> None:
        """Add all of `items`, and the error that ends them, from a thread that ends with the process."""
        threading.Thread(target=self._read, args=(items,), daemon=True).start()

    def take(self, seconds: float) -> Item | None:
        """The next item, or None where none comes for so long. Raises an error that has ended a reader."""
        try:
            item = self._items.get(timeout=min(max(seconds, 0.0), threading.TIMEOUT_MAX))
        except queue.Empty:
            return None
        if isinstance(item, Exception):
            raise item
        return item

    def _read(self, items: Iterable[Item]) -> None:
        try:
            for item in items:
                self._items.put(item)
        except Exception as error:  # noqa: BLE001  # raised where it is taken
            self._items.put(error)
