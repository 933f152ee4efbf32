"""The work on one content, as the program that does it reports it."""

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
"""How long a silent worker counts as alive: bears a pause of the machine, and tells a viewer within a minute."""

FAREWELL_SECONDS: Final = 1.0
"""Longest time that a cancelled work holds up the cancellation in order to report it."""

MESSAGE_CHARACTERS: Final = 2_000
"""Longest error message taken from an exception: some carry the whole input they choked on."""

_PROCESSING: Final = {"status": "processing"}
_CANCELLED: Final = {"error_message": "cancelled", "error_code": "cancelled"}


class Delivery(Protocol):
    """What a work needs of its producer."""

    def new_attempt(self) -> int:
        """An attempt greater than any before it."""

    async def deliver(self, run: Run, state: Publication) -> None:
        """Send `state` of `run` in its turn; returns at once."""

    async def settled(self, run: Run) -> bool:
        """Whether the last state of `run` arrived; waits for it as long as the producer has patience."""


class Work:
    """One run of the work on one content: `async with producer.work("688b…", channel="688a…") as work`.

    Every event carries the whole status: the fields given at the start and by each `update` are merged.
    Leaving the block completes the work, leaving it by an exception reports the error, leaving it by a
    cancellation reports `cancelled`. Nothing here raises or waits because the hub is away; a status that
    breaks a rule raises `Invalid` at the call that says it, and changes nothing.
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
        """Raises `Invalid` naming the field at fault."""
        self._delivery = delivery
        self._fields: dict[str, Any] = {**_PROCESSING, **fields}
        first = publication(channel=channel, content_id=content_id, data=self._fields, attempt=attempt, lease=lease)
        if first.terminal:
            raise Invalid("a work cannot begin with its end", field="data.status")
        self._run = Run(first, delivery.new_attempt)
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
    def attempt(self) -> int:
        """The attempt under which the work is reported; it grows where the hub took the work for dead."""
        return self._run.attempt

    @property
    def refused(self) -> Refusal | None:
        """Why the hub takes nothing more of this work, None where it does.

        `superseded`: a later run owns the content. `closed`: the attempt given to `work` has ended.
        `wrong_channel`: the content lives in another one. The work itself is not interrupted.
        """
        return self._run.refused

    async def update(self, status: str | None = None, /, **fields: Any) -> None:
        """Report a state: `status` of any vocabulary (the last one said by default) and any fields.

        Returns at once; of many updates the latest is sent, at most `rate` a second. A final status ends
        the work as `complete` and `fail` do, but is not waited for. Raises `Invalid`, also where the work
        has ended.
        """
        await self.deliver(self.check(status, **fields))

    async def complete(self, **fields: Any) -> bool:
        """Report that the work is done, and `progress` 100 where progress was reported at all.

        Returns whether this arrived within the producer's `patience`; where it did not, the delivery goes
        on in the background. Raises `Invalid`, also where the work has ended.
        """
        done = {"progress": 100} if "progress" in self._fields else {}
        return await self._end("complete", **{**done, **fields})

    async def fail(self, message: str | None = None, /, **fields: Any) -> bool:
        """Report that the work failed and why, as `error_message`. Else as `complete`."""
        reason = {} if message is None else {"error_message": message}
        return await self._end("error", **{**reason, **fields})

    def check(self, status: str | None = None, /, **fields: Any) -> Publication:
        """The whole status that an `update` with these words says from now on; `deliver` sends it."""
        if self._ended:
            raise Invalid("the work has ended; a new one can report on", field="data.status")
        merged = {**self._fields, **fields} if status is None else {**self._fields, **fields, "status": status}
        if merged["status"] != self._fields["status"] and "processing_status" not in fields:
            # It told the last status in more detail, not this one.
            merged.pop("processing_status", None)
        run = self._run
        state = publication(channel=run.channel, content_id=run.content_id, data=merged, lease=run.lease)
        self._fields, self._ended = merged, state.terminal
        return state

    async def deliver(self, state: Publication) -> None:
        """Send what `check` gave, in its turn; returns at once."""
        await self._delivery.deliver(self._run, state)

    async def _end(self, status: str, /, **fields: Any) -> bool:
        await self.deliver(self.check(status, **fields))
        return await self._delivery.settled(self._run)

    async def _report(self, reason: dict[str, str]) -> None:
        try:
            await self.fail(**reason)
        except Invalid:
            # The error that is on its way up must not be hidden by one of ours: a field was changed behind
            # our back, or leaves no room for the reason.
            self._fields = {**_PROCESSING}
            await self.fail(**reason)


def _reason(error: Exception) -> dict[str, str]:
    name = type(error).__name__
    # A file name in a message may hold bytes that are no text, and those cannot be sent.
    text = str(error)[:MESSAGE_CHARACTERS].encode("utf-8", "replace").decode("utf-8")
    return {"error_message": text or name, "error_code": name}
