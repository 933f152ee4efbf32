"""Why an encode failed. Each class says when it is raised; its `code` is published and stable.

EncodeError
├── SourceNotFound          the source does not exist
├── SourceUnreadable        the source cannot be read: access denied, connection lost, unknown kind of URL
├── SourceTooLarge          the source exceeds a limit of size, duration or resolution
├── NotAVideo               the source has no video track that can be decoded
├── DestinationUnwritable   the destination folder cannot be written
├── TranscodeFailed         decoding or encoding failed midway
└── ValidationFailed        the result does not play, or is shorter than its source
"""

from __future__ import annotations

from typing import ClassVar

from statushub.hub.model.errors import StatushubError
from statushub.hub.model.redaction import redacted


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


def reason(error: BaseException) -> str:
    """What went wrong, without the scratch path that libraries append."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def printable(location: str) -> str:
    """A path or URL as a message may show it: a URL is redacted, since its query may hold a signature.

    Bytes of a path that are not text are replaced: they cannot be published.
    """
    location = location.encode("utf-8", "replace").decode("utf-8")
    return redacted(location) if "://" in location else location
