"""The batch poll of jobs, in the vocabulary of jobs."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from statushub.hub.api.fields import NameText, Percent
from statushub.hub.http.body import POLL_BODY_BYTES, read_json
from statushub.hub.http.client import admit_reader, identify
from statushub.hub.http.names import check_names
from statushub.hub.http.response import age_headers, body_response, held_cursor, poll_response
from statushub.hub.http.route import Route
from statushub.hub.http.state import hub_of
from statushub.hub.model import status
from statushub.hub.model.vocabulary import JOB_STATUS, Phase

BATCH_IDS: Final = 50
"""Most jobs of one poll: what the existing clients of this route expect."""


NOT_FOUND: Final = "not_found"
"""The status of a job that does not exist or may not be read."""


class JobBatchRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The jobs asked for."""

    job_ids: Annotated[list[NameText], msgspec.Meta(min_length=1, max_length=BATCH_IDS)]


class Job(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The state of one job."""

    status: Annotated[str, msgspec.Meta(extra_json_schema={"enum": sorted({*JOB_STATUS.values(), NOT_FOUND})})]
    progress: Percent
    result_url: str | None
    error: Annotated[str | None, msgspec.Meta(description="Why a failed job failed; null otherwise.")]


class JobBatch(msgspec.Struct, forbid_unknown_fields=True):
    """The jobs by their ids."""

    jobs: Annotated[dict[str, Job], msgspec.Meta(min_length=1, max_length=BATCH_IDS)]


MISSING: Final = Job(status=NOT_FOUND, progress=0, result_url=None, error=None)

_decoder = msgspec.json.Decoder(JobBatchRequest)


async def batch_status(request: Request) -> Response:
    """`{"jobs":{id:{"status","progress","result_url","error"}}}`; unknown jobs are `not_found`."""
    identity = await identify(request)
    asked = (await read_json(request, _decoder, limit=POLL_BODY_BYTES)).job_ids
    check_names(asked, "job_ids")
    admit_reader(request, identity)(len(asked))
    hub = hub_of(request)
    found = await hub.lookup(identity, asked, held_cursor(request))
    known = {event.content_id: event for event in found.events if event}
    unknown = [id for id in asked if id not in known]
    # One of a channel that may not be read is asked for, too, so that it takes as long as an unknown one.
    rows = await hub.rows(identity, unknown) if unknown else {}

    def answer() -> JobBatch:
        recorded = {id: _job(row.status) for id, row in rows.items() if id not in found.hidden}
        return JobBatch(
            jobs={id: _job(status.read(known[id])) if id in known else recorded.get(id, MISSING) for id in asked}
        )

    if rows:
        # What the record says may change while the cursor does not.
        return body_response(request, answer(), found.cursor, age_headers(found.age))
    return poll_response(request, found.cursor, found.age, answer)


def _job(known: status.Status) -> Job:
    failed = known.phase is Phase.FAILED
    return Job(
        status=JOB_STATUS[known.phase],
        progress=0 if failed else known.percent,
        result_url=None if failed else known.text("result_url"),
        error=known.error_message if failed else None,
    )


routes: Final = [Route("/v1/ai/jobs/batch-status", batch_status, methods=["POST"])]
