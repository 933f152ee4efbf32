"""A work whose updates are shown, too."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Protocol, Self

from statushub.hub.model.cancel import CancelRequest
from statushub.hub.model.receipt import Refusal
from statushub.producers.step import Step


class RefusableWork(Protocol):
    """A work that tells whether the hub accepts it."""

    @property
    def refused(self) -> Refusal | None: ...

    async def cancelled(self) -> CancelRequest | None: ...

    def append(self, **fields: str | Sequence[Any]) -> None: ...

    async def update(self, status: str | None = None, /, **fields: Any) -> None: ...

    async def complete(self, **fields: Any) -> bool: ...

    async def fail(self, message: str | None = None, /, **fields: Any) -> bool: ...

    def step(self, name: str) -> Step: ...

    def log(self, message: object, level: str = "info") -> None: ...


class ObservedWork:
    """Passes each call on to a work, and shows its updates and log."""

    def __init__(
        self,
        work: AbstractAsyncContextManager[RefusableWork],
        show: Callable[[Mapping[str, Any]], None],
        note: Callable[[object], None],
    ) -> None:
        self._context = work
        self._show = show
        self._note = note
        self._work: RefusableWork | None = None
        self._grown: dict[str, Any] = {}

    @property
    def refused(self) -> Refusal | None:
        """Why the hub accepts nothing more of it; None where it does."""
        return self._work.refused if self._work else None

    async def __aenter__(self) -> Self:
        self._work = await self._context.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._context.__aexit__(kind, error, trace)

    async def cancelled(self) -> CancelRequest | None:
        return await self._entered().cancelled()

    def append(self, **fields: str | Sequence[Any]) -> None:
        for name, added in fields.items():
            self._grown[name] = added if name not in self._grown else self._grown[name] + added
        self._show({name: self._grown[name] for name in fields})
        self._entered().append(**fields)

    async def update(self, status: str | None = None, /, **fields: Any) -> None:
        self._grown.update((name, fields[name]) for name in self._grown.keys() & fields.keys())
        self._show(fields)
        await self._entered().update(status, **fields)

    async def complete(self, **fields: Any) -> bool:
        return await self._entered().complete(**fields)

    async def fail(self, message: str | None = None, /, **fields: Any) -> bool:
        return await self._entered().fail(message, **fields)

    def step(self, name: str) -> Step:
        return self._entered().step(name)

    def log(self, message: object, level: str = "info") -> None:
        self._note(message)
        self._entered().log(message, level)

    def _entered(self) -> RefusableWork:
        if self._work is None:
            raise RuntimeError("a work reports only within its `async with` block")
        return self._work
