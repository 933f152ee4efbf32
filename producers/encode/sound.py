"""The sound of one source, from its frames to the outputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from av.audio.frame import AudioFrame
from av.packet import Packet
from av.stream import Stream

from statushub.producers.encode.audio import AudioConverter
from statushub.producers.encode.output import Output
from statushub.producers.encode.probe import Video
from statushub.producers.encode.reader import Reader


class Sound:
    """Encodes the frames of an audio track, without gaps."""

    name = "sound"

    def __init__(self, video: Video, reader: Reader, outputs: Sequence[Output]) -> None:
        self._reader = reader
        self._outputs = outputs
        self._converter = AudioConverter(video.start)
        self._own_seconds = 0.0
        self._steps = self._run()

    @property
    def seconds(self) -> float:
        """Duration of what is encoded."""
        return self._converter.seconds

    @property
    def count(self) -> int:
        """Number of samples encoded."""
        return self._converter.count

    @property
    def read_seconds(self) -> float:
        """Duration of what was read."""
        return self._reader.seconds

    @property
    def lost_seconds(self) -> float:
        """Seconds of what was read that are not encoded."""
        return self._converter.lost + max(0.0, self._reader.seconds - self._own_seconds)

    def step(self) -> bool:
        """Read a packet or encode a frame; returns False at the end of the track."""
        return next(self._steps, False)

    def fill(self, seconds: float) -> Iterator[None]:
        """Fill up to `seconds` with silence; yields after each frame."""
        for _ in self._write(self._converter.fill(seconds)):
            yield

    def close(self) -> None:
        """End the track of each output."""
        for _ in self._write(self._converter.rest()):
            pass
        self._mux(self._outputs[0].encode_audio(None))

    def _run(self) -> Iterator[bool]:
        for frame in self._reader.frames():
            if isinstance(frame, AudioFrame):
                yield from self._write(self._converter.feed(frame))
            yield True
        yield from self._write(self._converter.finish())
        self._own_seconds = self.seconds

    def _write(self, frames: Iterator[AudioFrame]) -> Iterator[bool]:
        for frame in frames:
            self._mux(self._outputs[0].encode_audio(frame))
            yield True

    def _mux(self, packets: Sequence[Packet[Stream]]) -> None:
        """Audio is the same in every rendition: the first output encodes it, all write it."""
        for packet in packets:
            for output in self._outputs:
                output.write_audio(packet)
