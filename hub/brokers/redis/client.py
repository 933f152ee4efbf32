"""Sends commands and function calls to Redis, each within a deadline, and loads the functions where they are missing.

A command is never sent twice, with one exception: a server that lacks the functions has executed nothing. A call that
raises `BrokerUnavailable` may have been executed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final, Protocol, TypeVar

import anyio
from redis.exceptions import ReadOnlyError, ResponseError

from statushub.hub.brokers.redis import commands
from statushub.hub.brokers.redis.errors import reported
from statushub.hub.brokers.redis.topology import Command, Topology, load_functions
from statushub.hub.model.errors import BrokerUnavailable

DEADLINE_SECONDS: Final = 5.0
"""For a server to answer: longer than a slow command or a lost packet takes, shorter than people wait for a page."""

CONCURRENT_COMMANDS: Final = 32
"""Commands in flight: Redis executes one at a time, so that more would only wait there instead of here."""

PIPELINE_COMMANDS: Final = 500
"""Commands in one pipeline: few enough to be answered within the deadline many times over."""

STALE_SECONDS: Final = 10.0
"""Idle time after which a call uses a new connection. The server, or a firewall between, may have dropped the old one
without a word; it is found out only by a call whose answer never comes, and that is not sent twice."""

T = TypeVar("T")


class FunctionCall(Protocol):
    """A call of a function, of any library."""

    @property
    def keys(self) -> Sequence[str]:
        """Its keys, of which the first names the slot."""

    @property
    def command(self) -> Command:
        """The command and its arguments."""


class Client:
    """Commands to the servers of one topology. Methods raise `BrokerUnavailable`."""

    losses: int
    """How often the server failed, or lacked the functions: after that it may have lost data."""

    asked: int
    """Commands in flight, and those that wait for one of `CONCURRENT_COMMANDS` to be answered."""

    def __init__(
        self,
        topology: Topology,
        *,
        deadline: float = DEADLINE_SECONDS,
        demoted: Callable[[str], None] | None = None,
        load: Callable[[Topology], Awaitable[None]] = load_functions,
    ) -> None:
        """`deadline` is in seconds. `demoted` is called with a reason when the server turns out to be a replica. `load`
        loads the functions that are called."""
        self.losses = 0
        self.asked = 0
        self._topology = topology
        self._deadline = deadline
        self._demoted = demoted
        self._load = load
        self._in_flight = asyncio.Semaphore(CONCURRENT_COMMANDS)
        self._used_at = time.monotonic()

    @property
    def root(self) -> str:
        """What every key begins with."""
        return self._topology.root

    @property
    def where(self) -> str:
        """The server's address, without secrets."""
        return self._topology.where

    async def load(self) -> None:
        """Load the functions into every server that has none, or older ones."""
        await self.ask(self._load)

    async def execute(self, key: str, command: Command) -> Any:
        """Execute a command on the server that holds `key`."""
        return await self.ask(lambda topology: topology.execute(key, command))

    async def execute_all(self, commands: Sequence[tuple[str, Command]]) -> list[Any]:
        """Execute commands, each with the key that names its server; an answer may be an exception."""
        answers: list[Any] = []
        for start in range(0, len(commands), PIPELINE_COMMANDS):
            answers += await self.ask(partial(_pipeline, commands[start : start + PIPELINE_COMMANDS]))
        return answers

    async def call(self, call: FunctionCall) -> Any:
        """Call a function of the library."""
        return await self.execute(call.keys[0], call.command)

    async def call_all(self, calls: Sequence[FunctionCall]) -> list[Any]:
        """Call functions; an answer may be an exception."""
        return await self.execute_all([(call.keys[0], call.command) for call in calls])

    async def ask(self, question: Callable[[Topology], Awaitable[T]]) -> T:
        """Await `question` within the deadline. It is asked a second time where the functions were missing or older."""
        self.asked += 1
        try:
            with reported(self.where):
                async with asyncio.timeout(self._deadline), self._in_flight:
                    if time.monotonic() - self._used_at > STALE_SECONDS:
                        await self._topology.reconnect()
                    self._used_at = time.monotonic()
                    return await self._with_functions(question)
        except BrokerUnavailable as error:
            self.losses += 1
            if isinstance(error.__cause__, ReadOnlyError):
                await self._topology.reconnect()
                if self._demoted is not None:
                    self._demoted(error.message)
            raise
        finally:
            self.asked -= 1

    async def aclose(self) -> None:
        """Close the connections."""
        with anyio.CancelScope(shield=True):
            await self._topology.aclose()

    async def _with_functions(self, question: Callable[[Topology], Awaitable[T]]) -> T:
        try:
            return await question(self._topology)
        except ResponseError as error:
            if commands.MISSING not in str(error) and commands.FORMER_FORM not in str(error):
                raise
        self.losses += 1
        await self._load(self._topology)
        return await question(self._topology)


async def _pipeline(batch: Sequence[tuple[str, Command]], topology: Topology) -> list[Any]:
    answers = await topology.execute_all(batch)
    for answer in answers:
        if isinstance(answer, ReadOnlyError) or (isinstance(answer, ResponseError) and commands.MISSING in str(answer)):
            raise answer
    return answers
