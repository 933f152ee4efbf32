"""The sync of users, and the job that it is."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from msgspec.structs import replace

from statushub.producers.instagram import pool
from statushub.producers.instagram.errors import GraphError, NotPermitted, TokenRefused
from statushub.producers.instagram.executions import STEPS, ExecutionStore, UserRun
from statushub.producers.instagram.graph import Account, Graph
from statushub.producers.instagram.names import WorkerNames
from statushub.producers.instagram.params import JOB, read_params
from statushub.producers.instagram.reading import Reading
from statushub.producers.instagram.store import AccountStore, Refusal, ResultStore
from statushub.producers.jobs.definition import Job, job
from statushub.producers.jobs.item import Item, PermanentFailure
from statushub.producers.jobs.retry import Retry

USERS_TOGETHER: Final = 5
"""Users of an execution that are synced together."""

RETRY: Final = Retry(tries=3, first=30, longest=300)
"""Of a user: each call was repeated before, for about half a minute."""

LABELS: Final = {"profile": "프로필", "media": "미디어", "comments": "댓글", "insights": "인사이트"}
"""The steps in log lines."""

logger = logging.getLogger(__name__)


class Sync:
    """Syncs users, one item each."""

    def __init__(
        self,
        graph: Graph,
        accounts: AccountStore,
        results: ResultStore,
        executions: ExecutionStore,
        *,
        months: int,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`months` is how far back an execution goes that does not say so."""
        self._graph = graph
        self._accounts = accounts
        self._results = results
        self._executions = executions
        self._months = months
        self._now = now
        self._names = WorkerNames()

    async def users(self, params: Mapping[str, Any]) -> list[int]:
        """The users of an execution."""
        user_no = read_params(params, self._months).user_no
        return await self._accounts.users() if user_no is None else [user_no]

    async def user(self, item: Item) -> Mapping[str, int]:
        """Sync a user; returns how much was read in each step."""
        user_no, months = int(item.input), read_params(item.params, self._months).months
        run = await self._executions.user(item.job_id, user_no) or UserRun(
            execution_id=item.job_id, user_no=user_no, status="running"
        )
        with self._names.name(item.job_id) as name:
            try:
                account = await self._account(user_no)
                reading = Reading(self._graph, self._results, account, months, self._now())
                run = replace(run, status="running", error=None)
                for number, step in enumerate(STEPS, 1):
                    if step in item.finished:
                        continue
                    run = replace(run, step=step)
                    async with item.step(step):
                        count = await self._read(account, step, getattr(reading, step))
                        run = replace(run, **{step: count})
                        await self._executions.save_user(run)
                    logger.info(
                        "[%s] %d/%d단계 %s 동기화 완료: userNo=%d, %d건",
                        *(name, number, len(STEPS), LABELS[step], user_no, count),
                    )
            except Exception as error:
                logger.warning("[%s] 동기화 실패: userNo=%d, 단계=%s: %s", name, user_no, run.step or "-", error)
                await self._executions.save_user(replace(run, status="failed", error=str(error)))
                raise
            await self._executions.save_user(replace(run, status="completed", step=None))
        return {step: getattr(run, step) for step in STEPS}

    async def _account(self, user_no: int) -> Account:
        try:
            account = await self._accounts.account(user_no)
        except Refusal as error:
            raise PermanentFailure(f"userNo {user_no}: {error}") from error
        if account is None:
            raise PermanentFailure(f"userNo {user_no} has no account with a token")
        return account

    async def _read(self, account: Account, step: str, work: Callable[[], Awaitable[int]]) -> int:
        where = f"userNo {account.user_no}, {step}"
        try:
            return await work()
        except TokenRefused as error:
            await self._accounts.refuse(account, str(error))
            raise PermanentFailure(f"{where}: the token was refused: {error}") from error
        except NotPermitted as error:
            raise PermanentFailure(f"{where}: not permitted: {error}") from error
        except GraphError as error:
            raise GraphError(f"{where}: {error}") from error


def sync_job(sync: Sync, *, schedule: str | None, timezone: str, retry: Retry = RETRY) -> Job:
    """The job whose executions are syncs. Raises `Invalid` for an unknown time zone."""
    return job(
        name=JOB,
        steps=STEPS,
        concurrency=USERS_TOGETHER,
        retry=retry,
        group=JOB,
        together=pool.width,
        schedule=schedule,
        timezone=timezone,
        items=sync.users,
    )(sync.user)
