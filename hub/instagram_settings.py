"""The settings of the sync of Instagram, as `Config` has them."""

from __future__ import annotations

from typing import Annotated, Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from msgspec import Meta

from statushub.hub.marks import Flag, Rule
from statushub.hub.model.errors import Invalid
from statushub.hub.model.names import check_tenant

NO_TIME: Final = "off"
"""The time of no schedule."""


def _check_zone(text: str) -> None:
    try:
        ZoneInfo(text)
    except (ValueError, OSError, KeyError) as error:
        raise ValueError("is not a known time zone, such as Asia/Seoul") from error


def _check_address(text: str) -> None:
    try:
        parts = urlsplit(text)
        valid = parts.scheme in ("http", "https") and parts.hostname and not (parts.query or parts.fragment)
        _ = parts.port
    except ValueError:
        valid = False
    if not valid:
        raise ValueError("is not the address of a server, such as https://graph.facebook.com")


def _check_tenant(text: str) -> None:
    try:
        check_tenant(text)
    except Invalid as error:
        raise ValueError(error.message) from error


Instagram = Annotated[
    bool,
    Meta(
        description="Sync Instagram accounts: the routes below `/api/v1/batch/instagram/`, and with an embedded broker "
        "or `--jobs` the work itself, which `statushub worker` does otherwise. Needs `statushub[instagram]`."
    ),
]
InstagramDatabase = Annotated[
    str,
    Meta(
        description="Database of the sync, with the accounts and all that is read of them: `postgresql://…`, "
        "`mysql://…`, `mariadb://…` or `sqlite:///FILE`. Its tables make themselves."
    ),
    Flag(metavar="URL"),
]
InstagramGraph = Annotated[
    str,
    Meta(description="Address of the Graph API: `https://graph.instagram.com` for tokens of Instagram Login."),
    Flag(metavar="URL"),
    Rule(_check_address),
]
InstagramVersion = Annotated[
    str,
    Meta(description="Version of the Graph API.", pattern=r"^v\d{1,3}\.\d{1,3}\Z"),
    Flag(metavar="VERSION", form="a version such as v26.0"),
]
InstagramTime = Annotated[
    str,
    Meta(
        description="When the sync of all users starts each day, in `--instagram-timezone`; `off` for never.",
        pattern=rf"^(([01]\d|2[0-3]):[0-5]\d|{NO_TIME})\Z",
    ),
    Flag(metavar="HH:MM", form=f"a time such as 02:00, or {NO_TIME}"),
]
InstagramTimezone = Annotated[
    str,
    Meta(description="Time zone of that time, and of the times in answers."),
    Flag(metavar="ZONE"),
    Rule(_check_zone),
]
InstagramMonths = Annotated[
    int, Meta(description="Months back that the sync of each day reads.", ge=1, le=12), Flag(metavar="MONTHS")
]
InstagramTenant = Annotated[
    str,
    Meta(description="Tenant whose tokens may start syncs and read of them."),
    Flag(metavar="TENANT"),
    Rule(_check_tenant),
]
