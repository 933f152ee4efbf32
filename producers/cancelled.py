"""The exception of a work that stops because it was asked to."""

from __future__ import annotations

from typing import ClassVar

from statushub.hub.model.cancel import CancelRequest
from statushub.hub.model.errors import StatushubError
from statushub.hub.model.publication import cancel_message


class Cancelled(StatushubError):
    """Raised by a loop that is tracked with `cancellable`, and by a program where it sees `work.cancel_requested`.

    A work that is left by it ends as an error with the `error_code` `cancelled`.
    """

    code: ClassVar[str] = "cancelled"

    def __init__(self, request: CancelRequest | None = None) -> None:
        super().__init__(cancel_message(request))
        self.request = request
