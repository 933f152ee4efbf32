"""Programs that end: by themselves, by an error, by a signal. Each in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import environment
from tests.support.live import LiveHub, live_hub
from tests.support.ports import free_port
from tests.support.redis_server import RedisServer, running_redis
from tests.support.script import becomes, held, ran
from tests.support.stored import stored
from tests.support.waiting import eventually

SHUTDOWN_SECONDS = 15.0
"""For a program that ends, start of the interpreter included, on a machine that is busy with other tests."""


@pytest.fixture(scope="module")
def hub() -> Iterator[LiveHub]:
    with live_hub() as hub:
        yield hub


TRACK = "from statushub import track\nrows = track(range(100), channel='jobs', content_id='c')\n"

ENDINGS = {
    "SystemExit beside a tracked loop": (TRACK + "next(rows)\nraise SystemExit(3)", 3, "cancelled"),
    "an error beside a tracked loop": (TRACK + "next(rows)\nraise ValueError('torn')", 1, "cancelled"),
    "SystemExit in a tracked loop": (TRACK + "for row in rows:\n    raise SystemExit(3)", 3, "cancelled"),
    "an error in a tracked loop": (TRACK + "for row in rows:\n    raise ValueError('torn')", 1, "cancelled"),
    "KeyboardInterrupt in a tracked loop": (TRACK + "for row in rows:\n    raise KeyboardInterrupt", -2, "cancelled"),
    "the end beside a tracked loop": (TRACK + "next(rows)", 0, "cancelled"),
    "a loop in a function that keeps its error": (
        TRACK + "def f(rows):\n    for row in rows:\n        raise ValueError('torn')\n"
        "try:\n    f(rows)\nexcept ValueError as error:\n    kept = error",
        *(0, "cancelled"),
    ),
    "a producer that is entered and not left": (
        "from statushub import SyncProducer\nproducer = SyncProducer().__enter__()\n"
        "work = producer.work('c', channel='jobs')\nwork.update(progress=1)\nraise SystemExit(4)",
        *(4, "cancelled"),
    ),
    "a work that is opened by a signal and not closed": (
        "from statushub import SyncProducer\nproducer = SyncProducer().open()\n"
        "work = producer.work('c', channel='jobs').__enter__()",
        *(0, "cancelled"),
    ),
    "SystemExit in a work": (
        "import statushub\nwith statushub.work('c', channel='jobs'):\n    raise SystemExit(5)",
        *(5, "cancelled"),
    ),
    "a work in a daemon thread": (
        "import statushub, threading\nbegun = threading.Event()\n"
        "def toil():\n    with statushub.work('c', channel='jobs'):\n        begun.set()\n"
        "        threading.Event().wait()\n"
        "threading.Thread(target=toil, daemon=True).start()\nbegun.wait()",
        *(0, "cancelled"),
    ),
    "a loop in a reference cycle": (
        TRACK + "next(rows)\nclass Node:\n    pass\nnode = Node()\nnode.rows, node.me = rows, node\ndel rows, node",
        *(0, "cancelled"),
    ),
    "an asynchronous loop of a task that is left": (
        "import asyncio, statushub\nasync def rows():\n    while True:\n        yield 1\n"
        "async def main():\n    async for row in statushub.atrack(rows(), channel='jobs', content_id='c'):\n"
        "        raise SystemExit(6)\nasyncio.run(main())",
        *(6, "cancelled"),
    ),
    "an error in a work": (
        "import statushub\nwith statushub.work('c', channel='jobs'):\n    raise ValueError('torn')",
        *(1, "ValueError"),
    ),
    "an error in a loop that sees it": (
        "from statushub import track\nwith track([1], channel='jobs', content_id='c') as rows:\n"
        "    for row in rows:\n        raise ValueError('torn')",
        *(1, "ValueError"),
    ),
}


@pytest.mark.parametrize("case", ENDINGS)
def test_a_program_that_is_left_ends_by_itself(hub: LiveHub, case: str) -> None:
    """It ends with its own code within seconds, and the hub knows how its work ended."""
    script, code, error_code = ENDINGS[case]
    ended = ran(script.replace("'c'", repr(case)), hub.base_url)
    assert (ended.code, ended.seconds < SHUTDOWN_SECONDS) == (code, True), ended
    assert held(hub.base_url)[case]["error_code"] == error_code
    # But for the program's own error nothing is printed, also not of generators that are closed at the very end.
    assert "ignored" not in ended.err
    assert "thread" not in ended.err
    assert bool(ended.err) == (abs(code) in (1, 2))


LEAVING = {
    "break": TRACK + "for row in rows:\n    break",
    "break of a loop without a name": (
        "from statushub import track\nfor row in track(range(100), channel='jobs', content_id='c'):\n    break"
    ),
    "return": "def f():\n    from statushub import track\n"
    "    for row in track(range(100), channel='jobs', content_id='c'):\n        return row\nf()",
    "break within try and with": "import contextlib\nfrom statushub import track\n"
    "for row in track(range(100), channel='jobs', content_id='c'):\n    try:\n"
    "        with contextlib.suppress(ValueError):\n"
    "            break\n    finally:\n        pass",
    "break of a loop that sees it": "from statushub import track\n"
    "with track(range(100), channel='jobs', content_id='c') as rows:\n    for row in rows:\n        break",
    "break of an asynchronous loop": "import asyncio, statushub\nasync def rows():\n    while True:\n        yield 1\n"
    "async def main():\n    async for row in statushub.atrack(rows(), channel='jobs', content_id='c', total=5):\n"
    "        break\nasyncio.run(main())",
}


@pytest.mark.parametrize("case", LEAVING)
def test_a_loop_that_is_left_on_purpose_is_no_failure(hub: LiveHub, case: str) -> None:
    """It is complete, and says that not all was done."""
    ended = ran(LEAVING[case].replace("'c'", repr(case)), hub.base_url)
    assert (ended.code, ended.err, ended.seconds < SHUTDOWN_SECONDS) == (0, "", True)
    status = held(hub.base_url)[case]
    assert (status["status"], status["completed"]) == ("complete", False)


@pytest.mark.redis
def test_a_program_that_publishes_into_redis_ends_by_itself(redis_server: RedisServer, tmp_path: Path) -> None:
    """So does one whose Redis is stopped meanwhile, or has gone."""
    with stored(redis_server.url, "exit") as store:
        ended = ran(TRACK + "next(rows)\nraise SystemExit(3)", redis_server.url, env={"STATUSHUB_TENANT": "exit"})
        assert (ended.code, ended.err) == (3, "")
        assert store.status("c")["error_code"] == "cancelled"
    with running_redis(tmp_path, appendonly=False) as server:
        server.pause()
        ended = ran(TRACK + "next(rows)\nraise SystemExit(3)", server.url)
        assert (ended.code, ended.seconds < SHUTDOWN_SECONDS) == (3, True)
        server.kill()
        ended = ran(TRACK + "next(rows)\nraise SystemExit(3)", server.url)
        assert (ended.code, ended.seconds < SHUTDOWN_SECONDS) == (3, True)
        assert ended.err.count("states are kept") == 1


THREAD = """
import statushub, threading
main = threading.main_thread()
def toil():
    with statushub.work("thread", channel="jobs") as work:
        main.join()
        work.update(progress=90)
threading.Thread(target=toil).start()
"""


def test_a_thread_that_outlives_the_main_one_reports(hub: LiveHub) -> None:
    """Its work is complete: what is left is cancelled only when all threads have ended."""
    ended = ran(THREAD, hub.base_url)
    assert (ended.code, ended.err) == (0, "")
    assert held(hub.base_url)["thread"]["status"] == "complete"


NO_THREAD = """
import statushub, threading
def refuse(thread):
    raise RuntimeError("can't start new thread")
threading.Thread.start = refuse
for n in range(3):
    with statushub.work(f"none-{n}", channel="jobs") as work:
        work.update(progress=40)
print([*statushub.track(range(3), channel="jobs", content_id="none")])
try:
    statushub.SyncProducer().open().publish("none", channel="jobs", status="idle")
except statushub.BrokerUnavailable as error:
    print(error)
"""


def test_a_program_without_another_thread_runs(hub: LiveHub) -> None:
    """Where no thread can be started the work runs unreported, with one warning; `publish` says so."""
    ended = ran(NO_THREAD, hub.base_url)
    assert (ended.code, ended.out.splitlines()[0]) == (0, "[0, 1, 2]"), ended
    assert "no background thread" in ended.out
    assert ended.err.count("no background thread can be started") == 1


LOGGING = """
import logging, statushub
producer = statushub.SyncProducer().open()
work = producer.work("logged", channel="jobs").__enter__()
class Report(logging.Handler):
    def emit(self, record):
        if record.name.startswith("statushub"):
            work.update(line=record.getMessage())
            work.complete()
            try:
                producer.publish("other", channel="jobs", status="idle")
            except statushub.BrokerUnavailable:
                print("refused", flush=True)
logging.getLogger().addHandler(Report())
with statushub.work("away", channel="jobs", url="http://127.0.0.1:9"):
    pass
"""


def test_a_log_that_is_reported_blocks_nothing(hub: LiveHub) -> None:
    """A handler that reports what the background thread logs does not wait for that thread on itself."""
    ended = ran(LOGGING, hub.base_url)
    assert (ended.code, ended.seconds < SHUTDOWN_SECONDS) == (0, True), ended
    assert "refused" in ended.out
    assert "states are kept" in held(hub.base_url)["logged"]["line"]


def test_a_task_that_is_announced_is_not_cancelled(hub: LiveHub) -> None:
    """The program that puts it into a queue may end; what it has announced is delivered."""
    script = "import statushub\nstatushub.SyncProducer().open().announce('task', channel='jobs', status='pending')"
    ended = ran(script, hub.base_url)
    assert (ended.code, ended.err) == (0, "")
    assert held(hub.base_url)["task"]["processing_status"] == "pending"


def test_a_short_program_publishes(hub: LiveHub) -> None:
    """What a program of a moment has reported is there when it has ended."""
    ended = ran(
        "import statushub\nwith statushub.work('short', channel='jobs') as work:\n    work.update(progress=40)",
        hub.base_url,
    )
    assert (ended.code, ended.err) == (0, "")
    assert held(hub.base_url)["short"]["status"] == "complete"


def test_a_program_ends_without_its_hub() -> None:
    """It waits for its patience once, warns once, and ends with its own code."""
    script = TRACK + "next(rows)\nraise SystemExit(3)"
    ended = ran(script, f"http://127.0.0.1:{free_port()}")
    assert (ended.code, ended.seconds < SHUTDOWN_SECONDS) == (3, True)
    assert ended.err.count("cannot be reached") == 1


STALLED_RESOLVER = """
import socket, threading, time, statushub
# A resolver that never answers, as where packets are dropped.
socket.getaddrinfo = lambda *_, **__: threading.Event().wait()
began = time.monotonic()
for n in range(20):
    with statushub.work(f"c{n}", channel="jobs"):
        pass
print(time.monotonic() - began)
"""


def test_a_resolver_that_never_answers_costs_patience_once() -> None:
    """Twenty works and the program's end together wait for two seconds."""
    ended = ran(STALLED_RESOLVER, "http://hub.example:8000")
    assert ended.code == 0
    assert float(ended.out) < SHUTDOWN_SECONDS
    assert ended.seconds < SHUTDOWN_SECONDS


SIGNALLED = """
import statushub, time
with statushub.work("signalled", channel="jobs") as work:
    work.update(progress=40)
    print("begun", flush=True)
    time.sleep(60)
"""

HANDLED = """
import signal
def handler(*_):
    raise SystemExit(9)
signal.signal(signal.SIGTERM, handler)
"""


@pytest.mark.alone
@pytest.mark.parametrize(
    ("number", "before", "code"),
    [
        (signal.SIGTERM, "", -signal.SIGTERM),
        (signal.SIGTERM, HANDLED, 9),
        (signal.SIGINT, "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n", -signal.SIGINT),
    ],
    ids=["SIGTERM", "SIGTERM with a handler", "SIGINT"],
)
def test_a_signal_reports_the_work_as_cancelled(hub: LiveHub, number: signal.Signals, before: str, code: int) -> None:
    """The program ends as the signal ends it without Statushub, and the hub knows."""
    script = textwrap.dedent(before + SIGNALLED).replace("signalled", f"{number.name}-{bool(before)}")
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        env=environment({"STATUSHUB_URL": hub.base_url}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        eventually(lambda: f"{number.name}-{bool(before)}" in held(hub.base_url))
        process.send_signal(number)
        assert process.wait(SHUTDOWN_SECONDS) == code
    finally:
        process.kill()
        said = process.communicate()[1].decode()
    assert held(hub.base_url)[f"{number.name}-{bool(before)}"].get("error_code") == "cancelled", said


KILLED = """
import os, signal, statushub, time
from statushub import SyncProducer
import httpx, sys
with statushub.work("killed", channel="jobs", lease=1):
    while not any(
        content["content_id"] == "killed" and content["status"] == "generating"
        for content in httpx.get(f"{sys.argv[1]}/api/contents/jobs").json()["contents"]
    ):
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_worker_that_is_killed_before_its_first_update_stalls(hub: LiveHub) -> None:
    """Entering a work publishes it with its lease, and no longer shows the run before."""
    ran("import statushub\nwith statushub.work('killed', channel='jobs', result=7):\n    pass", hub.base_url)
    first = held(hub.base_url)["killed"]
    assert (first["status"], first["result"]) == ("complete", 7)
    assert ran(KILLED, hub.base_url, hub.base_url).code == -signal.SIGKILL
    status = becomes(hub.base_url, "killed", error_code="stalled")
    assert "result" not in status


def test_no_line_is_logged_for_a_publish(hub: LiveHub) -> None:
    """A program that logs at level info gets no line of the HTTP client."""
    script = "import logging\nlogging.basicConfig(level=logging.INFO)\n" + SIGNALLED.replace("time.sleep(60)", "pass")
    ended = ran(script.replace("signalled", "quiet"), hub.base_url)
    assert (ended.code, ended.err) == (0, "")
