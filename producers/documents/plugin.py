"""Counts by a function of the program's own: `async def count(keyword) -> Mapping[str, int]`."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Awaitable, Callable, Mapping
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Self

from statushub.hub.model.errors import ConfigError
from statushub.producers.documents.counter import Counter, checked


class PluginCounter:
    """The function `name`, such as `app.search:count`. What it raises fails a try; `statushub.jobs.PermanentFailure`
    fails the keyword."""

    def __init__(self, name: str) -> None:
        """Raises `ConfigError` where there is no such function."""
        module, _, function = name.partition(":")
        if (here := str(Path.cwd())) not in sys.path:
            sys.path.insert(0, here)
        try:
            found = getattr(import_module(module), function)
        except Exception as error:
            raise ConfigError(f"{name!r} cannot be imported: {error!r}", field="documents_counter") from error
        if not inspect.iscoroutinefunction(found):
            raise ConfigError(f"{name!r} must be an asynchronous function: async def", field="documents_counter")
        self._name = name
        self._count: Callable[[str], Awaitable[Mapping[str, int]]] = found

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    @property
    def calls(self) -> int:
        return 1

    async def source(self) -> str:
        return f"function:{self._name}"

    async def count(self, keyword: str) -> Mapping[str, int]:
        return checked(await self._count(keyword))


def _fits(counter: PluginCounter) -> Counter:
    return counter
