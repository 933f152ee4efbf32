"""Who asks for feeds, and whose they are."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import msgspec
from starlette.requests import Request

from statushub.hub.auth.identity import ANONYMOUS, Identity
from statushub.hub.auth.patterns import ALL
from statushub.hub.feeds.feeds import Feeds
from statushub.hub.http.client import identify
from statushub.hub.http.state import config_of, hub_of
from statushub.hub.model.errors import Forbidden, Invalid, NotFound
from statushub.hub.model.feed_names import ANONYMOUS_USER

NO_STORE = {"Cache-Control": "no-store"}
"""Of answers that differ from user to user, or with every view."""


def feeds_of(request: Request) -> Feeds:
    """The hub's feeds. Raises `NotFound` where they are switched off."""
    feeds = hub_of(request).feeds
    if feeds is None:
        raise NotFound("this hub serves no feeds: set STATUSHUB_FEED=on")
    return feeds


async def user_of(request: Request, *, writes: bool = False) -> tuple[Identity, str]:
    """The identity behind a request, and its user. Raises `Forbidden` where its token names none, or is a ticket while
    the request `writes`."""
    identity = await identify(request)
    if identity is ANONYMOUS:
        return identity, ANONYMOUS_USER
    if identity.sub is None:
        raise Forbidden("this needs a token with a sub, which says whose it is", field="sub")
    if writes and identity.ticket:
        raise Forbidden("a ticket only reads: send the token")
    return identity, identity.sub


async def reader_of(request: Request) -> Identity:
    """Who reads what is public: the bearer of a token or a ticket, and any other client where that is open."""
    settings = config_of(request)
    named = "authorization" in request.headers or "ticket" in request.query_params or settings.cookie in request.cookies
    if named or not settings.auth_required or settings.feed_private:
        return await identify(request)
    return Identity(tenant=settings.feed_tenant, read=ALL)


def place_text(*place: object) -> str:
    """A place in a list as an opaque cursor."""
    return urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def place_of(request: Request, kind: str, types: Any) -> Any:
    """The place in the query parameter `cursor`, as a tuple that begins with `kind`; None for the beginning.

    `types` are those of its parts. Raises `Invalid` where it is of no page of this list.
    """
    values = request.query_params.getlist("cursor")
    text = values[0] if values else ""
    if not text:
        return None
    try:
        place = msgspec.json.decode(urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=types)
    except (ValueError, RecursionError):
        place = None
    if place is None or place[0] != kind or len(values) > 1:
        raise Invalid("cursor is not the next_cursor of a page of this list", field="cursor")
    return place
