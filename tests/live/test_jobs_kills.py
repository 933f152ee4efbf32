"""Jobs while their workers, their hub and their Redis are killed at random moments."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import anyio
import anyio.to_thread
import httpx
import pytest

from statushub.hub.model.errors import BrokerUnavailable
from statushub.producers.jobs.names import items_channel
from statushub.producers.jobs.redis_store import RedisStore
from statushub.producers.jobs.start import Jobs
from statushub.producers.jobs.store import Store
from tests.support.hub_process import HubProcess
from tests.support.job_worker import ROOT, WorkerProcess, stamp
from tests.support.jobs import TENANT, items, job_state
from tests.support.redis_server import RedisServer, running_redis
from tests.support.waiting import WAIT_SECONDS

pytestmark = pytest.mark.anyio

ITEMS: Final = 60

LONGEST: Final = 0.8
"""Seconds before a kill: most of the time that the job takes."""

ENDED: Final = ("complete", "error")

TIMES: Final = [1, pytest.param(20, marks=[pytest.mark.slow, pytest.mark.timeout(900)])]

Data = Mapping[str, Any]


class Reader(Protocol):
    """Reads a job; None while that is not possible."""

    async def job(self) -> Data | None: ...

    async def items(self) -> Mapping[int, Data] | None: ...


class FromStore:
    def __init__(self, store: Store, job_id: str) -> None:
        self._store = store
        self._id = job_id

    async def job(self) -> Data | None:
        try:
            state = await job_state(self._store, self._id)
        except BrokerUnavailable:
            return None
        return None if state is None else state.data

    async def items(self) -> Mapping[int, Data] | None:
        try:
            return await items(self._store, self._id)
        except BrokerUnavailable:
            return None


class FromHub:
    def __init__(self, client: httpx.AsyncClient, job_id: str) -> None:
        self._client = client
        self._id = job_id

    async def job(self) -> Data | None:
        found = await self._read("jobs")
        return next((it for it in found or () if it["content_id"] == self._id), None)

    async def items(self) -> Mapping[int, Data] | None:
        found = await self._read(items_channel(self._id))
        return None if found is None else {int(it["content_id"].rpartition("/")[2]): it for it in found}

    async def _read(self, channel: str) -> list[dict[str, Any]] | None:
        try:
            answer = await self._client.get(f"/api/contents/{channel}", params={"limit": 100})
        except httpx.TransportError:
            return None
        return list(answer.json()["contents"]) if answer.status_code == 200 else None


async def survives(reader: Reader, kill: Callable[[], None]) -> None:
    """Kill something at a random moment of a job, which must then end with each item counted once, and with no result
    that was stored a second time."""
    seen: dict[int, Data] = {}

    async def look() -> Data | None:
        job = await reader.job()
        for number, data in (await reader.items() or {}).items():
            if data["status"] in ENDED:
                assert seen.setdefault(number, data) == data
        return job

    async def until(condition: Callable[[Data], bool]) -> Data:
        with anyio.fail_after(2 * WAIT_SECONDS):
            while (job := await look()) is None or not condition(job):
                await anyio.sleep(0.02)
        return job

    await until(lambda job: "started_at" in job)
    with anyio.move_on_after(random.uniform(0, LONGEST)):
        await until(lambda job: False)
    await anyio.to_thread.run_sync(kill)
    job = await until(lambda job: job["status"] in ENDED)
    await look()
    assert (job["status"], job["current"], job["failed"], job["progress"]) == ("complete", ITEMS, 0, 100)
    assert [step["current"] for step in job["steps"]] == [ITEMS, ITEMS]
    results = [seen[number]["result"] for number in sorted(seen)]
    assert [result["input"] for result in results] == [*range(ITEMS)]
    assert len({result["stamp"] for result in results}) == ITEMS


@contextmanager
def workers(url: str, folder: Path, count: int) -> Iterator[list[WorkerProcess]]:
    """Workers, of which none may fail but by being killed."""
    with ExitStack() as stack:
        started = [WorkerProcess(url, folder, name=f"worker-{number}") for number in range(count)]
        for worker in started:
            stack.callback(worker.kill)
            worker.start()
        yield started
    logs = "".join(worker.log.read_text() for worker in started)
    assert "Traceback" not in logs, logs[-5000:]


async def started(url: str, tenant: str = TENANT) -> str:
    async with Jobs(url, tenant=tenant) as jobs:
        return await jobs.start(stamp, range(ITEMS))


@pytest.mark.redis
@pytest.mark.parametrize("times", TIMES)
async def test_a_job_survives_its_workers(redis_server: RedisServer, tmp_path: Path, times: int) -> None:
    """All workers are killed, and new ones go on with what is not done."""
    url = f"redis://127.0.0.1:{redis_server.port}/9"
    with workers(url, tmp_path, 2) as running:

        def kill() -> None:
            for worker in running:
                worker.kill()
            for worker in running:
                worker.start()

        async with RedisStore(url) as store:
            for _ in range(times):
                await survives(FromStore(store, await started(url)), kill)


@pytest.mark.redis
@pytest.mark.parametrize("times", TIMES)
async def test_a_job_survives_its_redis(tmp_path: Path, times: int) -> None:
    """Redis is killed and comes back with its data, and the workers go on."""
    data = tmp_path / "redis"
    data.mkdir()
    with running_redis(data) as server, workers(server.url, tmp_path, 2):

        def kill() -> None:
            server.kill()
            server.start()

        async with RedisStore(server.url) as store:
            for _ in range(times):
                await survives(FromStore(store, await started(server.url)), kill)


@pytest.mark.parametrize("times", TIMES)
async def test_a_job_survives_its_hub(tmp_path: Path, times: int) -> None:
    """A hub that runs jobs itself is killed, and goes on when it is started again."""
    hub = HubProcess(
        tmp_path,
        broker="sqlite:///hub.db",
        jobs="on",
        jobs_modules="tests.support.job_worker",
        env={"PYTHONPATH": str(ROOT)},
    )

    def kill() -> None:
        hub.kill()
        hub.start()

    try:
        hub.start()
        async with httpx.AsyncClient(base_url=hub.base_url) as client:
            for _ in range(times):
                await survives(FromHub(client, await started(hub.base_url)), kill)
        assert hub.stop() == 0
    finally:
        hub.kill()
    assert "Traceback" not in hub.log.read_text()
