"""The load generator (load.c), compiled on the spot, from Python."""

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
    """Something is not installed; says what to install."""


class Lost(Exception):
    """The measurement is worth nothing: events were lost, or came out of order."""


class Answer(msgspec.Struct, frozen=True):
    """What the load generator counted during one command."""

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
        """This, where everything arrived and in order; else raises `Lost`."""
        if self.delivered != self.expected or self.disordered or self.failed or self.refused:
            raise Lost(
                f"{self.expected - self.delivered} of {self.expected} deliveries missing, {self.disordered} out of "
                f"order, {self.failed} streams lost, {self.refused} requests refused {self.refusal}"
            )
        return self


def compiled(name: str, folder: Path) -> Path:
    """The program made of a source here, in `folder`. Raises `Missing` where there is no compiler."""
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
        """Give a command and return its answer. Raises `Lost` where the generator gave up."""
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
    """A load generator for the time of the block; `options` are those of its command line."""
    words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    with on_core(LOAD_CORE):
        process = subprocess.Popen([str(program), *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield Load(process)
    finally:
        process.kill()
        process.communicate()
