"""Polls of a channel by pages: each content's whole status, or all in summary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from statushub.hub.api.answers import array
from statushub.hub.api.fields import ContentData, Count, CursorText, PlaceText, lines_of
from statushub.hub.api.lines import LIST_LINE, SUMMARY_LINE, WHOLE_LINE
from statushub.hub.api.pages import PAGE_CONTENTS, Page, page_of
from statushub.hub.http.query import limit_of, query_value
from statushub.hub.http.route import Route
from statushub.hub.model.errors import Invalid
from statushub.hub.model.names import BATCH_PATH
from statushub.hub.model.vocabulary import Phase

POSTED: Final = frozenset({"remove", "cancel"})
"""Last segments of the routes of a channel that are only posted to. No channel has such a name."""


NextPlace = Annotated[
    PlaceText | None,
    msgspec.Meta(description="`after` of the next page; null where this is the last one."),
]


class Contents(msgspec.Struct, forbid_unknown_fields=True):
    """A page of a channel's contents, the latest first; ask for changes since the first page's `cursor`."""

    contents: Annotated[list[ContentData], msgspec.Meta(max_length=PAGE_CONTENTS)]
    cursor: CursorText
    next: NextPlace


class Summary(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A page of a channel's contents by phase, without those that are idle. The totals are those of the channel."""

    processing_contents: Annotated[msgspec.Raw, lines_of("ProcessingLine", maxItems=PAGE_CONTENTS)]
    completed_contents: Annotated[msgspec.Raw, lines_of("StatusLine", maxItems=PAGE_CONTENTS)]
    failed_contents: Annotated[msgspec.Raw, lines_of("FailedLine", maxItems=PAGE_CONTENTS)]
    has_processing: bool
    total_processing: Count
    total_completed: Count
    total_failed: Count
    next: NextPlace


async def contents(request: Request) -> Response:
    """`{"contents":[…],"cursor","next"}`: the whole status of each of the channel's contents, the latest first."""
    path = request.path_params["channel_id"]
    if path == BATCH_PATH or path.rpartition("/")[2] in POSTED:
        # It would read a channel of this name, and hide the mistake.
        raise HTTPException(405, headers={"Allow": "POST"})
    page = await page_of(request, counted=False)
    if page.unchanged:
        return page.unchanged
    lines = await page.lines(WHOLE_LINE)
    return page.response(
        Contents(contents=[msgspec.Raw(line) for line in lines], cursor=str(page.cursor), next=page.next)
    )


async def summary(request: Request) -> Response:
    """The channel's contents by phase; with `?view=list`, `[{"id","status"}]` of all. The latest first."""
    view = query_value(request, "view")
    if view not in (None, "list"):
        raise Invalid("view must be 'list' or left out", field="view")
    page = await page_of(request, counted=view is None)
    if page.unchanged:
        return page.unchanged
    if view is None:
        return page.response(_summary(page, await page.lines(SUMMARY_LINE)))
    more = {} if page.next is None else {"Link": _link(request, page.next)}
    return page.response(array(await page.lines(LIST_LINE)), more)


def _summary(page: Page, lines: Sequence[bytes]) -> Summary:
    lists: dict[Phase, list[bytes]] = {phase: [] for phase in Phase}
    for phase, line in zip(page.phases, lines, strict=True):
        lists[Phase.PROCESSING if phase is Phase.PENDING else phase].append(line)
    totals = page.totals
    return Summary(
        processing_contents=array(lists[Phase.PROCESSING]),
        completed_contents=array(lists[Phase.COMPLETED]),
        failed_contents=array(lists[Phase.FAILED]),
        has_processing=totals.total_processing > 0,
        total_processing=totals.total_processing,
        total_completed=totals.total_completed,
        total_failed=totals.total_failed,
        next=page.next,
    )


def _link(request: Request, after: str) -> str:
    # Relative to this URL (RFC 8288, section 3.1), whose path a proxy may have changed. It repeats no ticket.
    return f'<?view=list&limit={limit_of(request, PAGE_CONTENTS)}&after={after}>; rel="next"'


routes: Final = [
    Route("/api/contents/{channel_id:path}/status", summary),
    # A channel's name may hold slashes, so this path also matches those of the stream, the changes and the batch.
    Route("/api/contents/{channel_id:path}", contents),
]
"""To be added after those routes."""
