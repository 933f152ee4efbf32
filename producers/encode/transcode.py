"""Decode once, encode every rendition: the source becomes fragmented MP4 segments and their playlists."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream

from statushub.producers.encode.errors import TranscodeFailed
from statushub.producers.encode.frame_rate import FrameRateConverter
from statushub.producers.encode.ladder import Rendition
from statushub.producers.encode.options import Options
from statushub.producers.encode.orientation import OrientationFilter
from statushub.producers.encode.playlist import INIT, MEDIA, SEGMENT, amend
from statushub.producers.encode.probe import SOURCE_OPTIONS, Colour, Video, picture_track
from statushub.producers.encode.progress import Tick
from statushub.producers.encode.sound import RATE, Sound

AUDIO_BITRATE: Final = 128_000
"""Transparent for stereo AAC to nearly every ear."""

DAMAGE_PART: Final = 0.1
"""Part of the packets that may fail to decode; a scratch is not worth a failure, a video of still pictures is."""

SILENCE_AFTER: Final = 30.0
"""Seconds that sound may lag the picture before silence is put in. Files that interleave badly are this late."""

INTERLEAVE_SECONDS: Final = 2 * SILENCE_AFTER
"""Picture that a muxer holds back for its sound. By default it gives up after ten seconds, and puts the sound
into a segment that is not its own."""

BT709: Final = Colour(1, 1, 1)
"""The colours of HD television, which every screen shows."""

HDR_TRANSFERS: Final = (16, 18)
"""H.273's codes for PQ and HLG. Shown as they are on 8 bits they look gray and band."""

LIMITED_RANGE: Final = 1
"""libav's code for luma of 16 to 235, the one range that every player assumes of H.264."""


def transcode(video: Video, renditions: Sequence[Rendition], folder: Path, options: Options, tick: Tick) -> float:
    """Encode `video` into `folder/<rendition>/`; returns the seconds encoded.

    `tick` is called between packets and may raise to stop the work. Raises `TranscodeFailed`; libav's own
    errors pass through.
    """
    with ExitStack() as stack:
        source = stack.enter_context(av.open(str(video.path), "r", options=SOURCE_OPTIONS))
        outputs = [stack.enter_context(_Output(video, each, folder / each.name, options)) for each in renditions]
        work = _Transcoding(video, source, outputs, options.encoder_threads)
        for packet in work.packets():
            tick(_done(video, packet, work.seconds))
    for rendition in renditions:
        amend(folder / rendition.name / MEDIA)
    return work.seconds


def _done(video: Video, packet: Packet[Stream], seconds: float) -> float:
    if video.duration:
        return seconds / video.duration
    return (packet.pos or 0) / max(1, video.bytes)


class _Transcoding:
    """One source on its way through decoder, cadence and sound to the outputs."""

    def __init__(self, video: Video, source: InputContainer, outputs: Sequence[_Output], threads: int) -> None:
        self._source = source
        self._outputs = outputs
        self._orientation = OrientationFilter(video.rotation, video.interlaced)
        self._frame_rate = FrameRateConverter(video.fps, video.start)
        self._sound = Sound(video.start) if video.audio_codec else None
        self._packets = self._damaged = 0
        self._tracks: list[VideoStream | AudioStream] = [_required(picture_track(source)), *source.streams.audio[:1]]
        for track in self._tracks:
            track.codec_context.thread_count = threads

    @property
    def seconds(self) -> float:
        """Length of the picture encoded so far."""
        return self._frame_rate.seconds

    def packets(self) -> Iterator[Packet[Stream]]:
        """Work through the source; yields each packet that was dealt with."""
        for packet in self._source.demux(self._tracks):
            for frame in self._decode(packet):
                if isinstance(frame, VideoFrame):
                    self._see(self._orientation.turn(frame))
                else:
                    self._hear(frame)
            self._packets += 1
            yield packet
        self._finish()

    def _decode(self, packet: Packet[Stream]) -> list[VideoFrame | AudioFrame]:
        try:
            return [frame for frame in packet.decode() if isinstance(frame, VideoFrame | AudioFrame)]
        except FFmpegError:
            self._damaged += 1
            return []

    def _see(self, frames: Iterator[VideoFrame]) -> None:
        for frame in frames:
            for tick, shown in self._frame_rate.feed(frame):
                self._show(tick, shown)
        if self._sound and self._frame_rate.seconds - self._sound.seconds > SILENCE_AFTER:
            self._play(self._sound.pad(self._frame_rate.seconds - SILENCE_AFTER / 2))

    def _hear(self, frame: AudioFrame) -> None:
        if self._sound:
            self._play(self._sound.feed(frame))

    def _finish(self) -> None:
        if self._damaged > DAMAGE_PART * self._packets:
            raise TranscodeFailed("The source is damaged in too many places.", field="source")
        self._see(self._orientation.turn(None))
        for tick, shown in self._frame_rate.finish(self._sound.seconds if self._sound else 0.0):
            self._show(tick, shown)
        if self._sound:
            self._play(self._sound.finish(self._frame_rate.seconds))
            self._mux_sound(self._outputs[0].sound.encode(None))
        for output in self._outputs:
            output.show(None)

    def _show(self, tick: int, frame: VideoFrame) -> None:
        """The smaller pictures are made from the largest: its source may be four times its size, or HDR."""
        largest = self._outputs[0].fit(frame, tick)
        self._outputs[0].show(largest)
        for output in self._outputs[1:]:
            output.show(output.fit(largest, tick))

    def _play(self, frames: Iterator[AudioFrame]) -> None:
        for frame in frames:
            self._mux_sound(self._outputs[0].sound.encode(frame))

    def _mux_sound(self, packets: Sequence[Packet[Stream]]) -> None:
        """Sound is the same in every rendition: encoded by the first output, written by all."""
        for packet in packets:
            for output in self._outputs:
                packet.stream = output.sound
                output.container.mux(packet)


class _Output:
    """One rendition being written; closing it ends its playlist."""

    def __init__(self, video: Video, rendition: Rendition, folder: Path, options: Options) -> None:
        folder.mkdir(parents=True)
        gop = math.ceil(options.segment_seconds * video.fps)
        self._rendition = rendition
        self._tick = 1 / video.fps
        self._hdr = video.colour.transfer in HDR_TRANSFERS
        self._colour = BT709 if video.rgb or self._hdr else None
        self._reformatter = VideoReformatter()
        self.container: OutputContainer = av.open(
            str(folder / MEDIA), "w", format="hls", options=_hls(folder, float((gop - 0.5) / video.fps))
        )
        self._picture = self._add_picture(video, gop, options)
        if video.audio_codec:
            self.sound = self._add_sound()

    def __enter__(self) -> _Output:
        return self

    def __exit__(self, *_: object) -> None:
        self.container.close()

    def fit(self, frame: VideoFrame, tick: int) -> VideoFrame:
        """`frame` in this rendition's size and format, to be shown at `tick`."""
        fitted = self._reformatter.reformat(
            frame,
            self._rendition.width,
            self._rendition.height,
            "yuv420p",
            dst_colorspace=self._colour.matrix if self._colour else None,
            dst_color_range=LIMITED_RANGE,
            dst_color_trc=BT709.transfer if self._hdr else None,
            dst_color_primaries=BT709.primaries if self._hdr else None,
            interpolation=Interpolation.BICUBIC,
        )
        # The decoder's own choice of picture types must not become the encoder's.
        fitted.pict_type = 0
        fitted.pts, fitted.time_base = tick, self._tick
        return fitted

    def show(self, frame: VideoFrame | None) -> None:
        """Encode and write one picture; None ends the track."""
        self.container.mux(self._picture.encode(frame))

    def _add_picture(self, video: Video, gop: int, options: Options) -> VideoStream:
        rate = self._rendition.bitrate
        stream = self.container.add_stream(
            "libx264",
            rate=video.fps,
            options={
                "preset": options.preset,
                "crf": str(options.crf),
                "maxrate": str(rate),
                "bufsize": str(rate * 2),
                # Key frames at the same ticks in every rendition and nowhere else: where players may switch.
                "x264-params": f"keyint={gop}:min-keyint={gop}:scenecut=0",
            },
        )
        stream.width, stream.height, stream.pix_fmt = self._rendition.width, self._rendition.height, "yuv420p"
        stream.codec_context.time_base = self._tick
        stream.codec_context.thread_count = options.encoder_threads
        _set_colour(stream, self._colour or video.colour)
        return stream

    def _add_sound(self) -> AudioStream:
        stream = self.container.add_stream("aac", rate=RATE)
        stream.layout = "stereo"
        stream.bit_rate = AUDIO_BITRATE
        stream.codec_context.time_base = Fraction(1, RATE)
        return stream


def _set_colour(stream: VideoStream, colour: Colour) -> None:
    context = stream.codec_context
    context.colorspace, context.color_primaries, context.color_trc = colour.matrix, colour.primaries, colour.transfer
    context.color_range = LIMITED_RANGE


def _hls(folder: Path, seconds: float) -> dict[str, str]:
    return {
        "hls_time": f"{seconds:.3f}",
        "hls_playlist_type": "vod",
        "hls_segment_type": "fmp4",
        "hls_flags": "independent_segments",
        "hls_fmp4_init_filename": INIT,
        "hls_segment_filename": str(folder / SEGMENT).replace("%", "%%").replace("%%05d", "%05d"),
        "max_interleave_delta": str(int(INTERLEAVE_SECONDS * 1_000_000)),
    }


def _required(track: VideoStream | None) -> VideoStream:
    if track is None:
        raise TranscodeFailed("The source lost its picture track.", field="source")
    return track
