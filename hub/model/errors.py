"""The error tree. Each class says when it is raised; its `code` is stable on the wire.

StatushubError
├── Invalid                 422  a field of the input breaks a rule; `field` names it
│   ├── Malformed           400  the input cannot be parsed at all
│   │   └── BadHandshake    400  a request to upgrade breaks the rules of WebSocket
│   ├── TooLarge            413  the input, or a part of it, is over its limit
│   └── MatchLimit          422  patterns name more channels than one stream may follow
├── Unauthorized            401  a token is missing, invalid, expired or revoked
├── Forbidden               403  the token does not permit this, or the hub does not serve this host or origin
├── NotFound                404  no such route, or no such content to cancel
├── MethodNotAllowed        405  the route exists, the method does not
├── Ended                   409  the content has ended, so that there is nothing to cancel
├── RequestTimeout          408  the request did not arrive in time
├── UnsupportedMediaType    415  the body is not application/json
├── UpgradeRequired         426  the route speaks WebSocket, and the request asks for no upgrade
├── TooManyRequests         429  a rate limit, or the quota of followed channels, is exceeded
├── HeadTooLarge            431  the request's head is over its limit
├── BrokerUnavailable       503  the broker cannot be reached, or does not answer in time
│   ├── HubBehind           503  the hub knows less than the client does; another hub, or this one later, may know it
│   └── BrokerDenied        503  it answers, and refuses this user; trying again does not help
├── KeysUnavailable         503  the keys that verify tokens cannot be fetched
├── DatabaseUnavailable     503  the database that the request needs is away
├── Busy                    503  as much work runs and waits as may
├── BrokerInUse             —    another process holds the embedded broker's file
└── ConfigError             —    a setting is unknown or invalid; the process does not start
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


class StatushubError(Exception):
    """The root. `message` is one sentence for a human; `field` names the part of the input at fault.

    `limit` names the limit that was exceeded, where it was one; refusals are counted by it.
    """

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500

    def __init__(self, message: str, *, field: str | None = None, limit: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.limit = limit


class Invalid(StatushubError):
    """Raised when a field of the input breaks a rule."""

    code = "invalid"
    status = 422


class Malformed(Invalid):
    """Raised when the input cannot be parsed at all: broken JSON, broken UTF-8, a wrong type at the root."""

    code = "malformed"
    status = 400


class BadHandshake(Malformed):
    """Raised when a request to upgrade breaks the rules of WebSocket (RFC 6455, section 4.2.1); `field` names the
    header at fault."""


class TooLarge(Invalid):
    """Raised when the input, or a part of it, is over its limit."""

    code = "too_large"
    status = 413


class MatchLimit(Invalid):
    """Raised when patterns name more channels than one stream, or one subscription, may follow."""

    code = "match_limit"

    def __init__(self, patterns: Sequence[str], most: int) -> None:
        named = ", ".join(map(repr, patterns))
        super().__init__(
            f"{named} names more than {most} channels, which a stream may follow at most: name fewer",
            field="match",
            limit="match",
        )


class Unauthorized(StatushubError):
    """Raised when a request's token is missing, invalid, expired or revoked."""

    code = "unauthorized"
    status = 401


class Forbidden(StatushubError):
    """Raised when a request asks for what its token does not permit, or comes under a name or from an origin that the
    hub does not serve; `field` names what."""

    code = "forbidden"
    status = 403


class NotFound(StatushubError):
    """Raised when no route has this path, or a channel has no content of this name; `field` names what."""

    code = "not_found"
    status = 404


class MethodNotAllowed(StatushubError):
    """Raised when the route exists and the method does not."""

    code = "method_not_allowed"
    status = 405


class Ended(StatushubError):
    """Raised when a content is to be cancelled whose attempt has ended."""

    code = "ended"
    status = 409


class RequestTimeout(StatushubError):
    """Raised when a request's head or body does not arrive in time."""

    code = "request_timeout"
    status = 408


class UnsupportedMediaType(StatushubError):
    """Raised when a body is not declared as application/json.

    The rule prevents CSRF by a "simple" request, which needs no CORS preflight (Fetch standard, section 2.2.2).
    """

    code = "unsupported_media_type"
    status = 415


class UpgradeRequired(StatushubError):
    """Raised when a route speaks WebSocket and the request does not ask for that protocol."""

    code = "upgrade_required"
    status = 426


class TooManyRequests(StatushubError):
    """Raised when a rate limit, or the quota of followed channels, is exceeded; `retry_after` is in seconds."""

    code = "too_many_requests"
    status = 429

    def __init__(self, message: str, *, retry_after: float, limit: str) -> None:
        super().__init__(message, limit=limit)
        self.retry_after = retry_after


class HeadTooLarge(StatushubError):
    """Raised when a request's head is over its limit."""

    code = "head_too_large"
    status = 431


class BrokerUnavailable(StatushubError):
    """Raised when the broker cannot be reached, refuses the connection, or does not answer in time."""

    code = "broker_unavailable"
    status = 503


class HubBehind(BrokerUnavailable):
    """Raised when the client has a cursor of a later moment than this hub knows; `retry_after` is in seconds."""

    def __init__(self, *, retry_after: float = 1.0) -> None:
        super().__init__("this hub has not seen yet what the client's cursor stands for; try again soon")
        self.retry_after = retry_after


class BrokerDenied(BrokerUnavailable):
    """Raised when the broker answers and will not serve this user until a setting is corrected: the password is
    wrong, a permission is missing, or the server is too old."""


class KeysUnavailable(StatushubError):
    """Raised when the keys that verify tokens were never fetched, and cannot be fetched now."""

    code = "keys_unavailable"
    status = 503


class DatabaseUnavailable(StatushubError):
    """Raised when a request needs a database that cannot be reached, or does not answer in time."""

    code = "database_unavailable"
    status = 503


class Busy(StatushubError):
    """Raised when as much work runs and waits as may; `retry_after` is in seconds."""

    code = "busy"
    status = 503

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class BrokerInUse(StatushubError):
    """Raised when the embedded broker's file is held by another process."""

    code = "broker_in_use"


class ConfigError(StatushubError):
    """Raised when a setting is unknown or invalid; `field` is the setting's name."""

    code = "config"
