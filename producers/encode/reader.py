"""The decoded frames of one track of a source."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from statushub.producers.encode.errors import TranscodeFailed
from statushub.producers.encode.lookahead import Lookahead
from statushub.producers.encode.timeline import timeline
from statushub.producers.encode.tracks import audio_track, is_cover, video_track

DAMAGED_MAX: Final = 0.1
"""Part of the packets that may fail to decode: a scratch costs a few frames, more makes a video of still images."""


class Reader:
    """Reads a source to its end, and decodes one of its tracks.

    Each track is read through a container of its own, however far the file puts its tracks apart.
    """

    def __init__(
        self, container: InputContainer, track: VideoStream | AudioStream | None, start: float, threads: int
    ) -> None:
        """`start` is the source's first timestamp, in seconds. Raises `TranscodeFailed` where there is no `track`."""
        if track is None:
            raise TranscodeFailed("The source lost a track.", field="source")
        track.codec_context.thread_count = threads
        self._container = container
        self._track = track
        self._start = start
        # To ask a packet makes a fraction each time, which takes longer than all else that is done with it.
        self._ticks = {each.index: float(each.time_base or 1) for each in container.streams}
        both = (video_track(container), audio_track(container))
        timed = [each.index for each in both if each and not (isinstance(each, VideoStream) and is_cover(each))]
        self._lookahead = Lookahead(timeline(container, start), {index: self._ticks[index] for index in timed})
        self.position = 0
        """How far the file is read, in bytes."""
        self.end = 0
        """The end of the last packet, in bytes."""
        self.seconds = 0.0
        """Where the last frame of the track is shown, in seconds after `start`, whether it could be decoded or not."""
        self.stated_seconds = 0.0
        """The same by the file's own clock, of the end of its longest track."""

    def frames(self) -> Iterator[VideoFrame | AudioFrame | None]:
        """Yields the track's frames, and None after each packet of any track. Raises `TranscodeFailed`."""
        packets = damaged = 0
        for read in self._container.demux():
            self._note(read)
            for packet in self._lookahead.take(read):
                if packet.stream.index == self._track.index:
                    packets += 1
                    self._note_shown(packet)
                    try:
                        yield from (each for each in packet.decode() if isinstance(each, VideoFrame | AudioFrame))
                    except MemoryError:
                        raise
                    except FFmpegError:
                        damaged += 1
            yield None
        if damaged > DAMAGED_MAX * packets:
            raise TranscodeFailed(f"The source's {self._track.type} is damaged in too many places.", field="source")

    def _note(self, packet: Packet[Stream]) -> None:
        """Take where `packet` is in the file, and by the file's own clock."""
        self.position = packet.pos or self.position
        self.end = max(self.end, self.position + packet.size)
        if packet.pts is not None:
            end = (packet.pts + (packet.duration or 0)) * self._ticks[packet.stream.index]
            self.stated_seconds = max(self.stated_seconds, end - self._start)

    def _note_shown(self, packet: Packet[Stream]) -> None:
        if packet.pts is not None and not packet.is_discard:
            self.seconds = max(self.seconds, packet.pts * self._ticks[packet.stream.index] - self._start)
