"""The producer for ordinary code, usable from any thread."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self, TypeVar

from statushub.hub.model.cancel import CancelRequest
from statushub.hub.model.receipt import Receipt
from statushub.producers.background import waited
from statushub.producers.handle import Handle
from statushub.producers.removal import Removed
from statushub.producers.work import FAREWELL_SECONDS, LEASE_SECONDS, STUCK_SECONDS, Reporting

T = TypeVar("T")


class SyncWork(Reporting):
    """A `Work` in ordinary code, from any thread: `with producer.work("688b…", channel="688a…") as work`."""

    def __enter__(self) -> Self:
        self.begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()
        if self._ended:
            return
        if error is None:
            self.complete()
        else:
            seconds = self._patience if isinstance(error, Exception) else min(self._patience, FAREWELL_SECONDS)
            self.arrived(self.end_by(error), seconds)

    def update(self, status: str | None = None, /, **fields: Any) -> None:
        """As `Work.update`."""
        self.say(status, fields)

    def stream(self, tokens: Iterable[T], field: str = "text") -> Iterator[T]:
        """Append each token that is a text to a field while the program iterates over them."""
        for token in tokens:
            if isinstance(token, str):
                self.append(**{field: token})
            yield token

    def complete(self, **fields: Any) -> bool:
        """As `Work.complete`."""
        return self.arrived(self.end("complete", {**self.done(), **fields}))

    def fail(self, message: str | None = None, /, **fields: Any) -> bool:
        """As `Work.fail`."""
        reason = {} if message is None else {"error_message": message}
        return self.arrived(self.end("error", {**reason, **fields}))

    def wait_cancelled(self, timeout: float | None = None) -> CancelRequest | None:
        """Wait until the work is asked to cancel, at most `timeout` seconds, and return the request; None where it
        ends, or the time passes, before."""
        decided = self._decided()
        found = waited(decided, timeout)
        if decided is not None:
            decided.cancel()
        return found

    def arrived(self, settled: Future[bool] | None, seconds: float | None = None) -> bool:
        """The result of `end`, waited for at most `seconds`, by default the patience."""
        arrived = waited(settled, (self._patience if seconds is None else seconds) + STUCK_SECONDS)
        return bool(arrived)


class SyncProducer(Handle):
    """A `Producer` for ordinary code: `with SyncProducer(url) as producer`, or `open()` and `close()`.

    May be used from any thread, and in a process that was forked from the one that opened it. Leases are renewed
    however busy the threads are.
    """

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ordinary = error is None or isinstance(error, Exception)
        self._close(self._patience if ordinary else min(self._patience, FAREWELL_SECONDS))

    def open(self) -> Self:
        """Begin to use it, where `with` does not fit: in signals of a worker, in a notebook. Twice is once."""
        self.begin()
        return self

    def close(self) -> None:
        """Deliver what is left, waiting at most `patience`, and use it no longer. Twice is once."""
        self._close(self._patience)

    def work(
        self,
        content_id: str,
        *,
        channel: str,
        attempt: int | None = None,
        run: str | None = None,
        lease: float | None = LEASE_SECONDS,
        steps: Mapping[str, float] | None = None,
        **fields: Any,
    ) -> SyncWork:
        """As `Producer.work`."""
        options: dict[str, Any] = {"channel": channel, "attempt": attempt, "run": run, "lease": lease}
        return SyncWork(content_id=content_id, fields=fields, steps=steps, **options, **self._for_works())

    def publish(
        self,
        content_id: str,
        *,
        channel: str,
        status: str | None = None,
        data: Mapping[str, Any] | None = None,
        type: str | None = None,
        attempt: int | None = None,
        seq: int | None = None,
        lease: float | None = None,
        run: str | None = None,
        age_ms: int | None = None,
        restart: bool = False,
    ) -> Receipt:
        """As `Producer.publish`."""
        event: dict[str, Any] = {"channel": channel, "content_id": content_id, "type": type, "attempt": attempt}
        event = {**event, "seq": seq, "lease": lease, "run": run, "age_ms": age_ms, "restart": restart}
        return self._sent(status, data, event).result()

    def remove(self, channel: str, *content_ids: str, all: bool = False) -> Removed:
        """As `Producer.remove`."""
        return self._removed(channel, content_ids, all=all).result()

    def _close(self, patience: float) -> None:
        waited(self._end(patience), patience + STUCK_SECONDS)
