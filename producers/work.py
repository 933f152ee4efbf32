"""A work: how a program reports on one content."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import threading
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextvars import Token
from functools import partial
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import anyio

from statushub.hub.model.cancel import CancelRequest
from statushub.hub.model.errors import Invalid, TooLarge
from statushub.hub.model.publication import publication
from statushub.hub.model.receipt import Refusal
from statushub.hub.model.traceparent import TRACEPARENT
from statushub.producers.cancelled import Cancelled
from statushub.producers.current import CURRENT
from statushub.producers.details import Details
from statushub.producers.run import CANCELLED, Run
from statushub.producers.sender import Sender
from statushub.producers.state import PROCESSING, said
from statushub.producers.step import Step
from statushub.producers.steps import Steps
from statushub.producers.tracing import Trail
from statushub.producers.values import plain, plain_fields

T = TypeVar("T")

LEASE_SECONDS: Final = 60.0
"""How long a silent worker counts as alive: outlasts a pause of the machine, and tells viewers within a minute."""

FAREWELL_SECONDS: Final = 1.0
"""Longest time that a cancelled work delays its cancellation in order to report it."""

MESSAGE_CHARACTERS: Final = 2_000
"""Longest error message taken from an exception: some quote their whole input."""

DETAIL_SECONDS: Final = 0.5
"""Time between reports of steps and log lines: a viewer perceives it as live, and a log may have lines by thousands."""

LOG: Final = "log"
"""The field that `log` appends to."""

HALF_FIRST: Final = "\ud800"
HALF_LAST: Final = "\udbff"
"""The first halves of surrogate pairs, as JSON that is read in pieces may have them."""

PART_CHARACTERS: Final = 1_000
"""Of a text that is too long, what is appended of it is found in steps of so many characters."""

STUCK_SECONDS: Final = 0.5
"""How much longer than its patience a work waits for the background thread, which may be stuck."""

logger = logging.getLogger(__name__)


class Reporting:
    """What a work is to every kind of program: its fields, its run, and the rule that it never hurts the program.

    May be used from any thread. In a process that was forked from the one that began it, it does nothing.
    """

    def __init__(
        self,
        sender: Sender,
        content_id: str,
        *,
        owner: object,
        channel: str,
        attempt: int | None,
        run: str | None,
        lease: float | None,
        patience: float,
        strict: bool,
        fields: Mapping[str, Any],
        steps: Any = None,
    ) -> None:
        """Raises `Invalid` for a name, an attempt, a lease or steps at fault, and for a final status; where `strict`,
        for every field at fault."""
        self._pid = os.getpid()
        self._sender = sender
        self._patience = patience
        self._strict = strict
        self._lock = threading.RLock()
        self._warned: set[str] = set()
        self._halves: dict[str, str] = {}
        """Of texts, the half of a surrogate pair that they ended in, whose other half is still to come."""
        self._cut: set[str] = set()
        """Texts of which something was left out: what comes after it would follow the wrong words."""
        self._ended = self._watched = False
        self._token: Token[Reporting | None] | None = None
        self._channel, self._content_id = channel, _name(content_id)
        self._lease, self._attempt = lease, attempt
        if run is not None:
            # Raises where it is invalid.
            publication(
                channel=channel, content_id=self._content_id, data={"status": PROCESSING}, run=run, attempt=attempt
            )
        if steps is not None and not isinstance(steps, Mapping):
            # A field that pages read as the number of steps.
            steps, fields = None, {**fields, "steps": steps}
        self._details, self._detailed = Details(None if steps is None else Steps(steps)), False
        given = {"status": PROCESSING, **self._given(fields), **self._details.fields(PROCESSING)}
        self._fields, first = self._checked(given, PROCESSING)
        if first.terminal:
            raise Invalid("a work cannot begin with a final status", field="data.status")
        self._run = Run(first, owner, run)
        self._trail = Trail()

    @property
    def content_id(self) -> str:
        return self._content_id

    @property
    def channel(self) -> str:
        return self._channel

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

    @property
    def ended(self) -> bool:
        """Whether its last state was reported."""
        return self._ended

    @property
    def cancel_requested(self) -> CancelRequest | None:
        """The request to cancel the work, with `by`, `at` and `reason`; None where there is none.

        Known within about a second after this was first asked. The work goes on unless the program ends it: by raising
        `Cancelled`, for example. Where it does not, the hub ends the content as `cancelled`.
        """
        self._watch()
        return self._run.cancel

    def begin(self) -> None:
        """Report the first state, and be the current work of this context."""
        self.enter()
        self.say(None, {})

    def enter(self) -> None:
        """Be the current work of this context."""
        self._token = CURRENT.set(self)

    def leave(self) -> None:
        """No longer be the current work."""
        token, self._token = self._token, None
        if token is not None:
            try:
                CURRENT.reset(token)
            except ValueError:  # left in another context than it was entered in, as generators may be
                CURRENT.set(None)

    def say(self, status: str | None, fields: Mapping[str, Any]) -> None:
        """Report a state; waits for nothing. Raises `Invalid` where `strict`."""
        if not self._open():
            return
        with self._lock:
            before = str(self._fields.get("status"))
            given = self._given(fields if status is None else {**fields, "status": status})
            merged = {**self._fields, **given}
            if merged["status"] != before and "processing_status" not in given:
                # It detailed the previous status.
                merged.pop("processing_status", None)
            merged.pop("truncated_fields", None)
            place = {} if TRACEPARENT in merged else self._trail.fields(self._channel, self._content_id)
            merged, state = self._checked({**merged, **place, **self._details.fields(merged["status"])}, before)
            for name in place:
                # It is that of this state only.
                merged.pop(name, None)
            self._fields, self._ended = merged, state.terminal
            self._begin_anew(given.keys())
            # It has what was set, and names the fields that are given.
            self._run.growth.forget(merged.keys() & self._run.growth.names)
            self._sender.say(self._run, state)

    def append(self, **fields: str | Sequence[Any]) -> None:
        """Append to fields: a text to a text, and the items of a list to a list. Waits for nothing.

        What is appended is sent at most 20 times a second, each character once; a reader always sees the whole. One
        work may append 1 MiB in all. Raises `Invalid` where `strict`.
        """
        if not self._open():
            return
        with self._lock:
            for name, said in fields.items():
                if name in self._cut and isinstance(said, str):
                    continue
                value = said if self._strict else self._appendable(name, said)
                try:
                    self._append(name, value)
                except Invalid as error:
                    if self._strict:
                        raise
                    self._warn(name, f"field {name!r}: {error.message}")
                    if isinstance(error, TooLarge) and isinstance(value, str):
                        self._cut.add(name)
                        self._append_part(name, value)
            self._sender.grow(self._run)

    def _append(self, name: str, value: Any) -> None:
        self._run.growth.append(name, value, self._fields.get(name))
        self._fields.pop(name, None)

    def _begin_anew(self, names: Iterable[str]) -> None:
        """These fields have a new value."""
        for name in names:
            self._cut.discard(name)
            self._halves.pop(name, None)

    def _append_part(self, name: str, text: str) -> None:
        """Append the beginning of a text that is too long as a whole."""
        with contextlib.suppress(Invalid):
            for at in range(0, len(text), PART_CHARACTERS):
                self._append(name, text[at : at + PART_CHARACTERS])

    def set(self, **fields: Any) -> None:
        """Report fields as `update` does. Where the work appends to others, only these are sent."""
        if not self._open():
            return
        growth = self._run.growth
        with self._lock:
            given = self._given(fields)
            if not growth.names or growth.stopped or "status" in given:
                self.say(None, fields)
                return
            status = str(self._fields.get("status"))
            merged, state = self._checked({**self._fields, **given}, status)
            try:
                growth.set({name: merged[name] for name in given if name in merged}, state)
            except Invalid:
                self.say(None, fields)
                return
            self._begin_anew(given.keys())
            self._fields = merged
            self._sender.grow(self._run)

    def end(self, status: str, fields: Mapping[str, Any]) -> Future[bool] | None:
        """Report the last state; returns whether it arrived, once that is known or patience has ended.

        None where it cannot be waited for.
        """
        if self._here():
            self.say(status, fields)
        return self._settled()

    def end_by(self, error: BaseException) -> Future[bool] | None:
        """Report that the work was ended by an exception. Raises nothing."""
        if self._ended or not self._here():
            return None
        reason = reason_of(error) if isinstance(error, Exception) else CANCELLED
        try:
            return self.end("error", reason)
        except Invalid:
            # Must not hide the program's own error: a mutable field was changed, or the fields leave no room for
            # the reason.
            self._fields = {"status": PROCESSING}
            return self.end("error", reason)

    def abandon(self) -> None:
        """Say no more of it, and let its lease run out: another process goes on with it."""
        if not self._here():
            return
        with self._lock:
            self._ended = True
        self._run.aside, self._run.lease_kept = True, False

    def hand_over(self) -> None:
        """Report of it without keeping it alive: another process may go on with it, also after this one has ended."""
        self._run.lease_kept = False

    def on_refusal(self, function: Callable[[], object]) -> None:
        """Call `function` on the background thread, once nothing more of this work is accepted."""

        async def wait() -> None:
            await self._run.settled.wait()
            if self._run.refused is not None:
                function()

        self._sender.background.submit(wait)

    def repeat(self, seconds: float, function: Callable[[], object]) -> None:
        """Call `function` on the background thread, each time after `seconds`, until the work has ended."""

        async def repeat() -> None:
            while not self._ended:
                await asyncio.sleep(seconds)
                if not self._ended:
                    function()

        self._sender.background.submit(repeat)

    def step(self, name: str) -> Step:
        """The step `name` of the work's `steps`, to be entered by `with`. Raises `Invalid` where `strict` and it is
        none of them."""
        steps = self._details.steps
        if steps is None or name not in steps:
            if self._strict:
                raise Invalid(f"the work has no step {name!r}", field="steps")
            self._warn(f"step {name!r}", f"it has no step {name!r}, which is not reported; name it in `steps`")
            return Step(name, None, self)
        return Step(name, steps, self)

    def log(self, message: object, level: str = "info") -> None:
        """Append a line to the field `log`, which holds the latest ones, up to a hundred; it is reported within half a
        second."""
        if self._here():
            with self._lock:
                self._details.log(message, level)
            self._detail()

    def report_details(self) -> None:
        """Report steps and log, where they have changed and the work has not ended; waits for nothing."""
        if not self._here():
            return
        with self._lock:
            if not self._ended:
                self._append_log()
                if changed := self._details.changes():
                    self.set(**changed)
        self._detail()

    def _append_log(self) -> None:
        """Append the new lines of the log, or begin it anew with the later half."""
        details, growth = self._details, self._run.growth
        lines, dropped = details.lines()
        if growth.stopped and not details.log_whole:
            details.log_whole = dropped = True
        if details.log_whole:
            if lines or dropped:
                self.say(None, {})
            return
        if not lines:
            return
        try:
            if dropped:
                growth.begin(LOG, lines)
            else:
                growth.append(LOG, lines, self._fields.get(LOG))
        except Invalid:
            # The work has appended as much as it may.
            details.log_whole = True
            self.say(None, {})
        else:
            self._fields.pop(LOG, None)
            self._sender.grow(self._run)

    def _detail(self) -> None:
        """Report steps and log from now on."""
        if not self._detailed:
            self._detailed = True
            self.repeat(DETAIL_SECONDS, self.report_details)

    def done(self) -> dict[str, Any]:
        """What a work that is done says: all of the progress, where progress was reported before."""
        return {"progress": 100} if "progress" in self._fields else {}

    def _watch(self) -> None:
        """Let the run be told of a request to cancel it."""
        if not self._watched and self._here():
            self._watched = True
            self._sender.watch(self._run)

    def _decided(self) -> Future[CancelRequest | None] | None:
        """The request to cancel the work, once there is one; None where it cannot be waited for."""
        if not self._here() or self._sender.background.inside:
            return None
        return self._sender.background.submit(partial(self._sender.decided, self._run))

    def _settled(self) -> Future[bool] | None:
        if not self._here() or self._sender.background.inside:
            return None
        return self._sender.background.submit(partial(self._sender.settled, self._run, self._patience))

    def _open(self) -> bool:
        """Whether more can be reported. Raises `Invalid` where `strict` and the work has ended."""
        if not self._here():
            return False
        if self._ended and self._strict:
            raise Invalid("the work has ended; begin a new one to report more", field="data.status")
        if self._ended:
            self._warn("ended", "the work has ended, and nothing more of it is reported; begin a new one")
        return not self._ended

    def _here(self) -> bool:
        """Whether this process began the work, and still can report."""
        if sys.is_finalizing():
            return False
        if os.getpid() == self._pid:
            return True
        self._warn("fork", "the work was begun before a fork, by another process, and does nothing in this one")
        return False

    def _given(self, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        return fields if self._strict else plain_fields(fields)

    def _appendable(self, name: str, value: Any) -> Any:
        """A text as valid Unicode, whose pairs of surrogates may come in two tokens; a value that can be read only once
        as it is; anything else as a state has it."""
        if isinstance(value, Iterator | AsyncIterator):
            return value
        if not isinstance(value, str):
            return plain(value)
        text = self._halves.pop(name, "") + value
        if HALF_FIRST <= text[-1:] <= HALF_LAST:
            self._halves[name], text = text[-1], text[:-1]
        return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def _checked(self, fields: Mapping[str, Any], before: str) -> Any:
        channel, content_id, lease, attempt = self._channel, self._content_id, self._lease, self._attempt
        if self._strict:
            whole = publication(channel=channel, content_id=content_id, data=fields, lease=lease, attempt=attempt)
            return dict(fields), whole
        made = said(channel=channel, content_id=content_id, fields=fields, before=before, lease=lease, attempt=attempt)
        for name, reason in made.mended.items():
            self._warn(name, f"field {name!r}: {reason}")
        return made.fields, made.publication

    def _warn(self, key: str, message: str) -> None:
        if key not in self._warned:
            self._warned.add(key)
            logger.warning("content %r: %s", self._content_id, message)


class Work(Reporting):
    """One run of the work on one content: `async with producer.work("688b…", channel="688a…") as work`.

    Every event carries the whole status: the fields of the start and of each `update` are merged. Entering the block
    reports the start, leaving it completes the work, leaving it by an exception reports the error, and by a
    cancellation `cancelled`. Nothing raises or waits because the hub is away, or because a value breaks a rule: the
    value is mended or left out, and the log says so once. With `strict` such a value raises `Invalid` at its call, and
    changes nothing.
    """

    async def __aenter__(self) -> Self:
        self.begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()
        if self._ended:
            return
        if error is None:
            await self.complete()
        elif isinstance(error, Exception):
            await self.arrived(self.end_by(error))
        else:
            with anyio.move_on_after(FAREWELL_SECONDS, shield=True):
                await self.arrived(self.end_by(error))

    async def update(self, status: str | None = None, /, **fields: Any) -> None:
        """Report a state: `status` of any vocabulary (by default the last one) and any fields.

        Does not wait for delivery; of many updates the latest is sent, at most `rate` a second. A final status ends
        the work as `complete` and `fail` do, also without waiting.
        """
        self.say(status, fields)

    async def stream(self, tokens: AsyncIterable[T], field: str = "text") -> AsyncIterator[T]:
        """Append each token that is a text to a field while the program iterates over them."""
        async for token in tokens:
            if isinstance(token, str):
                self.append(**{field: token})
            yield token

    async def complete(self, **fields: Any) -> bool:
        """Report that the work is done, with `progress` 100 where progress was reported before.

        Returns whether this arrived within the producer's `patience`; if not, delivery goes on in the background.
        """
        return await self.arrived(self.end("complete", {**self.done(), **fields}))

    async def fail(self, message: str | None = None, /, **fields: Any) -> bool:
        """Report that the work failed, with the reason as `error_message`. Otherwise as `complete`."""
        reason = {} if message is None else {"error_message": message}
        return await self.arrived(self.end("error", {**reason, **fields}))

    async def cancelled(self) -> CancelRequest | None:
        """Wait until the work is asked to cancel, and return the request; None where it ends before."""
        decided = self._decided()
        return None if decided is None else await asyncio.wrap_future(decided)

    async def arrived(self, settled: Future[bool] | None) -> bool:
        """The result of `end`, waited for."""
        if settled is None:
            return False
        with anyio.move_on_after(self._patience + STUCK_SECONDS):
            return await asyncio.wrap_future(settled)
        return False


def _name(content_id: str) -> str:
    """`content_id`, where it is a file name with undecodable bytes with these escaped: it must stay another's."""
    try:
        content_id.encode()
    except UnicodeEncodeError:
        return content_id.encode("utf-8", "backslashreplace").decode("utf-8")
    except AttributeError:  # no text, as the check says
        pass
    return content_id


def reason_of(error: Exception) -> dict[str, str]:
    """The fields that say why a work was ended by `error`."""
    if isinstance(error, Cancelled):
        return {"error_message": error.message, "error_code": error.code}
    name = type(error).__name__
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 - the program's own exception may raise anything
        message = ""
    return {"error_message": str(plain(message[:MESSAGE_CHARACTERS])) or name, "error_code": name}
