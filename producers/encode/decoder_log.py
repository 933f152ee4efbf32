"""The codecs' log in the process that reads the source.

It alone says that a picture was too large or that memory ran out; libav reports both as damage or unknown errors.
"""

from __future__ import annotations

import errno
import os
import re
from typing import Final

import av.logging

from statushub.producers.encode.errors import EncodeError, SourceTooLarge

STDERR: Final = 2
PIPE_BYTES: Final = 65_536
"""What Linux keeps of a pipe that is not read; libav's further lines are dropped."""

_PICTURE: Final = re.compile(rb"Picture size (\d{1,10})x(\d{1,10})")
_OUT_OF_MEMORY: Final = re.compile(rb"malloc of size|[Aa]llocat|Resource temporarily unavailable")


class DecoderLog:
    """Takes over this process's stderr, to which the codecs write, and reads it without waiting."""

    def __init__(self) -> None:
        self._out_of_memory = False
        self._reader, writer = os.pipe()
        os.set_blocking(self._reader, False)
        # A codec never waits for this process to read, not even while it holds the interpreter's lock.
        os.set_blocking(writer, False)
        os.dup2(writer, STDERR)
        os.close(writer)
        av.logging.restore_default_callback()
        av.logging.set_libav_level(av.logging.ERROR)

    def check(self, pixels: int) -> None:
        """Raise `SourceTooLarge` where a picture of more than `pixels` has been refused since the last call."""
        try:
            text = os.read(self._reader, PIPE_BYTES)
        except BlockingIOError:
            return
        self._out_of_memory = self._out_of_memory or _OUT_OF_MEMORY.search(text) is not None
        if any(int(width) * int(height) > pixels for width, height in _PICTURE.findall(text)):
            raise SourceTooLarge(f"A picture has more than {pixels} pixels, which is the limit.", field="source")

    def explained(self, error: Exception) -> Exception:
        """`error`, or a `MemoryError` where a lack of memory has led to it. Call after `check`."""
        # A thread that cannot be started for lack of memory is EAGAIN.
        lacking = self._out_of_memory or getattr(error, "errno", None) == errno.EAGAIN
        return MemoryError() if lacking and not isinstance(error, EncodeError) else error
