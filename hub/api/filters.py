"""The filter of a stream or a poll: the contents that a client wants to be told of."""

from __future__ import annotations

from starlette.requests import HTTPConnection

from statushub.hub.http.names import check_names
from statushub.hub.http.state import hub_of
from statushub.hub.model.errors import Invalid
from statushub.hub.viewers.commands import FILTER_IDS


def filter_of(request: HTTPConnection, channels: list[str]) -> frozenset[str] | None:
    """The contents of `?content_id=`, None for all. Raises `Invalid`, also where one of the channels needs a filter."""
    content_ids = request.query_params.getlist("content_id") if request.scope["query_string"] else []
    if len(content_ids) > FILTER_IDS:
        raise Invalid(f"content_id may be given {FILTER_IDS} times, not {len(content_ids)}", field="content_id")
    if content_ids:
        check_names(content_ids, "content_id")
    wanted = frozenset(content_ids) or None
    for channel in channels:
        hub_of(request).viewers.check_filter(channel, wanted)
    return wanted
