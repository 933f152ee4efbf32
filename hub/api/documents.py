"""Document counts: batches of keywords, in the interface of the system that counted them before.

Its pages know an answer by `success`, and show `error` as it is: so errors of these routes have that form, and the
words for what people can do about them are Korean.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from typing import Annotated, Any, Final, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from statushub.hub.api.fields import Count
from statushub.hub.http.body import is_plain, read_plain
from statushub.hub.http.client import address_of, admit_reader, identify
from statushub.hub.http.errors import advice
from statushub.hub.http.query import query_value
from statushub.hub.http.response import json_response
from statushub.hub.http.route import Route
from statushub.hub.http.state import authenticator_of, hub_of, rate_limiter_of
from statushub.hub.model.document_batch import (
    KEYWORD_CHARACTERS,
    KEYWORDS_MAX,
    PRIORITIES,
    Batch,
    Documents,
    Uncounted,
)
from statushub.hub.model.errors import Invalid, Malformed, NotFound, StatushubError
from statushub.hub.model.keywords import spelled
from statushub.hub.model.names import check_name
from statushub.hub.model.vocabulary import JOB_STATUS, Phase

BODY_BYTES: Final = 2 * 1024 * 1024
"""Largest body: 1,000 keywords of 200 characters, each escaped."""

NO_STORE: Final = {"Cache-Control": "no-store"}

CHANNEL: Final = "jobs/{}"
"""The channel of a batch's results, which one must be able to read."""

ANY: Final = CHANNEL.format("batch")
"""Who writes it may start batches, and who reads it may have keywords counted."""

Keyword = Annotated[str, msgspec.Meta(max_length=KEYWORD_CHARACTERS, description="Not blank.")]
Counts = Annotated[dict[str, Count], msgspec.Meta(description="The number of documents by category.")]
Milliseconds = Annotated[int, msgspec.Meta(description="In Unix milliseconds.")]
Done = Annotated[bool, msgspec.Meta(extra_json_schema={"const": True})]


class DocumentBatchRequest(msgspec.Struct):
    """The keywords to look up. Each is looked up once, however often it is listed."""

    keywords: Annotated[list[Keyword], msgspec.Meta(min_length=1, max_length=KEYWORDS_MAX)]
    priority: Annotated[
        Literal["high", "normal", "low"],
        msgspec.Meta(description="Which of the batches that wait begins first, where they may wait."),
    ] = "normal"


class DocumentBatchStarted(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A batch has been started."""

    success: Done = True
    jobId: Annotated[str, msgspec.Meta(extra_json_schema={"pattern": "^batch_[0-9]+_[0-9a-f]+$"})]
    message: str = "배치 작업이 시작되었습니다"


class DocumentProgress(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How many keywords are over, and all."""

    current: Count
    total: Count


class DocumentResult(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A keyword that was counted."""

    keyword: Keyword
    counts: Counts


class DocumentJob(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A batch as it is."""

    id: str
    status: Literal["pending", "processing", "completed", "failed"]
    progress: DocumentProgress
    results: Annotated[list[DocumentResult], msgspec.Meta(description="In the order of the keywords.")]
    keywords: list[Keyword]
    startedAt: Milliseconds
    completedAt: Milliseconds | None
    error: Annotated[str | None, msgspec.Meta(description="Why a failed or cancelled batch has failed.")]


class DocumentJobAnswer(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A batch."""

    success: Done = True
    job: DocumentJob


class DocumentCount(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The documents of one keyword."""

    success: Done = True
    keyword: Keyword
    counts: Counts


class DocumentError(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The body of an answer of 400 and up of these routes."""

    success: Annotated[bool, msgspec.Meta(extra_json_schema={"const": False})] = False
    error: Annotated[str, msgspec.Meta(description="One sentence; for humans.")]


Handler = Callable[[Request], Awaitable[Response]]


def _told(handler: Handler) -> Handler:
    """The handler, whose errors have the form of these routes."""

    @wraps(handler)
    async def handle(request: Request) -> Response:
        try:
            return await handler(request)
        except StatushubError as error:
            if error.status == 500:
                raise
            hub_of(request).counts.refuse(error)
            # As the system before: what a person has typed is wrong in itself.
            status = 400 if error.status == 422 else error.status
            headers: Mapping[str, str] = advice(error) or {}
            if isinstance(error, Uncounted) and error.after is not None:
                status, headers = 503, {"Retry-After": str(math.ceil(error.after) or 1)}
            return json_response(DocumentError(error=error.message), status=status, headers={**NO_STORE, **headers})

    return handle


@_told
async def start(request: Request) -> Response:
    """`{"success","jobId","message"}`: count the documents of many keywords."""
    if is_plain(request):
        authenticator_of(request).check_page(request)
    identity = await identify(request)
    identity.check_write(ANY, "jobId")
    documents = _documents(request)
    rate_limiter_of(request).rate(identity.tenant, identity.publisher or address_of(request))
    keywords, priority = _asked(await read_plain(request, BODY_BYTES))
    job_id = await documents.start(identity.tenant, keywords, priority)
    return json_response(DocumentBatchStarted(jobId=job_id), headers=NO_STORE)


@_told
async def status(request: Request) -> Response:
    """`{"success","job"}`: a batch as it is."""
    identity, documents = await identify(request), _documents(request)
    job_id = query_value(request, "jobId")
    if not job_id:
        raise Invalid("jobId가 필요합니다", field="jobId")
    check_name(job_id, "jobId")
    identity.check_read(CHANNEL.format(job_id), "jobId")
    spend = admit_reader(request, identity)
    batch = await documents.read(identity.tenant, job_id)
    if batch is None:
        raise NotFound("작업을 찾을 수 없습니다", field="jobId")
    spend(batch.total)
    return json_response(DocumentJobAnswer(job=_job(batch)), headers=NO_STORE)


@_told
async def count(request: Request) -> Response:
    """`{"success","keyword","counts"}`: the documents of one keyword."""
    identity, documents = await identify(request), _documents(request)
    keyword = _keyword(query_value(request, "keyword"), "keyword")
    identity.check_read(ANY, "keyword")
    admit_reader(request, identity)(1)
    counts = await documents.count(identity.tenant, keyword)
    return json_response(DocumentCount(keyword=keyword, counts=dict(counts)), headers=NO_STORE)


def _documents(request: Request) -> Documents:
    documents = hub_of(request).documents
    if documents is None:
        raise NotFound("문서 수 조회가 설정되지 않았습니다: STATUSHUB_DOCUMENTS를 설정해 주세요")
    return documents


def _asked(body: bytes) -> tuple[list[str], str]:
    """The keywords, each once, and the priority. Raises `Invalid` with the place of what is wrong."""
    try:
        asked: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"요청 본문이 올바른 JSON이 아닙니다: {error}") from error
    if not isinstance(asked, dict):
        raise Malformed("요청 본문은 JSON 객체여야 합니다")
    keywords, priority = asked.get("keywords"), asked.get("priority", "normal")
    if not isinstance(keywords, list):
        raise Invalid("keywords: 키워드 배열이 필요합니다", field="keywords")
    if not 1 <= len(keywords) <= KEYWORDS_MAX:
        raise Invalid(f"keywords: 키워드는 1~{KEYWORDS_MAX}개여야 합니다 ({len(keywords)}개)", field="keywords")
    if priority not in PRIORITIES:
        raise Invalid(f"priority: {', '.join(PRIORITIES)} 중 하나여야 합니다", field="priority")
    once: dict[str, str] = {}
    for place, keyword in enumerate(keywords):
        checked = _keyword(keyword, f"keywords[{place}]")
        once.setdefault(spelled(checked), checked)
    return [*once.values()], priority


def _keyword(keyword: object, field: str) -> str:
    if keyword is None and field == "keyword":
        raise Invalid("keyword: 키워드가 필요합니다", field=field)
    if not isinstance(keyword, str):
        raise Invalid(f"{field}: 문자열이어야 합니다", field=field)
    if len(keyword) > KEYWORD_CHARACTERS:
        raise Invalid(f"{field}: 키워드는 최대 {KEYWORD_CHARACTERS}자입니다 ({len(keyword)}자)", field=field)
    if not spelled(keyword):
        raise Invalid(f"{field}: 빈 키워드입니다", field=field)
    return keyword


def _job(batch: Batch) -> DocumentJob:
    # Unlike the poll of AI jobs, this one tells what waits from what runs.
    status = "pending" if batch.phase in (Phase.PENDING, Phase.IDLE) else JOB_STATUS[batch.phase]
    return DocumentJob(
        id=batch.id,
        status=status,  # type: ignore[arg-type]
        progress=DocumentProgress(current=batch.current, total=batch.total),
        results=[DocumentResult(keyword=it.keyword, counts=dict(it.counts)) for it in batch.results],
        keywords=[*batch.keywords],
        startedAt=batch.started_at,
        completedAt=batch.ended_at,
        error=batch.error,
    )


starts: Final = [Route("/api/documents/batch", start, methods=["POST"])]
polls: Final = [Route("/api/documents/status", status), Route("/api/documents/count", count)]
routes: Final = [*starts, *polls]
