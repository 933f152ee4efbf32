"""A work: how a program reports on one content."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Protocol, Self

import anyio

from statushub.hub.model.errors import Invalid
from statushub.hub.model.publication import Publication, publication
from statushub.hub.model.receipt import Refusal
from statushub.producers.run import Run

LEASE_SECONDS: Final = 60.0
"""How long a silent worker counts as alive: outlasts a pause of the machine, and tells viewers within a minute."""

FAREWELL_SECONDS: Final = 1.0
"""Longest time that a cancelled work delays its cancellation in order to report it."""

MESSAGE_CHARACTERS: Final = 2_000
"""Longest error message taken from an exception: some quote their whole input."""

_PROCESSING: Final = {"status": "processing"}
_CANCELLED: Final = {"error_message": "cancelled", "error_code": "cancelled"}


class Delivery(Protocol):
    """What a work needs of its producer."""

    async def deliver(self, run: Run, state: Publication) -> None:
        """Send `state` of `run` when it is due, without waiting for it."""

    async def settled(self, run: Run) -> bool:
        """Whether the last state of `run` arrived; waits for it at most the producer's `patience`."""


class Work:
    """One run of the work on one content: `async with producer.work("688b…", channel="688a…") as work`.

    Every event carries the whole status: the fields of the start and of each `update` are merged. Leaving the block
    completes the work, leaving it by an exception reports the error, leaving it by a cancellation reports
    `cancelled`. Nothing raises or waits because the hub is away. A status that breaks a rule raises `Invalid` at its
    call, and changes nothing.
    """

    def __init__(
        self,
        delivery: Delivery,
        content_id: str,
        *,
        channel: str,
        attempt: int | None,
        lease: float | None,
        fields: Mapping[str, Any],
    ) -> None:
        """Raises `Invalid` for the field at fault."""
        self._delivery = delivery
        self._fields: dict[str, Any] = {**_PROCESSING, **fields}
        first = publication(channel=channel, content_id=content_id, data=self._fields, attempt=attempt, lease=lease)
        if first.terminal:
            raise Invalid("a work cannot begin with a final status", field="data.status")
        self._run = Run(first)
        self._ended = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ended:
            return
        if error is None:
            await self.complete()
        elif isinstance(error, Exception):
            await self._report(_reason(error))
        else:
            with anyio.move_on_after(FAREWELL_SECONDS, shield=True):
                await self._report(_CANCELLED)

    @property
    def content_id(self) -> str:
        return self._run.content_id

    @property
    def channel(self) -> str:
        return self._run.channel

    @property
    def attempt(self) -> int | None:
        """The attempt under which the work is reported; None before the first report has arrived, unless the caller
        chose one. It grows where the lease ran out and the work goes on."""
        return self._run.attempt

    @property
    def refused(self) -> Refusal | None:
        """Why the hub accepts nothing more of this work; None where it does.

        `superseded`: a later run owns the content. `closed`: the attempt that the caller chose has ended.
        `wrong_channel`: the content belongs to another channel. The work itself is not interrupted.
        """
        return self._run.refused

    async def update(self, status: str | None = None, /, **fields: Any) -> None:
        """Report a state: `status` of any vocabulary (by default the last one) and any fields.

        Does not wait for delivery; of many updates the latest is sent, at most `rate` a second. A final status ends
        the work as `complete` and `fail` do, also without waiting. Raises `Invalid`, also where the work has ended.
        """
        await self.deliver(self.check(status, **fields))

    async def complete(self, **fields: Any) -> bool:
        """Report that the work is done, with `progress` 100 where progress was reported before.

        Returns whether this arrived within the producer's `patience`; if not, delivery goes on in the background.
        Raises `Invalid`, also where the work has ended.
        """
        done = {"progress": 100} if "progress" in self._fields else {}
        return await self._end("complete", **{**done, **fields})

    async def fail(self, message: str | None = None, /, **fields: Any) -> bool:
        """Report that the work failed, with the reason as `error_message`. Otherwise as `complete`."""
        reason = {} if message is None else {"error_message": message}
        return await self._end("error", **{**reason, **fields})

    def check(self, status: str | None = None, /, **fields: Any) -> Publication:
        """Merge an update into the fields, and return the whole status; `deliver` sends it."""
        if self._ended:
            raise Invalid("the work has ended; begin a new one to report more", field="data.status")
        merged = {**self._fields, **fields} if status is None else {**self._fields, **fields, "status": status}
        if merged["status"] != self._fields["status"] and "processing_status" not in fields:
            # It detailed the previous status.
            merged.pop("processing_status", None)
        run = self._run
        state = publication(channel=run.channel, content_id=run.content_id, data=merged, lease=run.lease)
        self._fields, self._ended = merged, state.terminal
        return state

    async def deliver(self, state: Publication) -> None:
        """Send a state from `check` when it is due, without waiting for it."""
        await self._delivery.deliver(self._run, state)

    async def _end(self, status: str, /, **fields: Any) -> bool:
        await self.deliver(self.check(status, **fields))
        return await self._delivery.settled(self._run)

    async def _report(self, reason: dict[str, str]) -> None:
        try:
            await self.fail(**reason)
        except Invalid:
            # Must not hide the program's own error: a mutable field was changed, or the fields leave no room for
            # the reason.
            self._fields = {**_PROCESSING}
            await self.fail(**reason)


def _reason(error: Exception) -> dict[str, str]:
    name = type(error).__name__
    # A file name in a message may contain surrogates, which are not valid UTF-8.
    text = str(error)[:MESSAGE_CHARACTERS].encode("utf-8", "replace").decode("utf-8")
    return {"error_message": text or name, "error_code": name}
