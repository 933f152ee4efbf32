"""One measurement: a fresh server and load generator, and the cost of an interval."""

from __future__ import annotations

import contextlib
import itertools
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tests.bench.load import Answer, Load, compiled, loading
from tests.bench.measure import PROFILED, VIRTUAL, SystemCalls, cpu_seconds, pss_bytes, switches
from tests.bench.running import Running, Start


class Cost(msgspec.Struct, frozen=True):
    """The cost of an interval: CPU seconds of the server and of Redis, and the server's voluntary context switches.

    `user` is the part of `cpu` outside of the kernel, as a share that the kernel's timer sampled.
    """

    answer: Answer
    cpu: float
    user: float
    redis_cpu: float
    switches: int
    seconds: float


class Session:
    """A running server during its measurement."""

    def __init__(self, server: Running, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self._numbers = itertools.count()
        self._stack = contextlib.ExitStack()
        self.fresh_bytes = self.memory()

    def load(
        self, *, channels: int = 1, contents: int | None = None, template: bytes | None = None, path: str = ""
    ) -> Load:
        """Start a load generator against the server; it runs until the session ends. With a `path`, each of its viewers
        follows every channel by it."""
        file = self.folder / f"template-{next(self._numbers)}"
        file.write_bytes(template or self.server.template(0))
        options = {
            "port": ",".join(map(str, self.server.ports or (self.server.port,))),
            "publish_port": self.server.publish_port,
            "path": path or self.server.path,
            "resume": self.server.resume,
            "spanning": int(bool(path)),
            "ready": self.server.ready,
            "header": self.server.header,
            "template": file,
            "channels": channels,
            "contents": contents or channels,
        }
        return self._stack.enter_context(loading(compiled("load", self.folder.parent), **options))

    def poller(self, request: bytes) -> Load:
        """Start a load generator that polls the server with this request."""
        file = self.folder / f"template-{next(self._numbers)}"
        file.write_bytes(request)
        program = compiled("load", self.folder.parent)
        return self._stack.enter_context(loading(program, port=self.server.port, template=file))

    def memory(self) -> int:
        """Proportional set size of the server, in bytes."""
        return pss_bytes(self.server.pids)

    def cost(self, load: Load, *words: object) -> Cost:
        """Give the load generator a command; returns its cost, from the command to the answer."""
        pids, redis = self.server.pids, self.server.redis_pids
        began, before, redis_before, waits = time.monotonic(), cpu_seconds(pids), cpu_seconds(redis), switches(pids)
        sampled, user = cpu_seconds(pids, PROFILED), cpu_seconds(pids, VIRTUAL)
        answer = load.ask(*words)
        cpu = cpu_seconds(pids) - before
        sampled, user = cpu_seconds(pids, PROFILED) - sampled, cpu_seconds(pids, VIRTUAL) - user
        return Cost(
            answer=answer,
            cpu=cpu,
            user=cpu * user / sampled if sampled else cpu,
            redis_cpu=cpu_seconds(redis) - redis_before,
            switches=switches(pids) - waits,
            seconds=time.monotonic() - began,
        )

    def system_calls(self, load: Load, *words: object) -> tuple[Answer, int]:
        """Give the load generator a command; returns the answer and the number of the server's system calls."""
        counter = SystemCalls(self.server.pids, self.folder)
        try:
            answer = load.ask(*words)
        finally:
            calls = counter.stop()
        return answer, calls

    def broker_reads(self) -> int:
        """How many functions Redis has run so far; 0 without Redis."""
        if self.server.redis is None:
            return 0
        said = self.server.redis.command("info", "commandstats")
        return sum(map(int, re.findall(r"cmdstat_fcall(?:_ro)?:calls=(\d+)", said)))

    def close(self) -> None:
        """End the load generators."""
        self._stack.close()


@contextlib.contextmanager
def session(start: Start, programs: Path) -> Iterator[Session]:
    """Run a fresh server within the block. `programs` is the folder of compiled programs."""
    with tempfile.TemporaryDirectory(dir=programs) as name, start(Path(name)) as server:
        opened = Session(server, Path(name))
        try:
            yield opened
        finally:
            opened.close()
