"""The names of the executions that run in this process, in log lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

NAME = "InstagramBatch-{number}"


class WorkerNames:
    """Gives each execution the lowest free number for as long as users of it are synced."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._users: Counter[str] = Counter()

    @contextmanager
    def name(self, execution_id: str) -> Iterator[str]:
        """The name under which an execution runs, for the block."""
        number = self._numbers.get(execution_id)
        if number is None:
            taken = set(self._numbers.values())
            number = next(it for it in range(1, len(taken) + 2) if it not in taken)
            self._numbers[execution_id] = number
        self._users[execution_id] += 1
        try:
            yield NAME.format(number=number)
        finally:
            self._users[execution_id] -= 1
            if not self._users[execution_id]:
                del self._users[execution_id], self._numbers[execution_id]
