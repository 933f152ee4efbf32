"""Why a generation failed. Each class says when it is raised; its `code` is published and stable.

GenerateError
├── SourceNotFound       the source does not exist
├── SourceUnreadable     the source cannot be read: access denied, connection lost, unknown kind of URL
├── SourceTooLarge       the source exceeds a limit of size, pages or text
├── NoText               the source is no text, HTML or PDF, or holds no text
├── ModelUnavailable     the model's server cannot be reached, is overloaded, or breaks off, again and again
├── RequestRejected      the model's server rejects the request: its key, the model's name, the length of the text
├── ModelRefused         the model refuses to answer
├── AnswerFiltered       a content filter stopped the answer
├── AnswerInvalid        the model's answer is empty, or not in the form that was asked for
└── ResourcesExhausted   the work takes more time or memory than it may
"""

from __future__ import annotations

from typing import ClassVar, Final

from statushub.hub.model.errors import StatushubError
from statushub.producers.sources.errors import SourceErrors


class GenerateError(StatushubError):
    """The root. `message` is one sentence for the person who asked for the summary."""

    code: ClassVar[str] = "generate_failed"


class SourceNotFound(GenerateError):
    """Raised when nothing exists at the source's path or URL."""

    code = "source_not_found"


class SourceUnreadable(GenerateError):
    """Raised when access to the source is denied, its transfer breaks off, or its kind of URL is unknown."""

    code = "source_unreadable"


class SourceTooLarge(GenerateError):
    """Raised when the source exceeds a limit of size, pages or text."""

    code = "source_too_large"


class NoText(GenerateError):
    """Raised when the source is no text, HTML or PDF, is locked by a password, or holds no text."""

    code = "no_text"


class ModelUnavailable(GenerateError):
    """Raised when the model's server cannot be reached, is overloaded or breaks off, after all repetitions."""

    code = "model_unavailable"


class RequestRejected(GenerateError):
    """Raised when the model's server rejects the request: its key, the model's name, the length of the text."""

    code = "request_rejected"


class ModelRefused(GenerateError):
    """Raised when the model refuses to answer; the message has its reason."""

    code = "model_refused"


class AnswerFiltered(GenerateError):
    """Raised when a content filter of the model's server stopped the request or the answer."""

    code = "content_filter"


class AnswerInvalid(GenerateError):
    """Raised when the answer is empty or not in the form that was asked for, also after a repair; the message has its
    beginning."""

    code = "answer_invalid"


class ResourcesExhausted(GenerateError):
    """Raised when the work takes more time or memory than `Options` allows."""

    code = "resources_exhausted"


SOURCE_ERRORS: Final = SourceErrors(not_found=SourceNotFound, unreadable=SourceUnreadable, too_large=SourceTooLarge)
"""The errors of a source that cannot be read."""
