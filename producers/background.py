"""The background thread of a process, whose event loop carries what the process reports.

A daemon thread: it never keeps the process alive, and what is waited for on it is waited for with a limit. Lookups of
names run in daemon threads too, because a resolver may not answer for minutes, and the interpreter's shutdown joins
the threads of asyncio's own executor.
"""

from __future__ import annotations

import asyncio
import encodings.idna  # noqa: F401 - the first lookup of a name would import it, in a thread that no fork waits for
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from functools import partial
from typing import Any, Final, TypeVar

from statushub.hub.model.errors import ConfigError

T = TypeVar("T")

START_SECONDS: Final = 2.0
"""How long the thread may take to start, on a machine that is busy."""

PAUSE_SECONDS: Final = 10.0
"""Longest wait of a fork for the thread to finish what it does: longer than its imports take beside threads that leave
it no time. Otherwise it stands still at once."""

logger = logging.getLogger(__name__)


class Background:
    """A thread with an event loop, started at the first use. Its methods may be called from any thread."""

    def __init__(self, started: Callable[[], object]) -> None:
        """`started` is called once, in the thread that makes the first use."""
        self._started = started
        self._lock = threading.RLock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._failed = False
        self._pid = os.getpid()
        self._resume: dict[int, threading.Event] = {}

    @property
    def inside(self) -> bool:
        """Whether the caller runs on the background thread, which may not wait for itself."""
        return self._thread is not None and self._thread.ident == threading.get_ident()

    def post(self, function: Callable[[], object]) -> bool:
        """Call `function` on the thread soon. False where there is no thread, or no longer."""
        # Daemon threads are frozen while the interpreter is torn down, with the locks that they hold.
        if sys.is_finalizing():
            return False
        loop = self._running()
        if loop is None:
            return False
        loop.call_soon_threadsafe(function)
        return True

    def submit(self, work: Callable[[], Coroutine[Any, Any, T]]) -> Future[T] | None:
        """Run a coroutine on the thread. None where there is no thread, or no longer."""
        if sys.is_finalizing():
            return None
        loop = self._running()
        return None if loop is None else asyncio.run_coroutine_threadsafe(work(), loop)

    def _running(self) -> asyncio.AbstractEventLoop | None:
        if self._loop is None:
            with self._lock:
                self._start()
        return self._loop

    def _start(self) -> None:
        if self._loop is not None or self._failed:
            return
        ready: Future[asyncio.AbstractEventLoop] = Future()
        try:
            self._thread = threading.Thread(target=_run, args=(ready,), name="statushub", daemon=True)
            self._thread.start()
            self._loop = ready.result(START_SECONDS)
        except (RuntimeError, OSError, TimeoutError) as error:
            # The limit of threads or of files is reached, or the interpreter is shutting down.
            self._failed = True
            logger.warning("no background thread can be started (%s); nothing is reported", type(error).__name__)
        else:
            os.register_at_fork(before=self._pause, after_in_parent=self._go_on)
            self._started()

    def _pause(self) -> None:
        """Let the thread stand still before a fork. In the middle of an import it would leave the child a module that
        is never finished, and in a library a lock that is never released."""
        if self._loop is None or self.inside or os.getpid() != self._pid or sys.is_finalizing():
            return
        paused, resume = threading.Event(), threading.Event()
        self._resume[threading.get_ident()] = resume

        def stand_still() -> None:
            paused.set()
            resume.wait(PAUSE_SECONDS)

        self._loop.call_soon_threadsafe(stand_still)
        paused.wait(PAUSE_SECONDS)

    def _go_on(self) -> None:
        resume = self._resume.pop(threading.get_ident(), None)
        if resume is not None:
            resume.set()


def waited(future: Future[T] | None, seconds: float | None) -> T | None:
    """The result of `future`, or None where there is none within `seconds`, by default without limit."""
    if future is None:
        return None
    try:
        return future.result(seconds)
    except (TimeoutError, CancelledError):
        return None


def require_threads() -> None:
    """Raise `ConfigError` where gevent or eventlet have replaced the threads by greenlets.

    An event loop in a greenlet would block all of them.
    """
    gevent, eventlet = sys.modules.get("gevent.monkey"), sys.modules.get("eventlet.patcher")
    if gevent is not None and gevent.is_module_patched("threading"):
        library = "gevent"
    elif eventlet is not None and eventlet.is_monkey_patched("thread"):
        library = "eventlet"
    else:
        return
    raise ConfigError(
        f"statushub needs a real thread, and {library} has replaced threads by greenlets: publish by HTTP "
        "(POST /api/publish), or from a process without monkey-patching",
        field="producer",
    )


class _Loop(asyncio.SelectorEventLoop):
    """An event loop that looks names up in daemon threads, each name once at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._lookups: dict[tuple[Any, ...], asyncio.Future[Any]] = {}

    async def getaddrinfo(self, *args: Any, **kwargs: Any) -> Any:
        key = (*args, *kwargs.items())
        if key not in self._lookups:
            self._lookups[key] = self.create_future()
            look_up = partial(self._look_up, key, partial(socket.getaddrinfo, *args, **kwargs))
            try:
                threading.Thread(target=look_up, name="statushub-dns", daemon=True).start()
            except RuntimeError:  # the interpreter is shutting down, which waits for no answer here
                look_up()
        return await asyncio.shield(self._lookups[key])

    def _look_up(self, key: tuple[Any, ...], function: Callable[[], Any]) -> None:
        try:
            answer, error = function(), None
        except Exception as failure:  # noqa: BLE001 - handed to what awaits it
            answer, error = None, failure
        self.call_soon_threadsafe(self._found, key, answer, error)

    def _found(self, key: tuple[Any, ...], answer: Any, error: Exception | None) -> None:
        future = self._lookups.pop(key)
        if error is None:
            future.set_result(answer)
        else:
            future.set_exception(error)
            future.exception()  # it may be awaited no longer


def _run(ready: Future[asyncio.AbstractEventLoop]) -> None:
    try:
        loop = _Loop()
    except OSError as error:
        ready.set_exception(error)
        return
    asyncio.set_event_loop(loop)
    loop.set_exception_handler(_unexpected)
    loop.call_soon(ready.set_result, loop)
    loop.run_forever()


def _unexpected(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    logger.debug("%s", context.get("message"), exc_info=context.get("exception"))
