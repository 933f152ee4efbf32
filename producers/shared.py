"""What the producers of one process share: the background thread, and a sender for each target.

A process that was forked shares nothing with its parent, whose thread it does not have: it begins anew.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import time
from concurrent.futures import Future
from functools import partial
from types import FrameType
from typing import Final

from statushub.producers.address import Target
from statushub.producers.background import Background, waited
from statushub.producers.sender import Sender

EXIT_SECONDS: Final = 2.0
"""Longest time for which an exiting process reports what is left."""

TERM_SECONDS: Final = 2.0
"""Longest time for which SIGTERM is answered with reports: orchestrators kill after 10 s, and service managers sooner
where they are told to."""


class Shared:
    """The background thread and the senders of this process."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.background = Background(self._started)
        self._lock = threading.RLock()
        self._senders: dict[Target, Sender] = {}

    def acquire(self, target: Target) -> Sender:
        """The sender for `target`, to be released."""
        with self._lock:
            sender = self._senders.get(target)
            if sender is None:
                sender = self._senders[target] = Sender(target, self.background)
                self.background.post(sender.start)
            sender.users += 1
            return sender

    def release(self, sender: Sender) -> None:
        """Give a sender back. It stays until everything is delivered."""
        with self._lock:
            sender.users -= 1
            if not sender.users and not sender.retiring:
                sender.retiring = True
                self.background.submit(partial(self._retire, sender))

    def end(self, seconds: float = EXIT_SECONDS) -> None:
        """Report the open works as cancelled, and wait for what is left at most `seconds`, less what an outage took."""
        if os.getpid() != self.pid or self.background.inside:
            return
        until = time.monotonic() + seconds
        endings: list[Future[None] | None] = [
            self.background.submit(partial(sender.end, seconds)) for sender in [*self._senders.values()]
        ]
        for ending in endings:
            waited(ending, max(until - time.monotonic(), 0.0) + 0.1)

    async def _retire(self, sender: Sender) -> None:
        await sender.emptied()
        with self._lock:
            sender.retiring = False
            if sender.users or self._senders.get(sender.target) is not sender:
                return
            del self._senders[sender.target]
        await sender.aclose()

    def _started(self) -> None:
        atexit.register(self.end)
        process = sys.modules.get("multiprocessing.process")
        if process is not None and process.parent_process() is not None:
            # A child of multiprocessing may end without atexit. The lowest priority: after the children's own.
            sys.modules["multiprocessing.util"].Finalize(None, self.end, exitpriority=-1)
        if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, _terminated)


_processes: Final[dict[int, Shared]] = {}
# Keyed by process, so that a fork needs neither a hook nor a lock. A child keeps its parent's entry: to collect it
# would take the parent's connections out of the epoll set that both have.


def shared() -> Shared:
    """What the producers of this process share."""
    pid = os.getpid()
    return _processes.get(pid) or _processes.setdefault(pid, Shared())


def _terminated(number: int, frame: FrameType | None) -> None:
    """Report what is open as cancelled, and end as the signal ends a process without a handler."""
    shared().end(TERM_SECONDS)
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
