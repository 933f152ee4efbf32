"""What the Graph API answers, as far as it is used. Fields that are missing are ones that it leaves out: the media of a
post with a copyright claim, likes that are hidden, the counts of an account without any."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Generic, TypeVar

import msgspec
from msgspec import Meta

from statushub.producers.instagram.errors import (
    BadCall,
    GraphError,
    Limited,
    NotPermitted,
    NotThere,
    TokenRefused,
    Transient,
)
from statushub.producers.instagram.tables import ID_CHARACTERS, NAME_CHARACTERS, WORD_CHARACTERS

APP_LIMITS: Final = frozenset({4, 341})
"""Codes of limits of the whole app."""

ACCOUNT_LIMITS: Final = frozenset({17, 32, 613, *range(80000, 80015)})
"""Codes of limits of a user, a page, an account, and of business use cases, of which 80002 is Instagram's."""

TRANSIENT: Final = frozenset({1, 2})
"""Codes of an unknown failure, and of a service that is down."""

TOKEN: Final = frozenset({102, 190, 467})
"""Codes of a session or token that has expired, was revoked, or is malformed."""

PERMISSIONS: Final = frozenset({3, 10, *range(200, 300)})
"""Codes of a missing permission."""

PARAMETER: Final = 100
"""Code of an invalid parameter, and with `MISSING` of an object that does not exist."""

MISSING: Final = 33

BIGINT_MAX: Final = 2**63 - 1

Id = Annotated[str, Meta(min_length=1, max_length=ID_CHARACTERS)]
Count = Annotated[int, Meta(ge=-BIGINT_MAX, le=BIGINT_MAX)] | None

T = TypeVar("T")


class Failure(msgspec.Struct):
    """The `error` of an answer."""

    message: str = ""
    code: int = 0
    error_subcode: int = 0
    is_transient: bool = False

    def exception(self) -> GraphError:
        """The exception that it stands for."""
        said = f"{self.message or 'no message'} (code {self.code})"
        if self.code in APP_LIMITS:
            return Limited(said, app=True)
        if self.code in ACCOUNT_LIMITS:
            return Limited(said, app=False)
        if self.code in TOKEN:
            return TokenRefused(said)
        if self.code in PERMISSIONS:
            return NotPermitted(said)
        if self.code in TRANSIENT or self.is_transient:
            return Transient(said)
        if self.code == PARAMETER:
            return NotThere(said) if self.error_subcode == MISSING else BadCall(said)
        return GraphError(said)


class Failed(msgspec.Struct):
    """An answer that is an error, of any status."""

    error: Failure | None = None


class Profile(msgspec.Struct):
    """An account."""

    id: Id
    username: str | None = None
    name: str | None = None
    biography: str | None = None
    website: str | None = None
    profile_picture_url: str | None = None
    followers_count: Count = None
    follows_count: Count = None
    media_count: Count = None


class Media(msgspec.Struct):
    """A post."""

    id: Id
    media_type: str | None = None
    media_product_type: str | None = None
    caption: str | None = None
    media_url: str | None = None
    permalink: str | None = None
    thumbnail_url: str | None = None
    timestamp: str | None = None
    like_count: Count = None
    comments_count: Count = None


class Reply(msgspec.Struct):
    """An answer to a comment."""

    id: Id
    text: str | None = None
    username: str | None = None
    timestamp: str | None = None
    like_count: Count = None


class Cursors(msgspec.Struct):
    """Where the next page begins."""

    after: str | None = None


class Paging(msgspec.Struct):
    """There is another page where `next` is there, however many entries this one has."""

    cursors: Cursors = msgspec.field(default_factory=Cursors)
    next: str | None = None


class Page(msgspec.Struct, Generic[T]):
    """A part of a list."""

    data: list[T]
    paging: Paging = msgspec.field(default_factory=Paging)


class Comment(Reply):
    """A comment on a post, with the first of its replies."""

    replies: Page[Reply] | None = None


class Value(msgspec.Struct):
    """The value of a day, which ends at `end_time`."""

    value: Any = None
    end_time: str | None = None


class Metric(msgspec.Struct):
    """A metric of an account: its values of each day, or its total."""

    name: Annotated[str, Meta(max_length=ID_CHARACTERS)]
    values: list[Value] = []
    total_value: Value | None = None


def moment(text: str | None) -> datetime | None:
    """A time as the Graph API writes it, `2017-08-31T18:10:00+0000`; None where it is none."""
    try:
        said = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return said.astimezone(UTC) if said.tzinfo else said.replace(tzinfo=UTC)


def whole(value: object) -> int | None:
    """The value of a metric; None where it is not a number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return int(value) if abs(value) <= BIGINT_MAX else None


def word(said: str | None, most: int = WORD_CHARACTERS) -> str | None:
    """A text as a column of so many characters holds it."""
    return None if said is None else stored(said)[:most]


def name(said: str | None) -> str | None:
    """A name, as its column holds it."""
    return word(said, NAME_CHARACTERS)


def stored(said: str) -> str:
    """A text as all databases take it: PostgreSQL takes no NUL, and none takes a half of a surrogate pair."""
    return said.replace("\0", "").encode(errors="replace").decode()
