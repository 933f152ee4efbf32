"""A follower in a thread of the test, over either link, and all that it is told."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from statushub.hub.model.errors import StatushubError
from statushub.producers.following.change import Change
from statushub.producers.following.follow import Follow, Plan, SyncFollow, plan
from statushub.producers.following.timing import Timing
from tests.support.waiting import eventually

KINDS: Final = ("asyncio", "blocking")

QUICK: Final = Timing(retry=0.2, retry_max=1.0, poll=0.05, poll_channel=0.01, probe=3.0, probe_max=3.0)
"""Pauses that a test can wait for."""

END_SECONDS: Final = 20.0

_encode = msgspec.json.Encoder().encode


class Heard:
    """What an `Observer` hears, in order: its method and the sentence."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.said]

    def paused(self, sentence: str) -> None:
        self.said.append(("paused", sentence))

    def lost(self, error: StatushubError) -> None:
        self.said.append(("lost", error.message))

    def back(self) -> None:
        self.said.append(("back", ""))

    def polling(self, error: StatushubError) -> None:
        self.said.append(("polling", error.message))

    def limited(self, sentence: str) -> None:
        self.said.append(("limited", sentence))

    def misfit(self, content_id: str) -> None:
        self.said.append(("misfit", content_id))


class Following:
    """Follows the plan until it is closed. Also a `Running` program of tests/live/clients, which prints changes."""

    def __init__(self, kind: str, made: Plan) -> None:
        self.heard = Heard()
        self.changes: list[Change] = []
        self.error: BaseException | None = None
        """What the loop has raised."""
        self.tasks: set[str] = set()
        """The tasks that are left in the end."""
        self._plan = msgspec.structs.replace(made, observer=self.heard)
        self._end: Callable[[], object] = lambda: None
        self._begun = threading.Event()
        self._thread = threading.Thread(target=self._follow if kind == "blocking" else self._run)
        self._thread.start()
        assert self._begun.wait(END_SECONDS)

    def close(self) -> None:
        """End the loop, and wait for its thread."""
        self._end()
        self._thread.join(END_SECONDS)
        assert not self._thread.is_alive()
        assert self.tasks == set()

    @property
    def told(self) -> list[tuple[str, str]]:
        """Type, and content or nothing, of each change."""
        return [(change.type, change.content_id) for change in self.changes]

    @property
    def contents(self) -> list[str]:
        """The contents of the changes, in order."""
        return [change.content_id for change in self.changes if change.content_id]

    def until(self, type: str = "", content_id: str = "", *, count: int = 1, **data: Any) -> Change:
        """The last of the first `count` changes that have these fields."""

        def found() -> list[Change]:
            self._check()
            return [
                change
                for change in list(self.changes)
                if type in ("", change.type)
                and content_id in ("", change.content_id)
                and data.items() <= change.data.items()
            ]

        eventually(lambda: len(found()) >= count)
        return found()[count - 1]

    def raised(self) -> BaseException:
        """What ends the loop."""
        error = eventually(lambda: self.error)
        assert error is not None
        return error

    def lines(self) -> list[str]:
        return [f"{change.type} {_encode(change.data).decode()}" for change in list(self.changes)]

    def trouble(self) -> str:
        return f"{self.heard.said} {self.error!r}"

    def _check(self) -> None:
        if self.error is not None:
            raise AssertionError("the loop has ended") from self.error

    def _follow(self) -> None:
        with SyncFollow(self._plan) as changes:
            self._end = changes.close
            self._begun.set()
            try:
                for change in changes:
                    self.changes.append(change)
            except Exception as error:  # noqa: BLE001 - the test looks at it
                self.error = error

    def _run(self) -> None:
        asyncio.run(self._main())

    async def _main(self) -> None:
        loop, looping = asyncio.get_running_loop(), asyncio.ensure_future(self._loop())

        def end() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(looping.cancel)

        self._end = end
        self._begun.set()
        await asyncio.wait([looping])
        # Those that asyncio makes to close generators end by themselves.
        gc.collect()
        for _ in range(10):
            await asyncio.sleep(0)
        self.tasks = {repr(task) for task in asyncio.all_tasks() - {asyncio.current_task()}}

    async def _loop(self) -> None:
        try:
            async with Follow(self._plan) as changes:
                async for change in changes:
                    self.changes.append(change)
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self.error = error


@contextlib.contextmanager
def following(kind: str, url: str, *, timing: Timing = QUICK, **options: Any) -> Iterator[Following]:
    """A follower for the block; `options` are those of `follow`."""
    made = msgspec.structs.replace(plan(url, **options), timing=timing)
    running = Following(kind, made)
    try:
        yield running
    finally:
        running.close()
