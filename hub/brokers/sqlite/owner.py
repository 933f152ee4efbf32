"""The thread that owns a file of the hub's own.

Calls are queued to it, and writes that wait together share a transaction (group commit), so that one `fsync` serves
many. Results reach the event loop after the commit.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from types import TracebackType
from typing import Any, Final, Generic, NamedTuple, Protocol, Self, TypeVar

import anyio

from statushub.hub.model.errors import BrokerUnavailable

GROUP_WRITES: Final = 64
"""Most writes in one transaction. A few dozen share the cost of an fsync well; with more, the first would only wait
longer for the last."""


class Owned(Protocol):
    """What is kept in the file. Its methods block."""

    def transaction(self) -> AbstractContextManager[None]:
        """Everything written within is on disk when this ends, and nothing of it when this raises."""

    def close(self) -> None:
        """Close the file."""


F = TypeVar("F", bound=Owned)


class _Call(NamedTuple):
    future: asyncio.Future[Any]
    run: Callable[[Any], Any]
    writes: bool


class _Outcome(NamedTuple):
    """The result of a call, or the error to raise at its caller."""

    call: _Call
    result: Any = None
    error: Exception | None = None


class Owner(Generic[F]):
    """Runs calls on what a file holds, in their order."""

    def __init__(
        self,
        open: Callable[[], F],
        *,
        name: str,
        file: str,
        committed: Callable[[Sequence[Any]], Sequence[Any]] = lambda results: results,
    ) -> None:
        """`open` opens the file, on the thread, and may raise; `name` is the thread's, `file` what errors call it.
        `committed` is called, on the event loop, with what the writes of a transaction have returned, and returns what
        their callers are told."""
        self._open_file = open
        self._name = name
        self._file = file
        self._committed = committed
        self._open = False

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        opened = _Call(self._loop.create_future(), _nothing, writes=False)
        # A daemon: a hub that ends without leaving this must not hang, and what was acknowledged is on disk.
        self._thread = threading.Thread(target=self._work, args=(opened,), name=self._name, daemon=True)
        self._thread.start()
        try:
            await opened.future
        except BaseException:
            self._end()
            raise
        self._open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        drained = self.read(_nothing)
        try:
            with anyio.CancelScope(shield=True):
                await drained
        finally:
            self._end()

    @property
    def waiting(self) -> int:
        """How many calls wait."""
        return self._calls.qsize() if self._open else 0

    def read(self, run: Callable[[F], Any]) -> asyncio.Future[Any]:
        """What `run` returns. Raises `BrokerUnavailable` where this is closed, and where the file fails."""
        return self._submit(run, writes=False)

    def write(self, run: Callable[[F], Any]) -> asyncio.Future[Any]:
        """As `read`, within a transaction, once it is on disk."""
        return self._submit(run, writes=True)

    def _submit(self, run: Callable[[F], Any], *, writes: bool) -> asyncio.Future[Any]:
        if not self._open:
            raise BrokerUnavailable(f"{self._file} is closed")
        call = _Call(self._loop.create_future(), run, writes)
        self._calls.put(call)
        return call.future

    def _end(self) -> None:
        self._open = False
        self._calls.put(None)
        self._thread.join()

    def _settle(self, outcomes: Sequence[_Outcome]) -> None:
        results: Sequence[Any] = [outcome.result for outcome in outcomes]
        if outcomes[0].call.writes and outcomes[0].error is None:
            results = self._committed(results)
        for (call, _, error), result in zip(outcomes, results, strict=True):
            if call.future.done():  # its caller was cancelled
                continue
            if error is None:
                call.future.set_result(result)
            else:
                call.future.set_exception(error)

    # The methods below run on the thread.

    def _work(self, opened: _Call) -> None:
        try:
            owned = self._open_file()
        except Exception as error:  # noqa: BLE001 - raised where this is entered
            self._tell([_Outcome(opened, error=error)])
            return
        with closing(owned):
            self._tell([_Outcome(opened)])
            for calls in self._take():
                if calls[0].writes:
                    self._write(owned, calls)
                else:
                    self._read(owned, calls[0])

    def _take(self) -> Iterator[list[_Call]]:
        """The calls in their order; writes that wait together come as one list."""
        writes: list[_Call] = []
        while True:
            try:
                call = self._calls.get(block=not writes)
            except queue.Empty:
                yield writes
                writes = []
                continue
            if call is not None and call.writes and len(writes) < GROUP_WRITES:
                writes.append(call)
                continue
            if writes:
                yield writes
                writes = []
            if call is None:
                return
            if call.writes:
                writes.append(call)
            else:
                yield [call]

    def _read(self, owned: F, call: _Call) -> None:
        try:
            result = call.run(owned)
        except Exception as error:  # noqa: BLE001 - raised where the call was made
            self._tell([_Outcome(call, error=self._explained(error))])
        else:
            self._tell([_Outcome(call, result)])

    def _write(self, owned: F, calls: Sequence[_Call]) -> None:
        try:
            with owned.transaction():
                results = [call.run(owned) for call in calls]
        except Exception as error:  # noqa: BLE001 - raised where the call was made
            if len(calls) == 1:
                self._tell([_Outcome(calls[0], error=self._explained(error))])
                return
            for call in calls:  # the others must not fail with the faulty one
                self._write(owned, [call])
        else:
            self._tell([_Outcome(call, result) for call, result in zip(calls, results, strict=True)])

    def _tell(self, outcomes: Sequence[_Outcome]) -> None:
        self._loop.call_soon_threadsafe(self._settle, outcomes)

    def _explained(self, error: Exception) -> Exception:
        if not isinstance(error, sqlite3.Error):
            return error
        unavailable = BrokerUnavailable(f"{self._file} cannot be used: {error}")
        unavailable.__cause__ = error
        return unavailable


def _nothing(owned: Any) -> None:
    """Only waits for its turn."""
