"""Why an encode failed. Each class says when it is raised; its `code` is stable: it is published.

EncodeError
├── SourceNotFound          nothing is there
├── SourceUnreadable        something is there and cannot be read: refused, broken off, damaged
├── SourceTooLarge          over a limit of size, length or picture
├── NotAVideo               readable, and has no picture track that can be decoded
├── DestinationUnwritable   the folder cannot be written to
├── TranscodeFailed         decoding or encoding gave up half-way
└── ValidationFailed        what was encoded does not play, or is shorter than its source
"""

from __future__ import annotations

from typing import ClassVar
from urllib.parse import urlsplit

from statushub.hub.model.errors import StatushubError


class EncodeError(StatushubError):
    """The root. `message` is one sentence for whoever uploaded the video."""

    code: ClassVar[str] = "encode_failed"


class SourceNotFound(EncodeError):
    """Raised when there is nothing at the source's path or URL."""

    code = "source_not_found"


class SourceUnreadable(EncodeError):
    """Raised when the source is refused, breaks off, or is of a kind that cannot be opened."""

    code = "source_unreadable"


class SourceTooLarge(EncodeError):
    """Raised when the source is over a limit of size, length or picture."""

    code = "source_too_large"


class NotAVideo(EncodeError):
    """Raised when the source holds no picture track that can be decoded."""

    code = "not_a_video"


class DestinationUnwritable(EncodeError):
    """Raised when the destination folder cannot be written to."""

    code = "destination_unwritable"


class TranscodeFailed(EncodeError):
    """Raised when decoding or encoding gives up."""

    code = "transcode_failed"


class ValidationFailed(EncodeError):
    """Raised when the result does not play through, or is shorter than its source."""

    code = "validation_failed"


def reason(error: BaseException) -> str:
    """What went wrong, without the scratch path that libraries append."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def shown(location: str) -> str:
    """A path or URL as a message may show it: without credentials, query or fragment, which hold signatures.

    A path may hold bytes that are no text; those cannot be published.
    """
    location = location.encode("utf-8", "replace").decode("utf-8")
    if "://" not in location:
        return location
    parts = urlsplit(location)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
