"""One clock for the tracks of a source: its timestamps, without the places where they start again or jump.

Recordings are joined byte by byte, and each part of such a file begins with a clock of its own.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final, NamedTuple

import msgspec
from av.container import InputContainer

CLOCK_MAY_JUMP: Final = 0x200
"""libav's flag AVFMT_TS_DISCONT of a format, such as those of MPEG broadcasts."""

BACK_SECONDS: Final = 0.25
"""Timestamps of decoding that go back this far start again; less is jitter, unless another track starts again there."""

REST_SECONDS: Final = 3600.0
"""Longest time without a packet of any track, and without a packet that states to last as long. A screen recording can
rest for minutes; a longer gap is that of a clock, and filling it would take hours."""

BROADCAST_REST_SECONDS: Final = 10.0
"""The same where the format's clock may jump at any time, and all tracks rest together: ffmpeg's threshold."""

TOGETHER_SECONDS: Final = 1.0
"""Tracks that end within this time end together."""

LEAD_SECONDS: Final = 1.0
"""Most that one track of a part may begin later than another, as in the first part."""

LATE_SECONDS: Final = 0.25
"""Where a packet comes this much after what another track has at its time, the next part may have begun."""

GAP_SECONDS: Final = 0.1
"""Most that a track rests where it still goes on in a part whose successor has begun in the file."""

PARTS: Final = 8
"""Latest parts to which a packet may belong; a damaged clock can make a part of each packet."""


class Moment(NamedTuple):
    """Where a packet is: in its file, in bytes, and on the file's clock, in seconds."""

    track: int
    position: int
    decoded: float
    shown: float
    duration: float


class _Part(msgspec.Struct):
    """A stretch of the file that has one clock."""

    begin: int
    """Where its first packet is, in bytes."""
    shift: float
    ends: dict[int, float]
    """The end of each track, in seconds of the timeline."""


class _Clock(msgspec.Struct):
    """Where one track is, in seconds of the timeline."""

    part: int
    lead: float
    decoded: float
    end: float
    late: float
    """The latest that a packet came, after what another track has at its time."""


class Timeline:
    """Finds by how much the timestamps move, so that they continue where they start again or jump.

    It needs every packet of the tracks that it serves: tracks of a part move together.
    """

    def __init__(self, start: float, interruptible: bool) -> None:
        """`start` is the source's first timestamp, in seconds.

        `interruptible`: the format's clock may jump, as MPEG transport streams allow.
        """
        self._start = self._now = self._end = start
        self._interruptible = interruptible
        self._parts = [_Part(0, 0.0, {})]
        self._clocks: dict[int, _Clock] = {}

    def place(self, packet: Moment) -> float:
        """The seconds by which to move a packet, which is the next of its track."""
        if self.jumps(packet):
            return self.place_first(packet)
        return self._put(packet, self._part(packet))

    def place_first(self, packet: Moment, other: Moment | None = None) -> float:
        """The same for a packet that begins a part, as `other` does on another track."""
        clock = self._clocks.get(packet.track)
        lead = clock.lead if clock and not other else 0.0
        shift = self._end + lead - min(each.shown for each in (packet, other) if each)
        self._parts.append(_Part(packet.position, shift, {}))
        return self._put(packet, len(self._parts) - 1)

    def shift(self, track: int) -> float:
        """The seconds by which the last packet of `track` was moved."""
        clock = self._clocks.get(track)
        return self._parts[clock.part].shift if clock else 0.0

    def is_doubtful(self, packet: Moment) -> bool:
        """Whether the next packet of another track may tell that this one begins a part."""
        if not self._clocks.keys() - {packet.track}:
            return False
        part = self._part(packet)
        time = packet.decoded + self._parts[part].shift
        return self._back(packet, time) > 0 or self._is_far(time) or self._late(packet, part) > LATE_SECONDS

    def jumps(self, packet: Moment) -> bool:
        """Whether a packet begins a part for all that is known of its track."""
        part = self._part(packet)
        time = packet.decoded + self._parts[part].shift
        back = self._back(packet, time)
        together = all(self._end - clock.end < TOGETHER_SECONDS for clock in self._clocks.values())
        far = self._is_far(time) and (together or time - self._end > REST_SECONDS)
        return far or back > BACK_SECONDS or (back > 0 and not self.is_usual(packet))

    def jump_together(self, packet: Moment, other: Moment) -> bool:
        """Whether a packet and the next of another track begin a part: they go to the same time, or one does alone."""
        times = [each.decoded + self._parts[self._part(each)].shift for each in (packet, other)]
        jump = self.jumps(packet) or self.jumps(other) or all(self._is_far(time) for time in times)
        return jump and abs(other.decoded - packet.decoded) <= LEAD_SECONDS

    def goes_on(self, packet: Moment) -> bool:
        """Whether a packet follows the last one of its track without a rest."""
        clock = self._clocks.get(packet.track)
        if clock is None:
            return False
        return clock.decoded <= packet.decoded + self._parts[self._part(packet)].shift <= clock.end + GAP_SECONDS

    def is_usual(self, packet: Moment) -> bool:
        """Whether a packet comes no later after those of other tracks than packets of its track do."""
        clock = self._clocks.get(packet.track)
        return self._late(packet, self._part(packet)) <= max(LEAD_SECONDS, clock.late if clock else 0.0)

    def _part(self, packet: Moment) -> int:
        """The part to which a packet belongs: where one track has begun another, the others still have some of it."""
        clock = self._clocks.get(packet.track)
        parts = range(max(clock.part if clock else 0, len(self._parts) - PARTS), len(self._parts))
        for part, following in pairwise(parts) if clock else ():
            time = packet.decoded + self._parts[part].shift
            is_left = packet.position < self._parts[following].begin
            if clock and is_left and clock.decoded <= time <= clock.end + BACK_SECONDS:
                return part
        return min(parts, key=lambda each: abs(packet.decoded + self._parts[each].shift - self._now))

    def _back(self, packet: Moment, time: float) -> float:
        clock = self._clocks.get(packet.track)
        return clock.decoded - time if clock else 0.0

    def _late(self, packet: Moment, part: int) -> float:
        """How much a packet comes after what other tracks have at its time, in seconds, if `part` is its own."""
        others = [end for track, end in self._parts[part].ends.items() if track != packet.track]
        return max(others) - packet.decoded - self._parts[part].shift if others else 0.0

    def _is_far(self, time: float) -> bool:
        interrupted = self._interruptible and len(self._clocks) > 1
        return time - self._end > (BROADCAST_REST_SECONDS if interrupted else REST_SECONDS)

    def _put(self, packet: Moment, part: int) -> float:
        clock, late = self._clocks.get(packet.track), self._late(packet, part)
        shift, ends = self._parts[part].shift, self._parts[part].ends
        first = min(LEAD_SECONDS, max(0.0, packet.shown + shift - self._start)) if part == 0 else 0.0
        lead = clock.lead if clock else first
        self._now = packet.decoded + shift
        end = max(packet.decoded, packet.shown) + shift + packet.duration
        ends[packet.track] = max(end, ends.get(packet.track, end))
        self._clocks[packet.track] = _Clock(
            part, lead, self._now, max(end, clock.end) if clock else end, max(late, clock.late) if clock else late
        )
        self._end = max(self._end, end)
        return shift


def timeline(container: InputContainer, start: float) -> Timeline:
    """The timeline of a source whose first timestamp is `start`, in seconds."""
    return Timeline(start, bool(container.format.flags & CLOCK_MAY_JUMP))
