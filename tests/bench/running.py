"""A running server of a measurement: started fresh, on a free loopback port, and ended by its pid."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec

from tests.bench import templates
from tests.bench.measure import SERVER_CORE, family, on_core
from tests.support.ports import wait_for_port
from tests.support.redis_server import RedisServer


def event_id(text: bytes) -> str | None:
    """The id of the last event of a stream."""
    ids: list[bytes] = re.findall(rb"^id: (.+?)\r?$", text, re.MULTILINE)
    return ids[-1].decode() if ids else None


class Running(msgspec.Struct, kw_only=True):
    """A running server. `path` has a `%s` for the channel; `ready` is what a stream sends once it has caught up, and
    `header` are lines of its request. Where `resume` is given, a stream gets its cursor by this path, whose second `%s`
    it is, and otherwise as Last-Event-ID; `cursor` is that of a stream's last event, None before one has come.

    With several `ports`, its streams are spread over them; `more` are further processes that serve them.
    """

    port: int
    process: subprocess.Popen[bytes]
    path: str
    template: Callable[[int], bytes]
    publish_port: int
    ready: str = ""
    header: str = ""
    resume: str = ""
    cursor: Callable[[bytes], str | None] = event_id
    redis: RedisServer | None = None
    more: tuple[int, ...] = ()
    ports: tuple[int, ...] = ()

    @property
    def pids(self) -> list[int]:
        """The processes of the server, without Redis."""
        return [pid for process in (self.process.pid, *self.more) for pid in family(process)]

    @property
    def redis_pids(self) -> list[int]:
        """The process of Redis, where there is one; it is reported separately."""
        return [self.redis.process.pid] if self.redis and self.redis.process else []


Start = Callable[[Path], AbstractContextManager[Running]]
"""Starts a server, with a folder of its own. Raises `Missing` where it is not installed."""


@contextlib.contextmanager
def running(
    *words: object, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    with on_core(SERVER_CORE):
        process = subprocess.Popen(
            [*map(str, words)], env=env, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def uvicorn(port: int, *words: object, env: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    quiet = ("--no-access-log", "--log-level", "warning")
    with running(sys.executable, "-m", "uvicorn", "--port", port, *quiet, *words, env=env) as process:
        wait_for_port(port, process)
        yield process


def plain(port: int, process: subprocess.Popen[bytes], publish: str = "/", *headers: str) -> Running:
    return Running(
        port=port,
        process=process,
        path="/%s",
        template=lambda padding: templates.post(f"{publish}{templates.CHANNEL}", templates.data(padding), *headers),
        publish_port=port,
    )
