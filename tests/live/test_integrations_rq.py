"""RQ jobs that report themselves: real workers, over a real Redis."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import Process
from tests.support.live import live_hub
from tests.support.redis_server import RedisServer, running_redis
from tests.support.task_worker import Told, program, run, stopped, watching

pytestmark = pytest.mark.redis

JOBS = """
import os, time
from redis import Redis
from rq import Retry, Worker
from rq.worker import SimpleWorker
import statushub
from statushub.integrations.rq import ReportingQueue, ReportingWorker

class Queue(ReportingQueue):
    statushub_channel = "jobs"

class Imports(ReportingWorker):
    statushub_channel = "jobs"

connection = Redis.from_url(os.environ["REDIS"])
queue = Queue("default", connection=connection)

def work():
    # Long enough for its state to be sent before the next one replaces it.
    time.sleep(0.4)

def add(a, b):
    statushub.current().update(progress=50, step="adding")
    work()
    return a + b

def breaks():
    raise ValueError("no such file")

def fails_twice(path):
    work()
    with open(path, "a") as file:
        file.write("x")
    if os.path.getsize(path) < 3:
        raise OSError("busy")

def asks_again(path):
    work()
    with open(path, "a") as file:
        file.write("x")
    return Retry(max=2) if os.path.getsize(path) < 2 else "done"

def sleeps():
    statushub.current().update(step="asleep")
    time.sleep(60)

def dies():
    statushub.current().update(step="dying")
    os.kill(os.getpid(), 9)

def serve():
    Imports([queue], connection=connection).work()
"""


class Setup:
    """The folder of the jobs, their environment, and what viewers are told."""

    def __init__(self, folder: Path, env: dict[str, str], told: Told) -> None:
        self.folder = folder
        self.env = env
        self.told = told

    def enqueue(self, call: str) -> str:
        """Enqueue a job from a process of its own; returns its id."""
        script = f"import jobs; from rq import Retry; print(jobs.queue.enqueue({call}).id)"
        return run("-c", script, cwd=self.folder, env=self.env).strip()


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis for the tests of this module."""
    with running_redis(tmp_path_factory.mktemp("redis"), appendonly=False) as server:
        yield server


@pytest.fixture
def setup(redis: RedisServer, tmp_path: Path) -> Iterator[Setup]:
    """A hub whose channel `jobs` is watched, and jobs that report to it."""
    (tmp_path / "jobs.py").write_text(JOBS)
    with live_hub() as hub, watching(hub.base_url, "jobs") as told:
        yield Setup(tmp_path, {"REDIS": redis.url, "STATUSHUB_URL": hub.base_url}, told)


@pytest.fixture
def worker(setup: Setup) -> Iterator[Process]:
    """A worker, which forks for each job."""
    with program("-c", "import jobs; jobs.serve()", cwd=setup.folder, env=setup.env, ready="Listening on") as process:
        yield process


def test_a_job_waits_runs_and_is_complete(setup: Setup, request: pytest.FixtureRequest) -> None:
    """The name of its function and the retry are fields, and progress is reported from within."""
    job = setup.enqueue("jobs.add, 1, 2")
    worker = request.getfixturevalue("worker")
    end = setup.told.ended(job)
    assert (end["status"], end["progress"], end["step"]) == ("complete", 100, "adding")
    assert (end["task"], end["title"], end["retry"]) == ("jobs.add", "jobs.add", 0)
    assert setup.told.statuses(job) == ["pending 0", "generating 0", "complete 0"]
    assert stopped(worker) == 0


def test_a_job_that_raises_is_an_error(setup: Setup, worker: Process) -> None:
    """With the exception's text and name."""
    end = setup.told.ended(setup.enqueue("jobs.breaks"))
    assert (end["status"], end["error_message"], end["error_code"]) == ("error", "no such file", "ValueError")


def test_each_try_is_a_run(setup: Setup, worker: Process) -> None:
    """Whether the job raises and has retries left, or asks to be repeated."""
    job = setup.enqueue(f"jobs.fails_twice, {str(setup.folder / 'tries')!r}, retry=Retry(max=3)")
    assert setup.told.ended(job)["status"] == "complete"
    assert setup.told.since_its_start(job) == [
        *("generating 0", "pending 1", "generating 1", "pending 2", "generating 2", "complete 2"),
    ]
    job = setup.enqueue(f"jobs.asks_again, {str(setup.folder / 'again')!r}")
    assert setup.told.ended(job)["status"] == "complete"
    assert setup.told.since_its_start(job) == ["generating 0", "pending 1", "generating 1", "complete 1"]


def test_a_job_that_is_stopped_ends(setup: Setup, worker: Process) -> None:
    """Its process is killed; the worker goes on."""
    job = setup.enqueue("jobs.sleeps")
    setup.told.until(lambda data: data.get("step") == "asleep")
    stop = f"import jobs; from rq.command import send_stop_job_command as stop; stop(jobs.connection, {job!r})"
    run("-c", stop, cwd=setup.folder, env=setup.env)
    end = setup.told.ended(job)
    assert (end["status"], end["error_code"]) == ("error", "cancelled")
    assert setup.told.ended(setup.enqueue("jobs.add, 1, 2"))["status"] == "complete"


def test_a_job_whose_process_is_killed_ends(setup: Setup, worker: Process) -> None:
    """Before its lease has run out."""
    end = setup.told.ended(setup.enqueue("jobs.dies"))
    assert (end["status"], end["error_code"]) == ("error", "worker_lost")
