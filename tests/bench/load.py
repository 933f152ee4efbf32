"""The load generator (load.c): compiled on demand, and controlled through pipes."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tests.bench.measure import LOAD_CORE, on_core

SOURCES = Path(__file__).parent


class Missing(Exception):
    """Raised where a program is not installed; the message says what to install."""


class Lost(Exception):
    """Raised where a measurement is invalid: events were lost, or came out of order."""


class Answer(msgspec.Struct, frozen=True):
    """The counts of the load generator during one command."""

    seconds: float
    open: int
    failed: int
    expected: int
    delivered: int
    disordered: int
    caught_up: int
    bytes: int
    refused: int
    refusal: str
    p50_us: float
    p90_us: float
    p99_us: float
    max_us: float

    def checked(self) -> Answer:
        """Return this answer if every event arrived, in order; raises `Lost` otherwise."""
        if self.delivered != self.expected or self.disordered or self.failed or self.refused:
            raise Lost(
                f"{self.expected - self.delivered} of {self.expected} deliveries missing, {self.disordered} out of "
                f"order, {self.failed} streams lost, {self.refused} requests refused {self.refusal}"
            )
        return self


def compiled(name: str, folder: Path) -> Path:
    """Compile the source `name` of this package into `folder`, once. Raises `Missing` where there is no compiler."""
    program = folder / f"{name}.out"
    if not program.exists():
        if shutil.which("cc") is None:
            raise Missing("a C compiler: apt-get install gcc libc6-dev")
        subprocess.run(["cc", "-O2", "-o", str(program), str(SOURCES / f"{name}.c")], check=True)
    return program


class Load:
    """A running load generator. Its commands are described in load.c."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    def ask(self, *words: object) -> Answer:
        """Give a command and return its answer. Raises `Lost` where the generator ended."""
        if self.process.stdin is None or self.process.stdout is None:
            raise RuntimeError("the load generator has no pipes")
        self.process.stdin.write(" ".join(map(str, words)).encode() + b"\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        try:
            return msgspec.json.decode(line, type=Answer)
        except msgspec.DecodeError as error:
            raise Lost(line.decode(errors="replace") or "the load generator died") from error


@contextlib.contextmanager
def loading(program: Path, **options: object) -> Iterator[Load]:
    """Run a load generator within the block; `options` are those of its command line."""
    words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    with on_core(LOAD_CORE):
        process = subprocess.Popen([str(program), *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield Load(process)
    finally:
        process.kill()
        process.communicate()
