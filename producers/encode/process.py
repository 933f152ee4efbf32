"""A process of its own for untrusted data: its start, its limits, and what its end means."""

from __future__ import annotations

import math
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from subprocess import DEVNULL
from types import TracebackType
from typing import Final, Self, TypeVar

import anyio
import anyio.abc
import msgspec

from statushub.producers.encode.errors import (
    ContentLost,
    DestinationUnwritable,
    EncodeError,
    NotAVideo,
    ProcessDied,
    ResourcesExhausted,
    ScratchUnwritable,
    SourceNotFound,
    SourceTooLarge,
    SourceUnreadable,
    TranscodeFailed,
    ValidationFailed,
)
from statushub.producers.encode.messages import MESSAGE_BYTES, Advanced, Done, Failed, Reply, Request, line, reply
from statushub.producers.encode.progress import OnProgress
from statushub.producers.sources.process_limits import ProcessLimits

CHILD: Final = "statushub.producers.encode.child"
"""The module that the process runs; it imports the codecs, and so is not imported here."""

EXIT_SECONDS: Final = 5.0
"""Time that a process has to exit by itself once it has answered everything."""

_CLASSES: Final = {
    each.code: each
    for each in (
        SourceNotFound,
        SourceUnreadable,
        SourceTooLarge,
        NotAVideo,
        DestinationUnwritable,
        ScratchUnwritable,
        TranscodeFailed,
        ContentLost,
        ValidationFailed,
        ResourcesExhausted,
    )
}
"""The errors that a process may answer with."""

V = TypeVar("V")
Pipe = TypeVar("Pipe")


class ProcessError(Exception):
    """Raised when the process failed with an error of a library; the text is the reason."""


class Process:
    """A process that works on one source. It starts with the first call, and has ended when the block is left."""

    def __init__(self, limits: ProcessLimits) -> None:
        self._limits = limits
        self._process: anyio.abc.Process | None = None
        self._deadline = math.inf
        self._received = bytearray()
        self._exits = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is None:
            return
        try:
            if self._exits or kind is None:
                with anyio.move_on_after(EXIT_SECONDS):
                    await self._process.wait()
        finally:
            await _end(self._process)

    async def call(self, request: Request, value: type[V], on_progress: OnProgress) -> V:
        """Let the process do `request`, and return its answer, a `value`.

        `on_progress` is called with the part that is done, 0 to 1. Raises the `EncodeError` that the process answers,
        `ProcessError` for any other error, `ResourcesExhausted` where it exceeds a limit or hangs, and `ProcessDied`.
        """
        process = self._process or await self._start()
        # Where it has ended or hangs, this is found by reading.
        with suppress(anyio.BrokenResourceError), anyio.move_on_after(self._limits.stall_seconds):
            await _pipe(process.stdin).send(line(request))
        while True:
            match await self._reply(process):
                case Advanced(fraction):
                    on_progress(fraction)
                case Done(raw):
                    return _decoded(lambda: msgspec.json.decode(raw, type=value))
                case Failed() as failed:
                    self._exits = True
                    raise _error(failed)

    async def _start(self) -> anyio.abc.Process:
        limits = msgspec.json.encode(self._limits).decode()
        # -P: the working folder is not searched for modules. The path is that of this process.
        command = [sys.executable, "-P", "-m", CHILD, limits, str(os.getpid())]
        path = os.pathsep.join(str(each or os.curdir) for each in sys.path)
        # A session of its own, because the signals of a terminal are for this process, which then ends the other.
        self._process = await anyio.open_process(
            command, stderr=DEVNULL, env={**os.environ, "PYTHONPATH": path}, start_new_session=True
        )
        self._deadline = anyio.current_time() + self._limits.total_seconds
        return self._process

    async def _reply(self, process: anyio.abc.Process) -> Reply:
        """The next reply. Where there is none in time, ends the process."""
        left = self._deadline - anyio.current_time()
        if left > 0:
            with anyio.move_on_after(min(left, self._limits.stall_seconds)):
                found = await self._line(process)
                return _decoded(lambda: reply(found))
        await _end(process)
        if left <= self._limits.stall_seconds:
            text = f"The source takes longer than {self._limits.total_seconds:g} s, which is the limit."
        else:
            text = f"The source was given up after {self._limits.stall_seconds:g} s without progress."
        raise ResourcesExhausted(text, field="source")

    async def _line(self, process: anyio.abc.Process) -> bytes:
        while (end := self._received.find(b"\n")) < 0:
            if len(self._received) > MESSAGE_BYTES:
                raise ProcessDied("The process that reads the source sent an answer that is too long.", field="source")
            try:
                self._received += await _pipe(process.stdout).receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                raise self._death(await process.wait()) from None
        found = bytes(self._received[:end])
        del self._received[: end + 1]
        return found

    def _death(self, code: int) -> EncodeError:
        """What the exit code of a process that ended without an answer means."""
        if code == -signal.SIGXCPU:
            text = f"The source takes more than {self._limits.cpu_seconds} s of CPU time, which is the limit."
            return ResourcesExhausted(text, field="source")
        if code == -signal.SIGKILL:
            how = "was killed, as the system does when it runs out of memory"
        else:
            how = f"crashed ({signal.strsignal(-code) or -code})" if code < 0 else f"ended with exit code {code}"
        return ProcessDied(f"The process that reads the source {how}.", field="source")


async def _end(process: anyio.abc.Process) -> None:
    """Kill `process` and all that it started, and wait until it has ended."""
    with anyio.CancelScope(shield=True):
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        await process.aclose()


def _pipe(stream: Pipe | None) -> Pipe:
    if stream is None:
        raise RuntimeError("the process was started without a pipe")
    return stream


def _decoded(decode: Callable[[], V]) -> V:
    try:
        return decode()
    except msgspec.DecodeError:
        raise ProcessDied("The process that reads the source sent an invalid answer.", field="source") from None


def _error(failed: Failed) -> Exception:
    if failed.code is None:
        return ProcessError(failed.message)
    return _CLASSES.get(failed.code, ProcessDied)(failed.message, field=failed.field)
