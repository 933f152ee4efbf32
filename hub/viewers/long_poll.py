"""Long polls: what came after a cursor, waiting for something to come."""

from __future__ import annotations

from collections.abc import Generator

import anyio
import msgspec

from statushub.hub.model.cursor import Cursor
from statushub.hub.model.event import Event
from statushub.hub.replicas.reader import Resync
from statushub.hub.viewers.pull import PullViewer


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What came after a cursor; where `reset` is true, that cursor was void and this is everything."""

    cursor: Cursor
    events: list[Event]
    reset: bool


async def long_poll(viewer: PullViewer, wait: float) -> Changes:
    """What came after the viewer's cursor, waiting up to `wait` seconds. The viewer reads one readable replica."""
    viewer.host.attach(viewer)
    try:
        outcome, events = await viewer.host.scheduler.run(_taking(viewer))
        with anyio.move_on_after(wait):
            while not (events or outcome is Resync.RESET or viewer.closed):
                await viewer.wake.wait()
                outcome, events = viewer.take()
    finally:
        viewer.host.detach(viewer)
    return Changes(cursor=viewer.cursor, events=events, reset=outcome is Resync.RESET)


def _taking(viewer: PullViewer) -> Generator[None, None, tuple[Resync, list[Event]]]:
    """What there is, taken in one step: the whole state may be much, and is read in one moment."""
    yield from ()
    return viewer.take()
