"""The sync of Instagram, by the routes that its clients know. Other errors than theirs are the hub's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final
from zoneinfo import ZoneInfo

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from statushub.hub.auth.identity import Identity
from statushub.hub.http.client import admit_reader, identify
from statushub.hub.http.query import limit_of
from statushub.hub.http.response import json_response
from statushub.hub.http.route import Route
from statushub.hub.http.state import config_of, hub_of
from statushub.hub.instagram_settings import NO_TIME
from statushub.hub.model.errors import Busy, DatabaseUnavailable, Malformed, NotFound
from statushub.hub.sources.contract import SourceUnavailable
from statushub.producers.instagram import pool
from statushub.producers.instagram.params import JOB, MANUAL, USER_NO_MAX
from statushub.producers.instagram.windows import MONTHS_MAX
from statushub.producers.jobs.names import JOBS, items_channel

if TYPE_CHECKING:
    from statushub.hub.instagram import InstagramSync
    from statushub.producers.instagram.executions import Execution as Stored

PATH: Final = "/api/v1/batch/instagram"

CHANNELS: Final = (JOBS, items_channel(JOB))
"""The channel of executions, and one that stands for those of their users."""

MONTHS: Final = 6
"""Months back of a sync that is started by hand."""

RETRY_AFTER_SECONDS: Final = 60
"""When to retry where the pool is full: an execution takes minutes."""

EXECUTIONS_MAX: Final = 100
"""Most executions of an answer."""

POOL: Final = 50
"""Latest executions among which the one that runs is looked for: more than run and wait together."""

BATCH_NAME: Final = "Instagram 데이터 동기화"
DESCRIPTION: Final = "인스타그램 프로필, 미디어, 댓글, 인사이트 데이터를 수집하여 저장합니다"

_NO_STORE: Final = {"Cache-Control": "no-store"}

LocalTime = Annotated[
    str,
    msgspec.Meta(
        description="In the time zone of `--instagram-timezone`.",
        pattern=r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$",
        examples=["2024-01-15 14:30:00"],
    ),
]
Months = Annotated[int, msgspec.Meta(ge=1, le=MONTHS_MAX)]
Number = Annotated[int, msgspec.Meta(ge=0)]


class SyncStarted(msgspec.Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """An execution that has been started, or waits for its turn."""

    status: Annotated[str, msgspec.Meta(extra_json_schema={"const": "success"})] = "success"
    message: Annotated[str, msgspec.Meta(description="For humans, in Korean.")]
    execution_time: LocalTime
    execution_type: Annotated[str, msgspec.Meta(extra_json_schema={"const": MANUAL})] = MANUAL
    target_user_no: (
        Annotated[int, msgspec.Meta(ge=1, le=USER_NO_MAX, description="Where one user is synced.")] | msgspec.UnsetType
    ) = msgspec.UNSET
    months_to_sync: Months


class SyncStartedAnswer(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The answer to a start."""

    success: bool = True
    data: SyncStarted


class SyncStep(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A step, and how many users are done with it."""

    name: str
    current: Number
    total: Number
    progress: Annotated[int, msgspec.Meta(ge=0, le=100)]


class SyncCounts(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How much was read in each step."""

    profile: Number = 0
    media: Number = 0
    comments: Number = 0
    insights: Number = 0


class SyncFailure(msgspec.Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A user who failed."""

    user_no: int
    step: Annotated[str | None, msgspec.Meta(description="Null where no step began.")]
    error: str | None


class SyncExecution(msgspec.Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """An execution."""

    execution_id: Annotated[str, msgspec.Meta(description="A content of the channel `jobs`.")]
    execution_type: Annotated[str, msgspec.Meta(examples=[MANUAL, "scheduled"])]
    target_user_no: int | None
    months_to_sync: Months
    status: Annotated[
        str,
        msgspec.Meta(extra_json_schema={"enum": ["waiting", "running", "completed", "failed", "cancelled", "removed"]}),
    ]
    created_at: LocalTime
    started_at: LocalTime | None
    ended_at: LocalTime | None
    users: Annotated[int | None, msgspec.Meta(description="Null until they are known.")]
    completed: Number
    failed: Number
    steps: list[SyncStep]
    counts: SyncCounts
    failures: Annotated[list[SyncFailure], msgspec.Meta(description="The first hundred.")]
    error: str | None


class SyncStatus(msgspec.Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The sync."""

    batch_name: str = BATCH_NAME
    description: str = DESCRIPTION
    schedule: Annotated[str, msgspec.Meta(description="For humans, in Korean.", examples=["매일 새벽 2시"])]
    last_execution: Annotated[LocalTime | None, msgspec.Meta(description="When the last execution began.")]
    status: Annotated[str, msgspec.Meta(extra_json_schema={"const": "active"})] = "active"
    execution: Annotated[SyncExecution | None, msgspec.Meta(description="The one that runs, or ran last.")]


class SyncStatusAnswer(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The answer of the status."""

    success: bool = True
    data: SyncStatus


class SyncExecutions(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The latest executions, the newest first."""

    executions: Annotated[list[SyncExecution], msgspec.Meta(max_length=EXECUTIONS_MAX)]


class SyncExecutionsAnswer(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The answer of the list."""

    success: bool = True
    data: SyncExecutions


async def start(request: Request) -> Response:
    """`{"success","data":{"status","message","executionTime",…}}`: start the sync of all users, or of one."""
    # What has to do with the database needs the extra.
    from statushub.producers.instagram.starting import Refused

    identity = await identify(request)
    for channel in CHANNELS:
        identity.check_write(channel, "channel")
    sync = _sync(request, identity)
    given = request.path_params
    months = _number(given, "months", MONTHS_MAX) if "months" in given else MONTHS
    user_no = _number(given, "userNo", USER_NO_MAX) if "userNo" in given else None
    try:
        await sync.starter(hub_of(request).broker).start(months=months, user_no=user_no)
    except pool.Full as error:
        raise Busy(f"no further sync can wait: {error}", retry_after=RETRY_AFTER_SECONDS) from error
    except Refused as error:
        raise Busy(f"the hub stores no further job: {error}", retry_after=RETRY_AFTER_SECONDS) from error
    except SourceUnavailable as error:
        raise DatabaseUnavailable("the database of the sync does not answer") from error
    whose = "" if user_no is None else f"사용자 {user_no}의 "
    usual = "" if "months" in given else ", 기본값"
    data = SyncStarted(
        message=f"{whose}인스타그램 데이터 동기화가 시작되었습니다 (최근 {months}개월{usual})",
        execution_time=_local(datetime.now(UTC), _zone(request)),
        target_user_no=msgspec.UNSET if user_no is None else user_no,
        months_to_sync=months,
    )
    return json_response(SyncStartedAnswer(data=data), headers=_NO_STORE)


async def status(request: Request) -> Response:
    """`{"success","data":{"batchName","schedule","lastExecution",…,"execution"}}`: the sync, and what runs of it."""
    sync = await _reader(request)
    latest = await _latest(request, sync, POOL)
    begun = [each for each in latest if each.started_at is not None]
    shown = next((each for each in latest if each.status == "running"), next(iter(begun or latest), None))
    data = SyncStatus(
        schedule=schedule_text(config_of(request).instagram_time),
        last_execution=_local(begun[0].started_at or begun[0].created_at, _zone(request)) if begun else None,
        execution=None if shown is None else (await _answers(request, sync, [shown]))[0],
    )
    return json_response(SyncStatusAnswer(data=data), headers=_NO_STORE)


async def executions(request: Request) -> Response:
    """`{"success","data":{"executions":[…]}}`: the latest executions, the newest first."""
    sync = await _reader(request)
    latest = await _latest(request, sync, limit_of(request, EXECUTIONS_MAX))
    data = SyncExecutions(executions=await _answers(request, sync, latest))
    return json_response(SyncExecutionsAnswer(data=data), headers=_NO_STORE)


def schedule_text(time: str) -> str:
    """A time of each day, as it is said in Korean: `매일 새벽 2시`."""
    if time == NO_TIME:
        return "예약 없음"
    hour, minute = map(int, time.split(":"))
    part = "새벽" if hour < 6 else "오전" if hour < 12 else "오후" if hour < 18 else "저녁" if hour < 21 else "밤"
    if hour == 0:
        part = "밤"
    said = f"매일 {part} {(hour - 1) % 12 + 1}시"
    return f"{said} {minute}분" if minute else said


def _sync(request: Request, identity: Identity) -> InstagramSync:
    sync = hub_of(request).instagram
    if sync is None or identity.tenant != sync.tenant:
        raise NotFound("this hub syncs no Instagram accounts", field="path")
    return sync


async def _reader(request: Request) -> InstagramSync:
    """The sync, for one who may read it."""
    identity = await identify(request)
    for channel in CHANNELS:
        identity.check_read(channel, "channel")
    sync = _sync(request, identity)
    admit_reader(request, identity)(1)
    return sync


async def _latest(request: Request, sync: InstagramSync, limit: int) -> list[Stored]:
    """The latest executions; those that have not ended, as the hub has them."""
    from statushub.producers.instagram.history import execution_of_job
    from statushub.producers.jobs.state import read_job

    try:
        latest = await sync.executions.latest(limit)
    except SourceUnavailable as error:
        raise DatabaseUnavailable("the database of the sync does not answer") from error
    live = [each.id for each in latest if each.ended_at is None]
    if not live:
        return latest
    found = await hub_of(request).broker.lookup(sync.tenant, live)
    jobs = (None if event is None or event.removed else read_job(event) for event in found.events)
    known = {job.id: execution_of_job(job, sync.months) for job in jobs if job is not None}
    return [known.get(each.id) or each for each in latest]


async def _answers(request: Request, sync: InstagramSync, found: Sequence[Stored]) -> list[SyncExecution]:
    try:
        detailed = await sync.executions.detailed(found)
    except SourceUnavailable as error:
        raise DatabaseUnavailable("the database of the sync does not answer") from error
    zone = _zone(request)
    return [_answer(each, zone) for each in detailed]


def _answer(stored: Stored, zone: ZoneInfo) -> SyncExecution:
    return SyncExecution(
        execution_id=stored.id,
        execution_type=stored.execution_type,
        target_user_no=stored.target_user_no,
        months_to_sync=stored.months,
        status=stored.status,
        created_at=_local(stored.created_at, zone),
        started_at=None if stored.started_at is None else _local(stored.started_at, zone),
        ended_at=None if stored.ended_at is None else _local(stored.ended_at, zone),
        users=stored.users,
        completed=stored.completed,
        failed=stored.failed,
        steps=msgspec.convert(stored.steps, list[SyncStep]),
        counts=SyncCounts(**stored.counts),
        failures=[SyncFailure(user_no=it.user_no, step=it.step, error=it.error) for it in stored.failures],
        error=stored.error,
    )


def _number(given: dict[str, Any], name: str, most: int) -> int:
    """A whole number of the path, from 1 to `most`. Raises `Malformed` naming it."""
    text = str(given[name])
    # More digits would be a number that takes long to parse.
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most)) and 1 <= int(text) <= most):
        raise Malformed(f"{name} must be a whole number from 1 to {most}, not {text[:20]!r}", field=name)
    return int(text)


def _zone(request: Request) -> ZoneInfo:
    return ZoneInfo(config_of(request).instagram_timezone)


def _local(moment: datetime, zone: ZoneInfo) -> str:
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S}"


starts: Final = [
    Route(f"{PATH}/sync{path}", start, methods=["POST"], name=name)
    for path, name in (
        ("", "sync"),
        ("/user/{userNo}", "sync_user"),
        ("/months/{months}", "sync_months"),
        ("/user/{userNo}/months/{months}", "sync_user_months"),
    )
]
polls: Final = [Route(f"{PATH}/status", status), Route(f"{PATH}/executions", executions)]
routes: Final = [*starts, *polls]
