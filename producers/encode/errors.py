"""Why an encode failed. Each class says when it is raised; its `code` is published and stable.

EncodeError
├── SourceNotFound          the source does not exist
├── SourceUnreadable        the source cannot be read: access denied, connection lost, unknown kind of URL
├── SourceTooLarge          the source exceeds a limit of size, duration or resolution
├── NotAVideo               the source has no video track that can be decoded
├── DestinationUnwritable   the destination folder cannot be written
├── TranscodeFailed         decoding or encoding failed midway
├── ValidationFailed        the result does not play, or is shorter than its source
├── ResourcesExhausted      the source takes more memory, CPU time or time than it may
└── ProcessDied             the process that works on the source ended without an answer
"""

from __future__ import annotations

import os
from typing import ClassVar

from statushub.hub.model.errors import StatushubError
from statushub.producers.encode.location import has_secret


class EncodeError(StatushubError):
    """The root. `message` is one sentence for the person who uploaded the video."""

    code: ClassVar[str] = "encode_failed"


class SourceNotFound(EncodeError):
    """Raised when nothing exists at the source's path or URL."""

    code = "source_not_found"


class SourceUnreadable(EncodeError):
    """Raised when access to the source is denied, its transfer breaks off, or its kind of URL is unknown."""

    code = "source_unreadable"


class SourceTooLarge(EncodeError):
    """Raised when the source exceeds a limit of size, duration or resolution."""

    code = "source_too_large"


class NotAVideo(EncodeError):
    """Raised when the source has no video track that can be decoded."""

    code = "not_a_video"


class DestinationUnwritable(EncodeError):
    """Raised when the destination folder cannot be written."""

    code = "destination_unwritable"


class TranscodeFailed(EncodeError):
    """Raised when decoding or encoding fails midway."""

    code = "transcode_failed"


class ValidationFailed(EncodeError):
    """Raised when the result does not play through, or is shorter than its source."""

    code = "validation_failed"


class ResourcesExhausted(EncodeError):
    """Raised when the source takes more memory, CPU time or time than `Options` allows, or its process hangs."""

    code = "resources_exhausted"


class ProcessDied(EncodeError):
    """Raised when the process that works on the source is killed or crashes."""

    code = "process_died"


def reason(error: BaseException, *locations: str) -> str:
    """What went wrong, without the scratch path that libraries append.

    Where one of the `locations` holds a secret, the library's text, which may quote it, is left out.
    """
    if any(has_secret(location) for location in locations):
        number = getattr(error, "errno", None)
        return os.strerror(number) if isinstance(number, int) and number > 0 else type(error).__name__
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def cause(error: Exception, *locations: str) -> Exception | None:
    """`error` as the cause of another; None where its text may quote a secret of the `locations`."""
    return None if any(has_secret(location) for location in locations) else error
