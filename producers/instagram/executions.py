"""The executions, as they are kept in the database: what was asked for, how it went, and what became of each user."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import msgspec
from sqlalchemy import RowMapping, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from statushub.producers.instagram.answers import moment
from statushub.producers.instagram.database import Tables, write
from statushub.producers.instagram.params import Params
from statushub.producers.instagram.tables import ADMISSIONS, EXECUTION_USERS, EXECUTIONS
from statushub.producers.instagram.upsert import upsert

STEPS: Final[Mapping[str, float]] = {"profile": 1, "media": 2, "comments": 5, "insights": 2}
"""The steps of a user in their order, each with its part of the time. Their counts are columns of these names."""

FAILURES_MAX: Final = 100
"""Most failures of an execution that are listed. All of them are in the table."""

T = TypeVar("T")


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A user who failed, the step in which that was, and why."""

    user_no: int
    step: str | None
    error: str | None


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """An execution. `users` is None until they are known; `counts` has what was read in each step."""

    id: str
    execution_type: str
    target_user_no: int | None
    months: int
    status: str
    users: int | None
    completed: int
    failed: int
    steps: Sequence[Mapping[str, Any]]
    error: str | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    counts: Mapping[str, int] = {}
    failures: Sequence[Failure] = ()


class UserRun(msgspec.Struct, frozen=True, kw_only=True):
    """How far an execution is with a user."""

    execution_id: str
    user_no: int
    status: str
    step: str | None = None
    profile: int = 0
    media: int = 0
    comments: int = 0
    insights: int = 0
    error: str | None = None


class ExecutionStore:
    """The executions. Each method raises `Tables.unavailable`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def make(self) -> None:
        """Make the tables where they are missing."""
        await self._tables.make()

    async def admitted(self, admit: Callable[[int], Awaitable[tuple[Execution, T]]]) -> T:
        """What `admit` returns beside an execution, which is stored. It is given a number that grows, and runs in one
        hub at a time. What it raises is raised. It may be called again, where the database failed."""

        async def work(connection: AsyncConnection) -> T:
            await connection.execute(upsert(connection.dialect.name, ADMISSIONS, ()), {"id": 1, "number": 0})
            await connection.execute(update(ADMISSIONS).values(number=ADMISSIONS.c.number + 1))
            number = (await connection.execute(select(ADMISSIONS.c.number))).scalar_one()
            execution, result = await admit(number)
            await _save(connection, execution)
            return result

        return await self._tables.run(work)

    async def save(self, execution: Execution) -> None:
        """Store how an execution is; one that has ended stays as it is."""
        await self._tables.run(lambda connection: _save(connection, execution))

    async def lost(self, execution_id: str) -> None:
        """An execution was removed from the hub: unless it had ended, it never will."""
        statement = (
            update(EXECUTIONS)
            .where(EXECUTIONS.c.id == execution_id, EXECUTIONS.c.ended_at.is_(None))
            .values(status="removed", ended_at=datetime.now(UTC))
        )

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(statement)

        await self._tables.run(work)

    async def user(self, execution_id: str, user_no: int) -> UserRun | None:
        """How far an execution is with a user; None where it has not begun."""
        table = EXECUTION_USERS
        statement = select(table).where(table.c.execution_id == execution_id, table.c.user_no == user_no)

        async def work(connection: AsyncConnection) -> UserRun | None:
            row = (await connection.execute(statement)).mappings().first()
            return None if row is None else _user_run(row)

        return await self._tables.run(work)

    async def save_user(self, run: UserRun) -> None:
        """Store how far an execution is with a user."""
        row = {**msgspec.structs.asdict(run), "updated_at": datetime.now(UTC)}
        await self._tables.run(lambda connection: write(connection, EXECUTION_USERS, [row]))

    async def latest(self, limit: int) -> list[Execution]:
        """The latest executions, the newest first, without their `counts` and `failures`."""

        async def work(connection: AsyncConnection) -> list[Execution]:
            table = EXECUTIONS
            found = await connection.execute(select(table).order_by(table.c.created_at.desc(), table.c.id).limit(limit))
            return [Execution(**row) for row in found.mappings()]

        return await self._tables.run(work)

    async def detailed(self, executions: Sequence[Execution]) -> list[Execution]:
        """The same executions with their `counts` and `failures`."""

        async def work(connection: AsyncConnection) -> list[Execution]:
            counts = await _counts(connection, [each.id for each in executions])
            return [
                msgspec.structs.replace(
                    each,
                    counts=counts.get(each.id, dict.fromkeys(STEPS, 0)),
                    failures=await _failures(connection, each.id),
                )
                for each in executions
            ]

        return await self._tables.run(work)


async def _save(connection: AsyncConnection, execution: Execution) -> None:
    row = {column.name: getattr(execution, column.name) for column in EXECUTIONS.columns}
    await connection.execute(upsert(connection.dialect.name, EXECUTIONS, ()), row)
    changed = {name: row[name] for name in ("status", "users", "completed", "failed", "steps", "error")}
    times = {name: row[name] for name in ("started_at", "ended_at")}
    table = EXECUTIONS
    await connection.execute(
        update(table).where(table.c.id == execution.id, table.c.ended_at.is_(None)).values(**changed, **times)
    )


def _user_run(row: RowMapping) -> UserRun:
    return UserRun(**{name: row[name] for name in UserRun.__struct_fields__})


async def _counts(connection: AsyncConnection, ids: Sequence[str]) -> dict[str, dict[str, int]]:
    table = EXECUTION_USERS
    sums = [func.sum(table.c[step]).label(step) for step in STEPS]
    statement = select(table.c.execution_id, *sums).where(table.c.execution_id.in_(ids)).group_by(table.c.execution_id)
    rows = (await connection.execute(statement)).mappings()
    return {row["execution_id"]: {step: int(row[step]) for step in STEPS} for row in rows}


async def _failures(connection: AsyncConnection, execution_id: str) -> list[Failure]:
    table = EXECUTION_USERS
    statement = (
        select(table.c.user_no, table.c.step, table.c.error)
        .where(table.c.execution_id == execution_id, table.c.status == "failed")
        .order_by(table.c.user_no)
        .limit(FAILURES_MAX)
    )
    return [Failure(**row) for row in (await connection.execute(statement)).mappings()]


def execution_of(job_id: str, data: Mapping[str, Any], params: Params, status: str) -> Execution:
    """An execution as the hub has it: `data` is what its last event says."""
    steps = data.get("steps")
    users, over, failed = (_count(data.get(name)) for name in ("total", "current", "failed"))
    return Execution(
        id=job_id,
        execution_type=params.type,
        target_user_no=params.user_no,
        months=params.months,
        status=status,
        users=users,
        completed=(over or 0) - (failed or 0),
        failed=failed or 0,
        steps=steps if isinstance(steps, list) else [],
        error=data.get("error_message"),
        created_at=moment(data.get("created_at")) or datetime.now(UTC),
        started_at=moment(data.get("started_at")),
        ended_at=moment(data.get("ended_at")),
    )


def _count(value: object) -> int | None:
    return value if isinstance(value, int) else None
