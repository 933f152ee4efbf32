"""The settings of feeds: what viewers see of likes, follows, counters and notifications."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta

from statushub.hub.marks import Flag, Rule
from statushub.hub.model.errors import Invalid
from statushub.hub.model.names import check_name, check_tenant

FEED_RATE: Final = 10.0
"""Writes per second of one user: more than a person does, and little of a store's time for a script."""


def _check_tenant(text: str) -> None:
    try:
        check_tenant(text)
    except Invalid as error:
        raise ValueError(error.message) from error


def _check_channel(text: str) -> None:
    try:
        check_name(text, "channel")
    except Invalid as error:
        raise ValueError(f"is no channel: {error.message}") from error


def _check_field(text: str) -> None:
    if not text or not text.isprintable():
        raise ValueError("is no name of a column")


Feed = Annotated[
    bool,
    Meta(
        description="Serve feeds: likes, follows, counters and notifications, in one call each and live. Channels "
        "`users/{sub}` can then be read with the token of that `sub`, or the claim `feed_admin`, only."
    ),
]
FeedPrivate = Annotated[
    bool, Meta(description="Require a token for `/v1/videos/` and its counters, which are public otherwise.")
]
FeedTenant = Annotated[
    str,
    Meta(description="Tenant whose videos are shown to those who send no token."),
    Flag(metavar="TENANT"),
    Rule(_check_tenant),
]
FeedChannel = Annotated[
    str,
    Meta(description="Channel of the system of record whose contents, where they are complete, are the feed."),
    Flag(metavar="CHANNEL"),
    Rule(_check_channel),
]
FeedUser = Annotated[
    str,
    Meta(description="Column of the system of record that names the user of a video."),
    Flag(metavar="COLUMN"),
    Rule(_check_field),
]
FeedRate = Annotated[
    float,
    Meta(
        ge=0.1,
        le=1_000_000,
        description="Likes, follows, views and marks per second of one user, or of one address without a token, in a "
        "process. More get 429 with `Retry-After`.",
    ),
    Flag(metavar="RATE"),
]
FeedJobNotices = Annotated[
    bool,
    Meta(
        description="Notify the `owner` of a job, which its data name, when it ends, in the tenants of `--jobs-tenant`."
    ),
]
