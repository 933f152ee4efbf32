"""The folder for the temporary files of an encode, and what it means that its disk is full."""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from statushub.producers.encode.errors import EncodeError, ScratchUnwritable
from statushub.producers.sources.errors import reason

FREE_BYTES: Final = 64 * 1024
"""With less, the disk is full: libav writes in blocks of 32 KiB, and does not report all of those that fail."""


@contextmanager
def scratch_folder(parent: Path | None) -> Iterator[Path]:
    """A new folder in `parent`, or in the system's, for the time of the block. Raises `ScratchUnwritable`."""
    try:
        folder = tempfile.TemporaryDirectory(prefix="statushub-", dir=parent)
    except OSError as error:
        raise scratch_unwritable(error) from error
    with folder as path:
        # Python 3.11 returns a relative one where `parent` is.
        yield Path(path).absolute()


def is_full(error: BaseException) -> bool:
    """Whether `error` says that a disk is full, or a quota of it used up."""
    return getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)


def scratch_unwritable(error: BaseException) -> ScratchUnwritable:
    """The error of an encode whose temporary files cannot be written because of `error`."""
    return ScratchUnwritable(f"The folder for temporary files cannot be written to: {reason(error)}.", field="scratch")


def check_free(folder: Path) -> None:
    """Raise `ScratchUnwritable` where the disk of `folder` is full."""
    if shutil.disk_usage(folder).free < FREE_BYTES:
        raise scratch_unwritable(OSError(errno.ENOSPC, "No space left on device"))


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Raise `ScratchUnwritable` in place of a failure that a full disk of `folder` has led to."""
    try:
        yield
    except EncodeError as error:
        if error.field is None:
            check_free(folder)
        raise
    except Exception:
        check_free(folder)
        raise
