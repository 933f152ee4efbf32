"""The process that works on one untrusted source: `python -m statushub.producers.encode.child LIMITS PARENT`.

It reads requests on stdin and answers on stdout, and stops at the first failure. It ends when its stdin is closed,
which its parent holds, and on Linux with its parent even while a codec hangs.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Final, TypeVar

import msgspec

from statushub.producers.encode.decoder_log import DecoderLog
from statushub.producers.encode.download import from_filesystem
from statushub.producers.encode.errors import EncodeError, ResourcesExhausted
from statushub.producers.encode.ladder import renditions
from statushub.producers.encode.messages import (
    Advanced,
    Done,
    Failed,
    Fetch,
    Poster,
    Probe,
    Reply,
    Request,
    Transcode,
    Validate,
    line,
    raw,
    request,
)
from statushub.producers.encode.options import Options
from statushub.producers.encode.playlist import MASTER, Variant, master
from statushub.producers.encode.poster import poster
from statushub.producers.encode.probe import Video, probe
from statushub.producers.encode.result import EncodedRendition
from statushub.producers.encode.scratch import check_free, explained, is_full, scratch_unwritable
from statushub.producers.encode.transcode import transcode
from statushub.producers.encode.validate import validate
from statushub.producers.sources.errors import reason
from statushub.producers.sources.process_limits import ProcessLimits

ADVANCE_SECONDS: Final = 0.02
"""Least time between two messages of progress: a source has thousands of packets a second."""

PR_SET_PDEATHSIG: Final = 1
"""prctl(2): the signal that this process gets when the thread that started it ends."""

OOM_SCORE: Final = "1000"
"""The highest: where the machine runs out of memory, Linux ends this process before its parent."""

R = TypeVar("R", bound=Request)


class Exchange:
    """The requests of the parent, and the answers to it."""

    def __init__(self, answers: int) -> None:
        """`answers` is the file descriptor to write to."""
        self._answers = answers
        self._requests: SimpleQueue[bytes] = SimpleQueue()
        self._advanced = 0.0
        threading.Thread(target=self._read, daemon=True).start()

    def next(self) -> Request:
        """Wait for the next request."""
        return request(self._requests.get())

    def expect(self, kind: type[R]) -> R:
        """Wait for the next request, which is of this kind. Raises `TypeError` where it is not."""
        found = self.next()
        if not isinstance(found, kind):
            raise TypeError(f"expected {kind.__name__}, got {type(found).__name__}")
        return found

    def advance(self, fraction: float) -> bool:
        """Answer that the process works, and how far it is; returns whether it was time to."""
        now = time.monotonic()
        due = now - self._advanced >= ADVANCE_SECONDS
        if due:
            self._advanced = now
            self._write(Advanced(fraction))
        return due

    def done(self, value: object) -> None:
        """Answer that the request is done."""
        self._write(Done(raw(value)))

    def fail(self, error: Exception, *locations: str) -> None:
        """Answer that the request failed."""
        if is_full(error):
            error = scratch_unwritable(error)
        if isinstance(error, EncodeError):
            self._write(Failed(code=error.code, message=error.message, field=error.field))
        elif isinstance(error, MemoryError):
            text = "The source needs more memory than the encoder may take."
            self._write(Failed(code=ResourcesExhausted.code, message=text, field="source"))
        else:
            self._write(Failed(code=None, message=reason(error, *locations)))

    def _write(self, reply: Reply) -> None:
        data = line(reply)
        while data:
            data = data[os.write(self._answers, data) :]

    def _read(self) -> None:
        # Not through sys.stdin: an interpreter that exits would wait for its lock.
        rest = b""
        while data := os.read(0, 65_536):
            *lines, rest = (rest + data).split(b"\n")
            for text in lines:
                self._requests.put(text)
        os._exit(1)


def serve(exchange: Exchange) -> None:
    """Answer the requests of one source."""
    first = exchange.next()
    locations = (first.source,) if isinstance(first, Fetch) else ()
    try:
        if isinstance(first, Fetch):
            fetch(exchange, first)
        elif isinstance(first, Probe):
            encode(exchange, first)
    except Exception as error:  # noqa: BLE001 - each file system and codec has its own classes
        exchange.fail(error, *locations)


def fetch(exchange: Exchange, job: Fetch) -> None:
    """Copy a file of an fsspec file system. Raises `EncodeError`, and the file system's errors."""
    from_filesystem(job.source, job.name, Path(os.fsdecode(job.target)), job.limit, exchange.advance)
    exchange.done(None)


def encode(exchange: Exchange, job: Probe) -> None:
    """Probe, transcode and validate a file, and make its poster. Raises `EncodeError`, and libav's errors."""
    log = DecoderLog()
    try:
        _encode(exchange, job, log)
    except Exception as error:
        raise log.explained(error) from error


def _encode(exchange: Exchange, job: Probe, log: DecoderLog) -> None:
    with _checked(log, job.pixels):
        video = probe(Path(os.fsdecode(job.path)), job.seconds, job.pixels)
    exchange.done(video.facts)

    work = exchange.expect(Transcode)
    folder = Path(os.fsdecode(work.folder))
    folder.mkdir()
    # libav takes a percent sign in a path for a pattern, and has no way to quote it: the paths are relative.
    os.chdir(folder)
    with explained(Path()):
        _make(exchange, log, video, work.options, job.pixels)


def _make(exchange: Exchange, log: DecoderLog, video: Video, options: Options, pixels: int) -> None:
    """Make the result in the working folder."""
    folder, chosen = Path(), renditions(video.width, video.height, options.ladder)
    with _checked(log, pixels):
        written = transcode(video, chosen, folder, options, partial(_advance, exchange, log, pixels), pixels)
    exchange.done(written.seconds)

    exchange.expect(Validate)
    variants = validate(video, chosen, folder, written, exchange.advance)
    exchange.done([_encoded(variant) for variant in variants])

    exchange.expect(Poster)
    poster(variants[-1].media, variants[0].media, folder, exchange.advance)
    (folder / MASTER).write_text(master(variants), "utf-8")
    exchange.done(None)


@contextmanager
def _checked(log: DecoderLog, pixels: int) -> Iterator[None]:
    """Raise `SourceTooLarge` in place of what a picture that was too large has led to."""
    try:
        yield
    finally:
        log.check(pixels)


def _advance(exchange: Exchange, log: DecoderLog, pixels: int, fraction: float) -> None:
    if exchange.advance(fraction):
        log.check(pixels)
        # libav goes on without the segments that it cannot write, for hours.
        check_free(Path())


def _encoded(variant: Variant) -> EncodedRendition:
    rendition = variant.rendition
    return EncodedRendition(
        name=rendition.name, width=rendition.width, height=rendition.height, bandwidth=variant.media.bandwidth
    )


def end_with_parent(parent: int) -> None:
    """End this process when the process `parent`, which started it, ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def main() -> None:
    """Run the process with its arguments."""
    limits, parent = sys.argv[1:]
    end_with_parent(int(parent))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(OOM_SCORE, "ascii")
    # What a library prints must not end up among the answers.
    answers = os.dup(1)
    os.dup2(2, 1)
    exchange = Exchange(answers)
    # After the imports and the first thread, whose code and stack count as memory, too.
    msgspec.json.decode(limits, type=ProcessLimits).apply()
    serve(exchange)


if __name__ == "__main__":
    main()
