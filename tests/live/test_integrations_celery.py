"""Celery tasks that report themselves: real workers, over a real Redis."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.support.command import Process
from tests.support.live import live_hub
from tests.support.redis_server import RedisServer, running_redis
from tests.support.task_worker import Told, program, run, stopped, watching

pytestmark = pytest.mark.redis

TASKS = """
import os, time
from celery import Celery
from celery.exceptions import Ignore, Reject
import statushub
from statushub.integrations.celery import report_tasks

app = Celery("tasks", broker=os.environ["REDIS"])
app.conf.broker_connection_retry_on_startup = True
app.conf.worker_hijack_root_logger = False
report_tasks(app, channel="tasks")
other = Celery("other", broker=os.environ["REDIS"], set_as_current=False)

def work():
    # Long enough for its state to be sent before the next one replaces it.
    time.sleep(0.4)

@app.task
def add(a, b):
    statushub.current().update(progress=50, step="adding")
    work()
    return a + b

@app.task
def breaks():
    raise ValueError("no such file")

@app.task(bind=True, max_retries=2)
def fails_twice(self):
    statushub.current().update(progress=10 * (1 + self.request.retries))
    work()
    if self.request.retries < 2:
        raise self.retry(countdown=0, exc=OSError("busy"))

@app.task(bind=True, max_retries=1)
def fails_always(self):
    raise self.retry(countdown=0, exc=OSError("busy"))

@app.task
def sleeps(seconds):
    statushub.current().update(step="asleep")
    time.sleep(seconds)

@app.task(time_limit=1)
def too_long():
    statushub.current().update(step="asleep")
    time.sleep(60)

@app.task
def ignored():
    statushub.current().update(step="ignoring")
    raise Ignore

@app.task(acks_late=True)
def sent_back(path):
    statushub.current().update(step="reading")
    work()
    if not os.path.exists(path):
        open(path, "w").close()
        raise Reject("not yet", requeue=True)

@other.task(name="tasks.add", shared=False)
def namesake():
    raise ValueError("another app's task")

@app.task
def runs_another():
    namesake.apply()

@app.task
def dies():
    statushub.current().update(step="dying")
    os.kill(os.getpid(), 9)
"""


class Setup:
    """The folder of the tasks, their environment, and what viewers are told."""

    def __init__(self, folder: Path, env: dict[str, str], told: Told) -> None:
        self.folder = folder
        self.env = env
        self.told = told

    def send(self, call: str) -> str:
        """Send a task from a process of its own; returns its id."""
        return run("-c", f"import tasks; print((tasks.{call}).id)", cwd=self.folder, env=self.env).strip()

    def control(self, call: str) -> None:
        """Call a method of the app's remote control."""
        run("-c", f"import tasks; tasks.app.control.{call}", cwd=self.folder, env=self.env)

    def worker(self, *options: str) -> AbstractContextManager[Process]:
        """A worker, once it is ready."""
        return program(
            *("-m", "celery", "-A", "tasks", "worker", "--loglevel", "info", "--without-gossip", "--without-mingle"),
            *options,
            cwd=self.folder,
            env=self.env,
            ready=" ready.",
        )


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis for the tests of this module."""
    with running_redis(tmp_path_factory.mktemp("redis"), appendonly=False) as server:
        yield server


@pytest.fixture
def setup(redis: RedisServer, tmp_path: Path) -> Iterator[Setup]:
    """A hub whose channel `tasks` is watched, and tasks that report to it."""
    (tmp_path / "tasks.py").write_text(TASKS)
    with live_hub() as hub, watching(hub.base_url, "tasks") as told:
        yield Setup(tmp_path, {"REDIS": redis.url, "STATUSHUB_URL": hub.base_url}, told)


@pytest.fixture
def prefork(setup: Setup) -> Iterator[Process]:
    """A worker whose tasks run in processes that it has forked."""
    with setup.worker("--pool", "prefork", "--concurrency", "1") as process:
        yield process


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_a_task_waits_runs_and_is_complete(setup: Setup, pool: str) -> None:
    """In every pool; the name and the retry are fields, and progress is reported from within."""
    task = setup.send("add.delay(1, 2)")
    with setup.worker("--pool", pool, "--concurrency", "2") as worker:
        end = setup.told.ended(task)
        assert (end["status"], end["progress"], end["step"]) == ("complete", 100, "adding")
        assert (end["task"], end["title"], end["retry"]) == ("tasks.add", "tasks.add", 0)
        assert setup.told.statuses(task) == ["pending 0", "generating 0", "complete 0"]
        assert stopped(worker) == 0


def test_a_task_that_raises_is_an_error(setup: Setup, prefork: Process) -> None:
    """With the exception's text and name."""
    end = setup.told.ended(setup.send("breaks.delay()"))
    assert (end["status"], end["error_message"], end["error_code"]) == ("error", "no such file", "ValueError")


def test_each_try_is_a_run(setup: Setup, prefork: Process) -> None:
    """A repeated task waits and runs again, and ends once."""
    task = setup.send("fails_twice.delay()")
    end = setup.told.ended(task)
    assert (end["status"], end["retry"], end["progress"]) == ("complete", 2, 100)
    assert setup.told.since_its_start(task) == [
        *("generating 0", "pending 1", "generating 1", "pending 2", "generating 2", "complete 2"),
    ]
    failed = setup.send("fails_always.delay()")
    assert setup.told.ended(failed)["error_message"] == "busy"
    assert setup.told.statuses(failed)[-1] == "error 1"


def test_a_task_that_is_ignored_is_complete(setup: Setup, prefork: Process) -> None:
    """Celery stores no result of it, and runs it no more."""
    end = setup.told.ended(setup.send("ignored.delay()"))
    assert (end["status"], end["step"]) == ("complete", "ignoring")


def test_a_task_that_is_sent_back_ends_once(setup: Setup, prefork: Process) -> None:
    """It is delivered again as the same try."""
    task = setup.send(f"sent_back.delay({str(setup.folder / 'there')!r})")
    assert setup.told.ended(task)["status"] == "complete"
    assert setup.told.since_its_start(task) == ["generating 0", "complete 0"]


def test_a_task_with_a_time_says_when_it_starts(setup: Setup) -> None:
    """A page can show it while the task waits."""
    task = setup.send("add.apply_async((1, 2), countdown=600)")
    waits = setup.told.until(lambda data: data["content_id"] == task)
    assert (waits["status"], waits["starts_at"][:2]) == ("idle", "20")


def test_tasks_of_other_apps_are_not_reported(setup: Setup, prefork: Process) -> None:
    """Not even those of the same name."""
    task = setup.send("runs_another.delay()")
    assert setup.told.ended()["content_id"] == task
    assert {event["content_id"] for event in setup.told.events if "content_id" in event} == {task}


def test_a_task_that_is_revoked_ends(setup: Setup, prefork: Process) -> None:
    """One that waits, and one that runs and is terminated."""
    running = setup.send("sleeps.delay(60)")
    setup.told.until(lambda data: data.get("step") == "asleep")
    waiting = setup.send("add.delay(1, 2)")
    setup.control(f"revoke({waiting!r})")
    setup.control(f"revoke({running!r}, terminate=True)")
    ends = [setup.told.ended() for _ in range(2)]
    assert {end["content_id"] for end in ends} == {running, waiting}
    assert {(end["status"], end["error_code"]) for end in ends} == {("error", "cancelled")}
    assert setup.told.ended(setup.send("add.delay(1, 2)"))["status"] == "complete"


def test_a_task_that_expires_ends(setup: Setup) -> None:
    """Where no worker takes it in time."""
    task = setup.send("add.apply_async((1, 2), expires=0.01)")
    with setup.worker("--pool", "solo"):
        end = setup.told.ended(task)
    assert (end["status"], end["error_code"]) == ("error", "cancelled")
    assert "expired" in end["error_message"]


@pytest.mark.parametrize(
    ("call", "code"), [("too_long.delay()", "TimeLimitExceeded"), ("dies.delay()", "WorkerLostError")]
)
def test_a_task_whose_process_is_killed_ends(setup: Setup, prefork: Process, call: str, code: str) -> None:
    """By its time limit, or by the system; the worker goes on."""
    end = setup.told.ended(setup.send(call))
    assert (end["status"], end["error_code"]) == ("error", code)
    assert setup.told.ended(setup.send("add.delay(1, 2)"))["status"] == "complete"


def test_tasks_run_while_the_hub_is_away(setup: Setup, prefork: Process) -> None:
    """A worker and a client whose hub cannot be reached send, run and stop as without one."""
    away = {**setup.env, "STATUSHUB_URL": "http://127.0.0.1:9"}
    script = "import tasks, time; b = time.monotonic(); r = tasks.add.delay(1, 2); print(time.monotonic() - b)"
    assert float(run("-c", script, cwd=setup.folder, env=away)) < 1.5
    assert setup.told.ended()["status"] == "complete"


def test_a_warm_shutdown_delivers_the_end(setup: Setup, prefork: Process) -> None:
    """SIGTERM lets the running task end, and its end is reported before the worker is gone."""
    task = setup.send("sleeps.delay(1)")
    setup.told.until(lambda data: data.get("step") == "asleep")
    prefork.send_signal(signal.SIGTERM)
    assert setup.told.ended(task)["status"] == "complete"
    assert prefork.wait(20) == 0
