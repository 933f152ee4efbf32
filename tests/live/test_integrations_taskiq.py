"""taskiq tasks that report themselves: a real worker, over a real Redis."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.support.command import Process
from tests.support.live import live_hub
from tests.support.redis_server import running_redis
from tests.support.task_worker import Told, program, run, stopped, watching

pytestmark = pytest.mark.redis

TASKS = """
import asyncio, os
from taskiq import SmartRetryMiddleware
from taskiq_redis import RedisStreamBroker
import statushub
from statushub.integrations.taskiq import StatushubMiddleware

broker = RedisStreamBroker(os.environ["REDIS"]).with_middlewares(
    StatushubMiddleware(channel="tasks"),
    SmartRetryMiddleware(default_retry_count=3, default_delay=0, use_jitter=False),
)
tries = []

async def work():
    # Long enough for its state to be sent before the next one replaces it.
    await asyncio.sleep(0.4)

@broker.task(task_name="add")
async def add(a: int, b: int) -> int:
    statushub.current().update(progress=50, step="adding")
    await work()
    return a + b

@broker.task(task_name="add_in_thread")
def add_in_thread(a: int, b: int) -> int:
    statushub.current().update(progress=50, step="adding")
    asyncio.run(work())
    return a + b

@broker.task(task_name="breaks")
async def breaks() -> None:
    raise ValueError("no such file")

@broker.task(task_name="fails", retry_on_error=True)
async def fails(times: int) -> None:
    await work()
    tries.append(1)
    if len(tries) <= times:
        raise OSError("busy")

@broker.task(task_name="sends")
async def sends() -> None:
    await add.kiq(1, 2)
    await work()

async def send(task, *args):
    await broker.startup()
    sent = await globals()[task].kiq(*args)
    await broker.shutdown()
    print(sent.task_id)
"""


class Setup:
    """The folder of the tasks, their environment, and what viewers are told."""

    def __init__(self, folder: Path, env: dict[str, str], told: Told) -> None:
        self.folder = folder
        self.env = env
        self.told = told

    def send(self, call: str) -> str:
        """Send a task from a process of its own; returns its id."""
        script = f"import asyncio, tasks; asyncio.run(tasks.send({call}))"
        return run("-c", script, cwd=self.folder, env=self.env).strip()

    def worker(self) -> AbstractContextManager[Process]:
        """A worker of one process, once it listens. It is started after a test has sent, so that the task waits."""
        arguments = ("-m", "taskiq", "worker", "tasks:broker", "--workers", "1")
        return program(*arguments, cwd=self.folder, env=self.env, ready="Listening started")


@pytest.fixture
def setup(tmp_path: Path) -> Iterator[Setup]:
    """A hub whose channel `tasks` is watched, and tasks that report to it, over a Redis of their own."""
    (tmp_path / "tasks.py").write_text(TASKS)
    with (
        running_redis(tmp_path, appendonly=False) as redis,
        live_hub() as hub,
        watching(hub.base_url, "tasks") as told,
    ):
        yield Setup(tmp_path, {"REDIS": redis.url, "STATUSHUB_URL": hub.base_url}, told)


@pytest.mark.parametrize("task", ["add", "add_in_thread"])
def test_a_task_waits_runs_and_is_complete(setup: Setup, task: str) -> None:
    """Whether it is a coroutine or runs in a thread; progress is reported from within."""
    sent = setup.send(f"{task!r}, 1, 2")
    with setup.worker() as worker:
        end = setup.told.ended(sent)
        assert (end["status"], end["progress"], end["step"]) == ("complete", 100, "adding")
        assert (end["task"], end["title"], end["retry"]) == (task, task, 0)
        assert setup.told.statuses(sent) == ["pending 0", "generating 0", "complete 0"]
        assert stopped(worker) == 0


def test_a_task_that_raises_is_an_error(setup: Setup) -> None:
    """With the exception's text and name."""
    sent = setup.send("'breaks'")
    with setup.worker():
        end = setup.told.ended(sent)
    assert (end["status"], end["error_message"], end["error_code"]) == ("error", "no such file", "ValueError")


@pytest.mark.parametrize(("failures", "end"), [(2, "complete 2"), (9, "error 2")])
def test_each_try_is_a_run(setup: Setup, failures: int, end: str) -> None:
    """A repeated task runs again, and ends once; that it waits is told unless it runs before."""
    task = setup.send(f"'fails', {failures}")
    with setup.worker():
        setup.told.ended(task)
    said = setup.told.statuses(task)
    assert [status for status in said if status not in ("pending 1", "pending 2")] == [
        *("pending 0", "generating 0", "generating 1", "generating 2", end),
    ]
    assert sorted(said, key=lambda status: status[-1]) == said
    # A state of a try that another one follows would be refused, with a warning.
    assert "nothing more of this work" not in (setup.folder / "program.log").read_text()


def test_a_task_that_sends_another_ends(setup: Setup) -> None:
    """Only a task that is sent again is not at its end."""
    task = setup.send("'sends'")
    with setup.worker():
        ends = [setup.told.ended() for _ in range(2)]
    assert {end["task"]: end["status"] for end in ends} == {"sends": "complete", "add": "complete"}
    assert task in {end["content_id"] for end in ends}


def test_a_warm_shutdown_delivers_the_end(setup: Setup) -> None:
    """SIGTERM lets the running task end, and its end is reported before the worker is gone."""
    task = setup.send("'fails', 0")
    with setup.worker() as worker:
        setup.told.until(lambda data: data.get("status") == "generating")
        assert stopped(worker) == 0
        assert setup.told.ended(task)["status"] == "complete"
