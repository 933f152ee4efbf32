"""Programs that fork, in every way that Python has. Each in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.live import LiveHub, live_hub
from tests.support.script import held, ran


@pytest.fixture(scope="module")
def hub() -> Iterator[LiveHub]:
    with live_hub() as hub:
        yield hub


OS_FORK = """
import os, sys
from statushub import SyncProducer
with SyncProducer() as producer:
    with producer.work("parent", channel="jobs") as work:
        work.update(progress=1)
        child = os.fork()
        if child == 0:
            with producer.work("child", channel="jobs") as own:
                own.update(progress=2)
            work.update(progress=50)
            work.update(progress=51)
            assert not work.complete()
            sys.exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        work.update(progress=90)
"""


def test_a_forked_child_begins_anew(hub: LiveHub) -> None:
    """A producer can be used in the child; the parent's work does nothing there, with one warning."""
    ended = ran(OS_FORK, hub.base_url)
    assert ended.code == 0, ended
    assert ended.err.count("before a fork") == 1
    statuses = held(hub.base_url)
    assert (statuses["child"]["status"], statuses["child"]["progress"]) == ("complete", 100)
    assert (statuses["parent"]["status"], statuses["parent"]["progress"]) == ("complete", 100)


MULTIPROCESSING = """
import multiprocessing, sys
import statushub
from statushub import track

def toil(n):
    with statushub.work(f"{sys.argv[1]}-{n}", channel="jobs") as work:
        work.update(progress=50)
    left = statushub.work(f"{sys.argv[1]}-left-{n}", channel="jobs")
    left.__enter__()
    statushub.kept = left

if __name__ == "__main__":
    with statushub.work(f"{sys.argv[1]}-main", channel="jobs"):
        context = multiprocessing.get_context(sys.argv[1])
        children = [context.Process(target=toil, args=(n,)) for n in range(3)]
        for child in children:
            child.start()
        for child in children:
            child.join()
        print([child.exitcode for child in children])
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_of_multiprocessing_report(
    hub: LiveHub, tmp_path_factory: pytest.TempPathFactory, method: str
) -> None:
    """Their works are complete, and those that they leave are cancelled; each ends with its own code."""
    path = tmp_path_factory.mktemp("script") / "script.py"
    path.write_text(MULTIPROCESSING)
    runner = "import runpy, sys\nsys.argv = sys.argv[1:]\n"
    ended = ran(
        runner + f"sys.argv = [{str(path)!r}, *sys.argv]\nrunpy.run_path({str(path)!r}, run_name='__main__')",
        hub.base_url,
        method,
    )
    assert (ended.code, ended.out.strip()) == (0, "[0, 0, 0]"), ended
    statuses = held(hub.base_url)
    assert {statuses[f"{method}-{name}"]["status"] for name in ("main", 0, 1, 2)} == {"complete"}
    assert {statuses[f"{method}-left-{n}"]["error_code"] for n in range(3)} == {"cancelled"}


POOL = """
import multiprocessing
import statushub

def toil(n):
    # With time for a fork on a machine that is busy with other tests.
    with statushub.work(f"pool-{n}", channel="jobs", patience=20) as work:
        work.update(progress=50)
    return n

with statushub.work("pool-main", channel="jobs", patience=20):
    with multiprocessing.get_context("fork").Pool(2) as pool:
        print(sum(pool.map(toil, range(10))))
"""


def test_a_pool_of_processes_reports(hub: LiveHub) -> None:
    """Works in a pool that was forked under a work are complete."""
    ended = ran(POOL, hub.base_url)
    assert (ended.code, ended.out) == (0, "45\n"), ended
    assert {held(hub.base_url)[f"pool-{n}"]["status"] for n in [*range(10), "main"]} == {"complete"}


PRELOAD = """
import os, signal, sys, threading
import statushub
# As `gunicorn --preload`: the application is imported, and opens its producer, before the workers are forked, while
# other threads of it report.
# With time for twenty processes on a machine that is busy with other tests.
producer = statushub.SyncProducer(patience=20).open()
work = producer.work("preload-master", channel="jobs").__enter__()
stop = threading.Event()
def toil():
    n = 0
    while not stop.is_set():
        n += 1
        work.update(n=n)
reporter = threading.Thread(target=toil)
reporter.start()
children = []
for n in range(20):
    child = os.fork()
    if child == 0:
        with producer.work(f"preload-{n}", channel="jobs"):
            pass
        producer.close()
        sys.exit(0)
    children.append(child)
codes = {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children}
stop.set()
reporter.join()
work.complete()
print(codes)
"""


def test_workers_that_are_forked_from_a_busy_master_report(hub: LiveHub) -> None:
    """No lock that another thread held at the fork blocks a child."""
    ended = ran(PRELOAD, hub.base_url)
    assert (ended.code, ended.out) == (0, "{0}\n"), ended
    assert {held(hub.base_url)[f"preload-{n}"]["status"] for n in [*range(20), "master"]} == {"complete"}


GENERATOR = """
import os, sys
from statushub import track
rows = track(range(4), channel="jobs", content_id="generator")
next(rows)
if os.fork() == 0:
    print(list(rows), flush=True)
    sys.exit(0)
os.wait()
print(list(rows))
"""


def test_a_loop_that_is_inherited_goes_on_unreported(hub: LiveHub) -> None:
    """The child gets all items; only the parent's loop is reported."""
    ended = ran(GENERATOR, hub.base_url)
    assert (ended.code, ended.out) == (0, "[1, 2, 3]\n[1, 2, 3]\n"), ended
    status = held(hub.base_url)["generator"]
    assert (status["status"], status["done"]) == ("complete", 4)
