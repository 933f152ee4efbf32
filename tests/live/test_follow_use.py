"""How programs use `follow` and `follow_sync`: loops that are left, cancelled and closed, threads, greenlets, forks."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from statushub import Contents, Follow, SyncFollow, follow, follow_sync
from statushub.producers.following.follow import plan
from statushub.producers.following.timing import Timing
from tests.support.command import environment
from tests.support.live import LiveHub, live_hub
from tests.support.ports import free_port
from tests.support.publishing import publish
from tests.support.script import ran
from tests.support.scripted_server import scripted_server, stream
from tests.support.waiting import eventually, until


@pytest.fixture
def hub() -> Iterator[LiveHub]:
    """A hub with one content."""
    with live_hub() as live:
        publish(live, "early", "generating", progress=40)
        yield live


def streams(hub: LiveHub) -> int:
    """How many streams are open."""
    return len(hub.hub.viewers)


@contextlib.contextmanager
def started_python(code: str, url: str) -> Iterator[subprocess.Popen[str]]:
    """A program for the block; the hub is in its environment, and its first argument."""
    with subprocess.Popen(
        [sys.executable, "-c", code, url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment({"STATUSHUB_URL": url}),
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_loop_that_is_left_closes_its_connection(hub: LiveHub) -> None:
    """In ordinary code without a block, too."""
    for change in follow_sync(hub.base_url, channels=["c"]):
        assert change.content_id == "early"
        assert streams(hub) == 1
        break
    eventually(lambda: streams(hub) == 0)


def test_a_block_goes_on_where_its_loop_was_left(hub: LiveHub) -> None:
    """And its end closes the connection."""
    with follow_sync(hub.base_url, channels=["c"]) as changes:
        told = [next(iter(changes)).type for _ in range(2)]
        assert told == ["content_status_update", "ready"]
        assert streams(hub) == 1
    eventually(lambda: streams(hub) == 0)
    assert list(changes) == []


def test_an_asynchronous_loop_that_is_left_closes_its_connection(hub: LiveHub) -> None:
    """Soon after; no task is left."""

    async def leave() -> None:
        async for change in follow(hub.base_url, channels=["c"]):
            assert change.content_id == "early"
            break
        await until(lambda: streams(hub) == 0)
        gc.collect()
        await until(lambda: asyncio.all_tasks() == {asyncio.current_task()})

    asyncio.run(leave())


def test_an_asynchronous_block_goes_on_where_its_loop_was_left(hub: LiveHub) -> None:
    """And its end closes the connection, whatever ends it."""

    async def fail(changes: Follow) -> None:
        async with changes:
            told = [(await anext(aiter(changes))).type for _ in range(2)]
            assert told == ["content_status_update", "ready"]
            raise ZeroDivisionError

    async def leave() -> None:
        changes = follow(hub.base_url, channels=["c"])
        with pytest.raises(ZeroDivisionError):
            await fail(changes)
        assert [change async for change in changes] == []
        await until(lambda: streams(hub) == 0)

    asyncio.run(leave())


@pytest.mark.parametrize("away", [False, True], ids=["streaming", "pausing"])
def test_a_cancelled_task_ends_immediately(hub: LiveHub, away: bool) -> None:
    """While it waits for a change, and while it waits for the hub."""
    url = f"http://127.0.0.1:{free_port()}" if away else hub.base_url

    async def wait(told: asyncio.Event) -> None:
        async with follow(url, channels=["c"]) as changes:
            told.set()
            async for _ in changes:
                pass

    async def cancel() -> None:
        told = asyncio.Event()
        task = asyncio.create_task(wait(told))
        await told.wait()
        await until(lambda: away or streams(hub) == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(cancel())
    eventually(lambda: streams(hub) == 0)


@pytest.mark.parametrize("away", [False, True], ids=["streaming", "pausing"])
def test_a_loop_is_closed_from_another_thread(hub: LiveHub, away: bool) -> None:
    """It ends as if there were no more changes, while it waits for one, and while it waits for the hub."""
    url = f"http://127.0.0.1:{free_port()}" if away else hub.base_url
    ended: list[int] = []
    with follow_sync(url, channels=["c"]) as changes:
        thread = threading.Thread(target=lambda: ended.append(len(list(changes))))
        thread.start()
        eventually(lambda: away or streams(hub) == 1)
        changes.close()
        thread.join(20)
        changes.close()
    assert ended in ([0], [1], [2])
    eventually(lambda: streams(hub) == 0)


def test_a_loop_that_waits_for_a_silent_stream_is_closed_immediately() -> None:
    """Not when the next byte comes, or when the stream counts as dead: its socket is shut down."""
    ready = stream('event: ready\ndata: {"cursor": "k3f9a2-5", "heartbeat_ms": 16000}\n\n', stays=True)
    told: list[str] = []
    with scripted_server(ready) as script:
        made = replace(plan(script.url, channels="c"), timing=Timing(silence=40.0))
        changes = SyncFollow(made).__enter__()
        thread = threading.Thread(target=lambda: told.extend(change.type for change in changes))
        thread.start()
        eventually(lambda: told)
        changes.close()
        thread.join(20)
        assert not thread.is_alive()


def test_ordinary_code_may_run_within_an_event_loop(hub: LiveHub) -> None:
    """As in a notebook: it blocks, and needs no loop of its own."""

    async def read() -> dict[str, object]:
        contents = Contents(follow_sync(hub.base_url, channels=["c"]))
        for _ in contents.changes():
            if contents.ready:
                break
        return dict(contents["c"]["early"])

    assert asyncio.run(read())["progress"] == 40


GREENLETS = """
    {patch}
    import sys
    import {library}
    from statushub import follow_sync

    told = []

    def other():
        while "ready" not in told:
            {library}.sleep(0.01)
        print("other", flush=True)

    {library}.spawn(other)
    for change in follow_sync(sys.argv[1], channels=["c"]):
        told.append(change.type)
        if change.content_id == "late":
            break
"""


@pytest.mark.parametrize(
    ("library", "patch"),
    [
        ("gevent", "from gevent import monkey; monkey.patch_all()"),
        ("eventlet", "import warnings; warnings.simplefilter('ignore'); import eventlet; eventlet.monkey_patch()"),
    ],
    ids=["gevent", "eventlet"],
)
def test_greenlets_run_while_one_follows(hub: LiveHub, library: str, patch: str) -> None:
    """There is no thread of its own: the patched socket lets the others run while it waits for a change."""
    code = textwrap.dedent(GREENLETS.format(library=library, patch=patch))
    with started_python(code, hub.base_url) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "other\n"
        publish(hub, "late", "complete")
        out, err = process.communicate(timeout=20)
    assert (out, process.returncode) == ("", 0), err


def test_a_forked_process_follows(hub: LiveHub) -> None:
    """Also where its parent did."""
    ended = ran(
        """
        import os, sys
        from statushub import follow_sync

        def first():
            for change in follow_sync(channels=["c"]):
                return change.content_id

        print(first(), flush=True)
        pid = os.fork()
        if pid == 0:
            print(first(), flush=True)
            os._exit(0)
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        """,
        hub.base_url,
    )
    assert (ended.code, ended.out, ended.err) == (0, "early\nearly\n", "")


def test_ctrl_c_ends_a_program(hub: LiveHub) -> None:
    """While it waits for a change."""
    code = """
    from statushub import follow_sync
    try:
        for change in follow_sync(channels=["c"]):
            print(change.type, flush=True)
    except KeyboardInterrupt:
        print("interrupted")
    """
    with started_python(textwrap.dedent(code), hub.base_url) as process:
        assert process.stdout is not None
        assert [process.stdout.readline().strip() for _ in range(2)] == ["content_status_update", "ready"]
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=20)
    assert (out, process.returncode) == ("interrupted\n", 0)


def test_an_outage_is_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    """However often it is tried, and no line of the HTTP client."""
    port = free_port()
    caplog.set_level(logging.INFO)
    told: list[str] = []
    with follow_sync(f"http://127.0.0.1:{port}", channels=["c"]) as changes:
        thread = threading.Thread(target=lambda: told.extend(change.type for change in changes))
        thread.start()
        eventually(lambda: caplog.records)
        with live_hub(port=port):
            eventually(lambda: "ready" in told)
            changes.close()
            thread.join(20)
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert warnings == [
        f"http://127.0.0.1:{port} cannot be reached: Connection refused; trying again until it is back, and no change "
        "is lost"
    ]
    assert [record.name for record in caplog.records if record.name.startswith("http")] == []
