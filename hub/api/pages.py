"""A page of a channel as polls read it: what the hub has states of or, where there is a system of record, the listing
of both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from statushub.hub.api.answers import encoded
from statushub.hub.api.lines import ContentFormat
from statushub.hub.http.client import admit_reader, identify
from statushub.hub.http.names import channel_of
from statushub.hub.http.query import limit_of, query_value
from statushub.hub.http.response import (
    age_headers,
    body_response,
    held_cursor,
    long_response,
    poll_headers,
    unchanged,
)
from statushub.hub.http.state import hub_of
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.vocabulary import Phase
from statushub.hub.replicas.polls import PageRequest, Reading
from statushub.hub.sources.listing import Listed
from statushub.hub.sources.place import Place, parse_place
from statushub.hub.sources.record import Totals, totals_of

PAGE_CONTENTS: Final = 1_000
"""Most contents of a page, and as many where no limit is given: some 300 KB, and a channel of 100,000 in 100 pages."""


class Page(Protocol):
    """Contents of a channel, the latest first."""

    cursor: Cursor
    """That of the channel's latest event."""

    next: str | None
    """Where the next page begins; None after the last."""

    phases: list[Phase]
    """The phase of each content, where they were asked for."""

    totals: Totals
    """Those of the whole channel, where they were asked for."""

    unchanged: Response | None
    """The 304, where it is known already that the client holds the answer."""

    def __len__(self) -> int: ...

    async def lines(self, format: ContentFormat) -> list[bytes]:
        """Each content in `format`."""

    def response(self, body: msgspec.Struct | msgspec.Raw, headers: Mapping[str, str] = {}) -> Response:
        """The answer with this body, or the 304 where the client holds it."""


class HubPage:
    """A page of what the hub has states of. Its tag is its cursor."""

    def __init__(self, request: Request, reading: Reading) -> None:
        self._request, self._reading = request, reading
        self.cursor, self.next = reading.cursor, _text(reading.next)
        self.phases, self.totals = reading.phases, totals_of(reading.totals)
        self.unchanged = unchanged(request, reading.cursor, reading.age)

    def __len__(self) -> int:
        return len(self._reading.events)

    async def lines(self, format: ContentFormat) -> list[bytes]:
        return await encoded(self._request, format, self.cursor.epoch, self._reading.events)

    def response(self, body: msgspec.Struct | msgspec.Raw, headers: Mapping[str, str] = {}) -> Response:
        return long_response(body, {**poll_headers(self.cursor, self._reading.age), **headers})


class ListedPage:
    """A page of the listing. Rows may change while its cursor does not, so that its tag has a digest of the body."""

    def __init__(self, request: Request, listed: Listed) -> None:
        self._request, self._listed = request, listed
        self.cursor, self.next = listed.cursor, _text(listed.next)
        self.phases, self.totals = [content.phase for content in listed.contents], listed.totals
        self.unchanged: Response | None = None

    def __len__(self) -> int:
        return len(self._listed.contents)

    async def lines(self, format: ContentFormat) -> list[bytes]:
        return [format.content(content) for content in self._listed.contents]

    def response(self, body: msgspec.Struct | msgspec.Raw, headers: Mapping[str, str] = {}) -> Response:
        return body_response(self._request, body, self.cursor, {**age_headers(self._listed.age), **headers})


def _text(next: Cursor | Place | None) -> str | None:
    return None if next is None else str(next)


async def page_of(request: Request, *, counted: bool) -> Page:
    """The page of a channel that the request asks for, and may read; `counted` asks for phases and totals."""
    identity, channel = await identify(request), channel_of(request)
    identity.check_read(channel, "channel_id")
    after, limit, known = query_value(request, "after"), limit_of(request, PAGE_CONTENTS), held_cursor(request)
    hub = hub_of(request)
    page: Page
    if hub.listing is None:
        cursor = Cursor.parse(after, field="after") if after else None
        spend = admit_reader(request, identity)
        asked = PageRequest(limit=limit, after=cursor, counted=counted)
        page = HubPage(request, await hub.read(identity.tenant, channel, asked, known))
    else:
        place = parse_place(after) if after else Place()
        spend = admit_reader(request, identity)
        page = ListedPage(
            request, await hub.listing.read(identity.tenant, channel, place, limit, counted=counted, known=known)
        )
    spend(1 if page.unchanged else len(page))
    return page
