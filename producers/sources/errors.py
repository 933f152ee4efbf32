"""Errors of sources: the classes in which a worker gets them, and what their messages may quote."""

from __future__ import annotations

import os

import msgspec

from statushub.hub.model.errors import StatushubError
from statushub.producers.sources.location import has_secret


class SourceErrors(msgspec.Struct, frozen=True, kw_only=True):
    """The classes of a worker's errors of its source: each worker has a tree of its own."""

    not_found: type[StatushubError]
    unreadable: type[StatushubError]
    too_large: type[StatushubError]

    def check_size(self, size: int, limit: int) -> None:
        """Raise `too_large` where `size` exceeds `limit`, in bytes."""
        if size > limit:
            raise self.too_large(f"The source has more than {limit} bytes, which is the limit.", field="source")


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
