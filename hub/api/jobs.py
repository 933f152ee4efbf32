"""The poll of batch jobs, in the jobs' own vocabulary."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from statushub.hub.http.body import POLL_BODY_BYTES, read_json
from statushub.hub.http.client import identify
from statushub.hub.http.names import check_names
from statushub.hub.http.response import poll_response
from statushub.hub.http.state import hub_of
from statushub.hub.model import status
from statushub.hub.model.event import Event
from statushub.hub.model.vocabulary import JOB_STATUS, Phase

BATCH_IDS: Final = 50
"""Most jobs of one poll, as the clients of this route know it."""


class _JobBatch(msgspec.Struct, forbid_unknown_fields=True):
    job_ids: Annotated[list[str], msgspec.Meta(min_length=1, max_length=BATCH_IDS)]


class _Job(msgspec.Struct, kw_only=True):
    status: str
    progress: int | float = 0
    result_url: str | None = None
    error: str | None = None


_decoder = msgspec.json.Decoder(_JobBatch)


async def batch_status(request: Request) -> Response:
    """`{"jobs":{id:{"status","progress","result_url","error"}}}`; unknown jobs are `not_found`."""
    identity = await identify(request)
    asked = (await read_json(request, _decoder, limit=POLL_BODY_BYTES)).job_ids
    check_names(asked, "job_ids")
    found = await hub_of(request).lookup(identity, asked)
    return poll_response(
        request,
        found.cursor,
        found.age,
        lambda: {"jobs": {id: _job(row.event if row else None) for id, row in zip(asked, found.rows, strict=True)}},
    )


def _job(event: Event | None) -> _Job:
    if event is None:
        return _Job(status="not_found")
    said = status.read(event)
    word = JOB_STATUS[said.phase]
    if said.phase is Phase.FAILED:
        return _Job(status=word, error=said.error_message)
    progress = said.progress
    if progress is None:
        progress = 100 if said.phase is Phase.COMPLETED else 0
    return _Job(status=word, progress=progress, result_url=said.text("result_url"))


routes: Final = [Route("/v1/ai/jobs/batch-status", batch_status, methods=["POST"])]
