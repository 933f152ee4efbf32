"""A hub on a real socket, run by uvicorn in a thread of the test process."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import anyio
import uvloop
from uvicorn.server import ServerState

from statushub.hub.app import open_hub
from statushub.hub.brokers.contract import Broker
from statushub.hub.config import Config
from statushub.hub.hub import Hub
from statushub.hub.intervals import Intervals
from statushub.hub.listener import bind
from statushub.hub.replicas.limits import ReplicaLimits
from statushub.hub.server import Server, base_url
from tests.support.hub_server import hub_server
from tests.support.ports import START_SECONDS

T = TypeVar("T")


class LiveHub:
    """A running hub, with its URL, its object, and the means to stop it."""

    def __init__(
        self,
        settings: Config,
        broker: Broker | None,
        http: Any,
        listener: socket.socket,
        intervals: Intervals,
        replica_limits: ReplicaLimits,
    ) -> None:
        self.base_url = base_url(listener)
        self._listener = listener
        self._settings = settings
        self._broker = broker
        self._http = http
        self._intervals = intervals
        self._replica_limits = replica_limits
        self._started: queue.Queue[tuple[Hub, Server, asyncio.AbstractEventLoop] | BaseException] = queue.Queue()
        options = {"loop_factory": uvloop.new_event_loop}
        self._thread = threading.Thread(target=anyio.run, args=(self._run,), kwargs={"backend_options": options})
        self._thread.start()
        started = self._started.get(timeout=START_SECONDS)
        if isinstance(started, BaseException):
            self._thread.join(START_SECONDS)
            raise started
        self.hub, self._server, self._loop = started

    async def _run(self) -> None:
        try:
            async with open_hub(
                self._settings, self._broker, intervals=self._intervals, replica_limits=self._replica_limits
            ) as hub:
                server = hub_server(self._settings, hub, self._http)
                self._listener.listen()
                self._started.put((hub, server, asyncio.get_running_loop()))
                await server.serve(sockets=[self._listener])
        except BaseException as error:
            self._started.put(error)
            raise

    def call(self, function: Callable[[], object]) -> None:
        """Call a function on the hub's loop, and return once it has returned."""
        done = threading.Event()

        def call() -> None:
            function()
            done.set()

        self._loop.call_soon_threadsafe(call)
        if not done.wait(START_SECONDS):
            raise TimeoutError(f"{function} did not return")

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the hub's loop and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(START_SECONDS)

    @property
    def application(self) -> Any:
        """The ASGI application that serves requests."""
        return self._server.config.loaded_app

    @application.setter
    def application(self, application: Any) -> None:
        self._server.config.loaded_app = application

    @property
    def server_state(self) -> ServerState:
        """uvicorn's sets of connections and tasks."""
        return self._server.server_state

    def stop(self) -> None:
        """Stop as on SIGTERM: drain first."""
        self._server.should_exit = True
        self._thread.join(START_SECONDS)
        self._listener.close()
        if self._thread.is_alive():
            raise TimeoutError("the server did not stop")


@contextlib.contextmanager
def live_hub(
    broker: str | Broker = "memory:",
    *,
    http: Any = None,
    port: int = 0,
    intervals: Intervals = Intervals(),
    replica_limits: ReplicaLimits = ReplicaLimits(),
    **settings: Any,
) -> Iterator[LiveHub]:
    """A complete hub for the block; `broker` is a URL or an object, `http` as for `hub_server`."""
    if isinstance(broker, str):
        settings["broker"] = broker
    own_broker = None if isinstance(broker, str) else broker
    hub = LiveHub(Config(**settings), own_broker, http, bind("127.0.0.1", port), intervals, replica_limits)
    try:
        yield hub
    finally:
        hub.stop()
