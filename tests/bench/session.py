"""One measurement: a competitor and a load generator, both fresh, and what an interval costs."""

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
from tests.bench.measure import SystemCalls, cpu_seconds, pss_bytes, switches
from tests.bench.servers import Running, Start


class Cost(msgspec.Struct, frozen=True):
    """What an interval cost: processor seconds of the server and of Redis, and the server's waits."""

    answer: Answer
    cpu: float
    redis_cpu: float
    switches: int
    seconds: float


class Session:
    """A competitor that serves, for as long as it is measured."""

    def __init__(self, server: Running, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self._numbers = itertools.count()
        self._stack = contextlib.ExitStack()
        self.fresh_bytes = self.memory()

    def load(self, *, channels: int = 1, contents: int | None = None, template: bytes | None = None) -> Load:
        """A load generator against the server, until the session's end."""
        file = self.folder / f"template-{next(self._numbers)}"
        file.write_bytes(template or self.server.template(0))
        options = {
            "port": self.server.port,
            "publish_port": self.server.publish_port,
            "path": self.server.path,
            "ready": self.server.ready,
            "template": file,
            "channels": channels,
            "contents": contents or channels,
        }
        return self._stack.enter_context(loading(compiled("load", self.folder.parent), **options))

    def poller(self, request: bytes) -> Load:
        """A load generator that polls the server's own port with this request."""
        file = self.folder / f"template-{next(self._numbers)}"
        file.write_bytes(request)
        program = compiled("load", self.folder.parent)
        return self._stack.enter_context(loading(program, port=self.server.port, template=file))

    def memory(self) -> int:
        """Proportional memory of the server, in bytes."""
        return pss_bytes(self.server.pids)

    def cost(self, load: Load, *words: object) -> Cost:
        """Give the command; what the server used from its first byte to its last."""
        pids, redis = self.server.pids, self.server.redis_pids
        began, before, redis_before, waits = time.monotonic(), cpu_seconds(pids), cpu_seconds(redis), switches(pids)
        answer = load.ask(*words)
        return Cost(
            answer=answer,
            cpu=cpu_seconds(pids) - before,
            redis_cpu=cpu_seconds(redis) - redis_before,
            switches=switches(pids) - waits,
            seconds=time.monotonic() - began,
        )

    def system_calls(self, load: Load, *words: object) -> tuple[Answer, int]:
        """Give the command; how many system calls the server made meanwhile."""
        counter = SystemCalls(self.server.pids, self.folder)
        try:
            answer = load.ask(*words)
        finally:
            calls = counter.stop()
        return answer, calls

    def broker_reads(self) -> int:
        """How many functions Redis was asked so far; 0 where there is no Redis."""
        if self.server.redis is None:
            return 0
        said = self.server.redis.command("info", "commandstats")
        return sum(map(int, re.findall(r"cmdstat_fcall(?:_ro)?:calls=(\d+)", said)))

    def close(self) -> None:
        """End the load generators."""
        self._stack.close()


@contextlib.contextmanager
def session(start: Start, programs: Path) -> Iterator[Session]:
    """A fresh competitor for the time of the block. `programs` is where compiled programs are kept."""
    with tempfile.TemporaryDirectory(dir=programs) as name, start(Path(name)) as server:
        opened = Session(server, Path(name))
        try:
            yield opened
        finally:
            opened.close()
