"""Long polls: what came after a cursor, waiting for something to come."""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import Final

import anyio
import msgspec

from statushub.hub.model.cursor import Cursor
from statushub.hub.model.errors import BrokerUnavailable, HubBehind
from statushub.hub.model.event import Event
from statushub.hub.replicas.filtered import Filtered
from statushub.hub.replicas.growth import Grown
from statushub.hub.replicas.reader import VOID, Resync
from statushub.hub.replicas.sync import READABLE_SECONDS
from statushub.hub.viewers.pull import PullViewer

UNREADABLE: Final = "the channels cannot be read now"


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What came after a cursor; where `reset` is true, that cursor was void and this is everything."""

    cursor: Cursor
    events: list[Event]
    reset: bool


async def long_poll(viewer: PullViewer, wait: float, *, step: float = math.inf) -> Changes:
    """What came after the viewer's cursor, waiting up to `wait` seconds, and `READABLE_SECONDS` for what it reads to be
    readable. What there is, is taken in steps of about `step` bytes, between which other tasks run.

    Where only contents have changed that grow, and the client has read them a moment ago, it waits as `pacing` says.
    Raises `HubBehind` where the cursor is of a later moment than is known here, `BrokerUnavailable` where nothing is.
    """
    viewer.host.attach(viewer, lasting=False)
    try:
        if wait and _has_read_lately(viewer):
            viewer.show()
        outcome, events = await viewer.host.scheduler.run(_taking(viewer, step, held=wait > 0))
        with anyio.move_on_after(READABLE_SECONDS):
            while outcome is Resync.WAIT and not (viewer.held_until or viewer.closed):
                await viewer.wake.wait()
                outcome, events = await viewer.host.scheduler.run(_taking(viewer, step, held=wait > 0))
        if outcome is Resync.BEHIND:
            raise HubBehind
        if outcome is Resync.WAIT and not viewer.held_until:
            raise BrokerUnavailable(UNREADABLE)
        # What comes from now on.
        viewer.show()
        with anyio.move_on_after(wait):
            while not (events or outcome is Resync.RESET or viewer.closed):
                await viewer.wake.wait()
                outcome, events = _taken(viewer, held=True)
        if (viewer.held_until or (isinstance(viewer.scope, Filtered) and not events)) and not viewer.closed:
            # The next poll would wait as long; and where others' contents have changed, it begins behind these.
            last, events = viewer.take()
            outcome = outcome if outcome is Resync.RESET else last
    finally:
        viewer.host.detach(viewer)
    if viewer.cursor.epoch == VOID:
        # It was found void, and nothing could be read since.
        raise BrokerUnavailable(UNREADABLE)
    return Changes(cursor=viewer.cursor, events=events, reset=outcome is Resync.RESET)


def _taking(viewer: PullViewer, step: float, *, held: bool) -> Generator[None, None, tuple[Resync, list[Event]]]:
    """As `_taken`, in steps."""
    outcome, events = _taken(viewer, step, held=held)
    while not outcome.waits and not viewer.finished:
        yield
        further, more = viewer.take(step)
        if further.waits:
            # What was taken is whole up to the cursor.
            break
        if further is Resync.RESET:
            outcome, events = further, []
        events += more
    return outcome, events


def _taken(viewer: PullViewer, limit: float = math.inf, *, held: bool) -> tuple[Resync, list[Event]]:
    """What there is, about `limit` bytes of it; nothing where the viewer is to be held, and is."""
    viewer.wake.clear()
    if held and viewer.is_held():
        return Resync.WAIT, []
    return viewer.take(limit)


def _has_read_lately(viewer: PullViewer) -> bool:
    """Whether all that it has not read are contents that grow, of which it has read one of the moments remembered."""
    if viewer.epoch != viewer.scope.epoch or not viewer.scope.grows:
        return False
    unread = viewer.scope.after(viewer.offset)
    return all(type(event) is Grown and event.growth.latest_mark(viewer.offset) is not None for event in unread)
