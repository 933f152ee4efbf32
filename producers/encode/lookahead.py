"""Packets that wait for the next packet of the other track, which tells to which part of a source they belong."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Final, NamedTuple

from av.packet import Packet
from av.stream import Stream

from statushub.producers.encode.timeline import Moment, Timeline

REORDER_SECONDS: Final = 60.0
"""Most that a packet may be shown later than it is decoded; more is a damaged timestamp."""

HELD_BYTES: Final = 16_777_216
"""Most that waits, which is many minutes of sound: the other track may have ended."""

PACKET_BYTES: Final = 512
"""Memory that a packet takes beside its data."""


class _Held(NamedTuple):
    """A packet that waits, and where it is unless it has no time of decoding."""

    place: tuple[int, int]
    """Its position in the file, in bytes, and the number of packets before it."""
    packet: Packet[Stream]
    moment: Moment | None


class Lookahead:
    """Moves the timestamps of packets to a timeline, in the order of the file.

    A packet that may be the first of a part waits for the next packet of the other track: libav reads tracks apart, and
    two tracks that start again tell what one does not.
    """

    def __init__(self, timeline: Timeline, ticks: Mapping[int, float]) -> None:
        """`ticks` has the time base of each track that the timeline serves, in seconds."""
        self._timeline = timeline
        self._ticks = ticks
        self._waiting: dict[int, deque[_Held]] = {index: deque() for index in ticks}
        self._positions = dict.fromkeys(ticks, 0)
        self._taken = 0
        self._bytes = 0

    def take(self, packet: Packet[Stream]) -> Iterator[Packet[Stream]]:
        """Take the source's next packet; yields those whose timestamps are moved now, in the order of each track.

        An empty packet is one that follows the last.
        """
        track = packet.stream.index
        if track not in self._ticks:
            yield packet
            return
        position = self._positions[track] = packet.pos or self._positions[track]
        self._taken += 1
        held = _Held((position, self._taken), packet, self._moment(packet, position))
        self._waiting[track].append(held)
        self._bytes += packet.size + PACKET_BYTES
        is_last = packet.dts is None and not packet.size
        while waiting := [each for each in self._waiting.values() if each]:
            first = min(waiting, key=_place)
            if not self._move(first[0], is_last or self._bytes > HELD_BYTES):
                return
            self._bytes -= first[0].packet.size + PACKET_BYTES
            yield first.popleft().packet

    def _moment(self, packet: Packet[Stream], position: int) -> Moment | None:
        if packet.dts is None:
            return None
        track = packet.stream.index
        tick = self._ticks[track]
        decoded = packet.dts * tick
        shown = decoded if packet.pts is None else packet.pts * tick
        if abs(shown - decoded) > REORDER_SECONDS:
            packet.pts, shown = packet.dts, decoded
        return Moment(track, position, decoded, shown, (packet.duration or 0) * tick)

    def _move(self, held: _Held, is_due: bool) -> bool:
        """Move the timestamps of the next packet. Returns False if it has to wait, which it does not when it is due."""
        packet, track = held.packet, held.packet.stream.index
        shift = self._shift(held.moment) if held.moment else self._timeline.shift(track)
        if shift is None:
            if not is_due or held.moment is None:
                return False
            shift = self._timeline.place(held.moment)
        ticks = round(shift / self._ticks[track])
        if packet.dts is not None:
            packet.dts += ticks
        if packet.pts is not None:
            packet.pts += ticks
        return True

    def _shift(self, moment: Moment) -> float | None:
        """By how much a packet moves, in seconds, if that is known."""
        timeline, track = self._timeline, moment.track
        if not timeline.is_doubtful(moment):
            return timeline.place(moment)
        other = next((each for index in self._ticks if index != track for each in self._moments(index)), None)
        if other is None:
            return None
        if not timeline.jump_together(moment, other):
            return timeline.place(moment)
        if timeline.jumps(moment) or not timeline.goes_on(moment):
            return timeline.place_first(moment, other)
        is_rest = timeline.is_usual(moment) or self._goes_back(track, other.position)
        if is_rest is None:
            return None
        return timeline.place(moment) if is_rest else timeline.place_first(moment, other)

    def _goes_back(self, track: int, position: int) -> bool | None:
        """Whether a track goes back up to its first packet after `position`, if that is read.

        A muxer writes the last packets of a track that ended early at the end of its part.
        """
        for one, following in pairwise(self._moments(track)):
            if following.decoded < one.decoded or following.position > position:
                return following.decoded < one.decoded
        return None

    def _moments(self, track: int) -> Iterator[Moment]:
        return (each.moment for each in self._waiting[track] if each.moment)


def _place(waiting: deque[_Held]) -> tuple[int, int]:
    return waiting[0].place
