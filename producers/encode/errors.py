"""Why an encode failed. Each class says when it is raised; its `code` is published and stable.

EncodeError
├── SourceNotFound          the source does not exist
├── SourceUnreadable        the source cannot be read: access denied, connection lost, unknown kind of URL
├── SourceTooLarge          the source exceeds a limit of size, duration or resolution
├── NotAVideo               the source has no video track that can be decoded
├── DestinationUnwritable   the destination folder cannot be written
├── ScratchUnwritable       the folder for temporary files cannot be written, or its disk is full
├── TranscodeFailed         decoding or encoding failed midway
├── ContentLost             the result would lack more than a second, or 1 %, of a track
├── ValidationFailed        the result does not play, or is shorter than its source
├── ResourcesExhausted      the source takes more memory, CPU time or time than it may
└── ProcessDied             the process that works on the source ended without an answer
"""

from __future__ import annotations

from typing import ClassVar, Final

from statushub.hub.model.errors import StatushubError
from statushub.producers.sources.errors import SourceErrors


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


class ScratchUnwritable(EncodeError):
    """Raised when the folder for temporary files cannot be written: it does not exist, or its disk is full."""

    code = "scratch_unwritable"


class TranscodeFailed(EncodeError):
    """Raised when decoding or encoding fails midway."""

    code = "transcode_failed"


class ContentLost(EncodeError):
    """Raised when the result would lack more than a second, or 1 %, of the picture or sound of the source."""

    code = "content_lost"


class ValidationFailed(EncodeError):
    """Raised when the result does not play through, or is shorter than its source."""

    code = "validation_failed"


class ResourcesExhausted(EncodeError):
    """Raised when the source takes more memory, CPU time or time than `Options` allows, or its process hangs."""

    code = "resources_exhausted"


class ProcessDied(EncodeError):
    """Raised when the process that works on the source is killed or crashes."""

    code = "process_died"


SOURCE_ERRORS: Final = SourceErrors(not_found=SourceNotFound, unreadable=SourceUnreadable, too_large=SourceTooLarge)
"""The errors of a source that cannot be read."""
