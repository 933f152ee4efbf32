"""The socket that a hub listens on, and those of its processes."""

from __future__ import annotations

import contextlib
import pickle
import socket
from collections.abc import Iterator
from multiprocessing.reduction import ForkingPickler

import pytest

from statushub.hub.listener import SPREADS, UNSENT_BYTES, bind
from statushub.hub.model.errors import ConfigError

CONNECTIONS = 400

pytestmark = pytest.mark.skipif(not SPREADS, reason="only Linux spreads connections over sockets")


@contextlib.contextmanager
def processes(count: int) -> Iterator[list[socket.socket]]:
    """The sockets that so many worker processes have of one listener; they listen."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(bind("127.0.0.1", 0))
        sent = [bytes(ForkingPickler.dumps(listener)) for _ in range(count)]
        got = [stack.enter_context(pickle.loads(portion)) for portion in sent]
        for one in got:
            one.listen(CONNECTIONS)
            one.setblocking(False)
        yield got


def accepted(listener: socket.socket) -> int:
    """How many connections wait at a socket; they are closed."""
    count = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            listener.accept()[0].close()
            count += 1
    return count


def test_connections_are_spread_evenly_over_the_processes() -> None:
    """Each gets about as many, also before any accepts: the kernel draws, and half of an even share is far off."""
    with processes(4) as listeners:
        address = listeners[0].getsockname()
        for _ in range(CONNECTIONS):
            socket.create_connection(address).close()
        counts = [accepted(listener) for listener in listeners]
    assert sum(counts) == CONNECTIONS
    assert min(counts) > CONNECTIONS / 4 / 2


def test_connections_go_to_the_processes_that_are_left() -> None:
    """A process that has ended gets none."""
    with processes(2) as (ended, left):
        address = ended.getsockname()
        ended.close()
        for _ in range(20):
            socket.create_connection(address).close()
        assert accepted(left) == 20


def test_the_sockets_of_all_processes_have_the_options() -> None:
    """A viewer that does not read costs little memory, whichever process has it."""
    with processes(2) as listeners:
        for listener in listeners:
            assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == UNSENT_BYTES


def test_a_port_that_is_in_use_is_not_shared_with_another_hub() -> None:
    """The processes of one hub share it."""
    with processes(2) as (listener, _), pytest.raises(ConfigError, match="cannot bind"):
        bind(*listener.getsockname())
