"""What may become of a call of the Graph API.

GraphError
├── Transient       the server or the way to it failed; the same call may succeed soon
│   └── Limited     a rate limit is exceeded; the same call may succeed after a pause
├── TokenRefused    the token is expired, revoked or no token; it will be refused again
├── NotPermitted    the token lacks a permission
├── NotThere        the object does not exist, or may not be seen
└── BadCall         a parameter is not taken: a metric that the account does not have, or no longer
"""

from __future__ import annotations


class GraphError(Exception):
    """The root, and what has no class of its own. The message never holds the token."""


class Transient(GraphError):
    """Raised when the server fails, is cut off, or answers with what is not its JSON."""


class Limited(Transient):
    """Raised when a rate limit is exceeded, of the whole app or of one account, for longer than is waited for."""

    def __init__(self, message: str, *, app: bool) -> None:
        super().__init__(message)
        self.app = app


class TokenRefused(GraphError):
    """Raised when the token cannot be used any longer."""


class NotPermitted(GraphError):
    """Raised when the token lacks a permission."""


class NotThere(GraphError):
    """Raised when an object does not exist: it may have been deleted since it was listed."""


class BadCall(GraphError):
    """Raised when a parameter is not taken."""
