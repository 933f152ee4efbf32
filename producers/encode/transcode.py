"""Decode once, encode every rendition: the source becomes fragmented MP4 segments and their playlists."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from statushub.producers.encode.audio import AudioConverter
from statushub.producers.encode.errors import SourceTooLarge, TranscodeFailed
from statushub.producers.encode.frame_rate import FrameRateConverter
from statushub.producers.encode.ladder import Rendition
from statushub.producers.encode.options import Options
from statushub.producers.encode.orientation import OrientationFilter
from statushub.producers.encode.output import Output
from statushub.producers.encode.playlist import MEDIA, amend
from statushub.producers.encode.probe import PIXELS_MAX, Video, open_source, video_track
from statushub.producers.encode.progress import OnProgress

DAMAGED_MAX: Final = 0.1
"""Part of the packets that may fail to decode: a scratch costs a few frames, more makes a video of still images."""

SILENCE_AFTER: Final = 30.0
"""Seconds that audio may lag behind video before silence is inserted. Badly interleaved files are this late."""

INTERLEAVE_SECONDS: Final = 2 * SILENCE_AFTER
"""Video that a muxer buffers while it waits for audio. libav's default is ten seconds, after which audio ends up
in a later segment than its video."""


def transcode(
    video: Video,
    renditions: Sequence[Rendition],
    folder: Path,
    options: Options,
    on_progress: OnProgress,
    pixels: int = PIXELS_MAX,
) -> float:
    """Encode `video`, whose frames have `pixels` at most, into `folder/<rendition>/`; returns the seconds encoded.

    `on_progress` is called between frames and may raise to stop the work. Raises `TranscodeFailed` and
    `SourceTooLarge`; libav's own errors pass through.
    """
    with ExitStack() as stack:
        source = stack.enter_context(open_source(video.path, pixels))
        outputs = [
            stack.enter_context(Output(video, each, folder / each.name, options, INTERLEAVE_SECONDS))
            for each in renditions
        ]
        transcoder = _Transcoder(video, source, outputs, options)
        for position in transcoder.run():
            on_progress(_done(video, position, transcoder.seconds))
    for rendition in renditions:
        amend(folder / rendition.name / MEDIA)
    return transcoder.seconds


def _done(video: Video, position: int, seconds: float) -> float:
    if video.duration:
        return seconds / video.duration
    return position / max(1, video.bytes)


class _Transcoder:
    """Moves one source through decoders, filters and converters to the outputs."""

    def __init__(self, video: Video, source: InputContainer, outputs: Sequence[Output], options: Options) -> None:
        self._source = source
        self._outputs = outputs
        self._seconds_max = options.source_seconds
        self._orientation = OrientationFilter(video.rotation, video.interlaced)
        self._frame_rate = FrameRateConverter(video.fps, video.start)
        self._audio = AudioConverter(video.start) if video.audio_codec else None
        self._packets = self._damaged = 0
        self._tracks: list[VideoStream | AudioStream] = [_required(video_track(source)), *source.streams.audio[:1]]
        for track in self._tracks:
            track.codec_context.thread_count = options.encoder_threads

    @property
    def seconds(self) -> float:
        """Duration of the video encoded so far."""
        return self._frame_rate.seconds

    def run(self) -> Iterator[int]:
        """Work through the source; yields the position in the file, in bytes, after each frame and each packet."""
        for packet in self._source.demux(self._tracks):
            position = packet.pos or 0
            for frame in self._decode(packet):
                if isinstance(frame, VideoFrame):
                    for _ in self._convert_video(self._orientation.apply(frame)):
                        yield position
                elif self._audio:
                    self._write_audio(self._audio.feed(frame))
            self._packets += 1
            self._check_length()
            yield position
        for _ in self._finish():
            yield position

    def _decode(self, packet: Packet[Stream]) -> list[VideoFrame | AudioFrame]:
        try:
            return [frame for frame in packet.decode() if isinstance(frame, VideoFrame | AudioFrame)]
        except MemoryError:
            raise
        except FFmpegError:
            self._damaged += 1
            return []

    def _convert_video(self, frames: Iterator[VideoFrame]) -> Iterator[None]:
        """Write `frames`; yields after each of the result, of which one of the source can make thousands."""
        for frame in frames:
            for number, shown in self._frame_rate.feed(frame):
                self._write_video(number, shown)
                yield
        if self._audio and self._frame_rate.seconds - self._audio.seconds > SILENCE_AFTER:
            self._write_audio(self._audio.pad(self._frame_rate.seconds - SILENCE_AFTER / 2))

    def _check_length(self) -> None:
        """A source need not state its duration, and can name long pauses in a few bytes."""
        if max(self._frame_rate.seconds, self._audio.seconds if self._audio else 0) > self._seconds_max:
            raise SourceTooLarge(f"The source lasts longer than {self._seconds_max:.0f} s, the limit.", field="source")

    def _finish(self) -> Iterator[None]:
        if self._damaged > DAMAGED_MAX * self._packets:
            raise TranscodeFailed("The source is damaged in too many places.", field="source")
        yield from self._convert_video(self._orientation.apply(None))
        for number, shown in self._frame_rate.finish(self._audio.seconds if self._audio else 0.0):
            self._write_video(number, shown)
            yield
        if self._audio:
            self._write_audio(self._audio.finish(self._frame_rate.seconds))
            self._mux_audio(self._outputs[0].encode_audio(None))
        for output in self._outputs:
            output.write_video(None)

    def _write_video(self, number: int, frame: VideoFrame) -> None:
        """The smaller frames are scaled from the largest: the source's may be four times its size, or HDR."""
        largest = self._outputs[0].fit(frame, number)
        self._outputs[0].write_video(largest)
        for output in self._outputs[1:]:
            output.write_video(output.fit(largest, number))

    def _write_audio(self, frames: Iterator[AudioFrame]) -> None:
        for frame in frames:
            self._mux_audio(self._outputs[0].encode_audio(frame))

    def _mux_audio(self, packets: Sequence[Packet[Stream]]) -> None:
        """Audio is the same in every rendition: the first output encodes it, all write it."""
        for packet in packets:
            for output in self._outputs:
                output.write_audio(packet)


def _required(track: VideoStream | None) -> VideoStream:
    if track is None:
        raise TranscodeFailed("The source lost its video track.", field="source")
    return track
