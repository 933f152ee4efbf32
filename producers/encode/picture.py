"""The picture of one source, from its frames to the outputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from av.video.frame import VideoFrame

from statushub.producers.encode.frame_rate import FrameRateConverter, NumberedFrame
from statushub.producers.encode.orientation import OrientationFilter
from statushub.producers.encode.output import Output
from statushub.producers.encode.probe import Video
from statushub.producers.encode.reader import Reader


class Picture:
    """Encodes the frames of a video track, at a constant rate."""

    name = "picture"

    def __init__(self, video: Video, reader: Reader, outputs: Sequence[Output]) -> None:
        self._reader = reader
        self._outputs = outputs
        self._orientation = OrientationFilter(video.orientation, video.interlaced)
        self._frame_rate = FrameRateConverter(video.fps, video.start)
        self._own_seconds = 0.0
        self._steps = self._run()

    @property
    def position(self) -> int:
        """How far the source is read, in bytes."""
        return self._reader.position

    @property
    def end(self) -> int:
        """Where the source's last packet ends, in bytes."""
        return self._reader.end

    @property
    def seconds(self) -> float:
        """Duration of what is encoded."""
        return self._frame_rate.seconds

    @property
    def stated_seconds(self) -> float:
        """Where the source's longest track ends by the source's own clock."""
        return self._reader.stated_seconds

    @property
    def count(self) -> int:
        """Number of frames encoded."""
        return self._frame_rate.count

    @property
    def read_seconds(self) -> float:
        """Duration of what was read."""
        return self._reader.seconds

    @property
    def lost_seconds(self) -> float:
        """Seconds of what was read that are not encoded."""
        return self._frame_rate.lost + max(0.0, self._reader.seconds - self._own_seconds)

    def step(self) -> bool:
        """Read a packet or encode a frame; returns False at the end of the track."""
        return next(self._steps, False)

    def fill(self, seconds: float) -> Iterator[None]:
        """Repeat the last frame until `seconds`; yields after each."""
        for _ in self._write(self._frame_rate.fill(seconds)):
            yield

    def close(self) -> None:
        """End the track of each output."""
        for output in self._outputs:
            output.write_video(None)

    def _run(self) -> Iterator[bool]:
        for frame in self._reader.frames():
            if isinstance(frame, VideoFrame):
                yield from self._show(frame)
            yield True
        yield from self._show(None)
        yield from self._write(self._frame_rate.finish())
        self._own_seconds = self.seconds

    def _show(self, frame: VideoFrame | None) -> Iterator[bool]:
        for upright in self._orientation.apply(frame):
            yield from self._write(self._frame_rate.feed(upright))

    def _write(self, frames: Iterator[NumberedFrame]) -> Iterator[bool]:
        """Encode `frames`; yields after each, of which one of the source can make thousands.

        The smaller ones are scaled from the largest: the source's may be four times its size, or HDR.
        """
        for number, frame in frames:
            largest = self._outputs[0].fit(frame, number)
            self._outputs[0].write_video(largest)
            for output in self._outputs[1:]:
                output.write_video(output.fit(largest, number))
            yield True
