"""The encoder and muxer of one rendition: H.264 and AAC in fragmented MP4 segments, and their playlist."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Final, Self

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream

from statushub.producers.encode.audio import RATE
from statushub.producers.encode.ladder import Rendition
from statushub.producers.encode.options import Options
from statushub.producers.encode.playlist import INIT, MEDIA, SEGMENT
from statushub.producers.encode.probe import Colour, Video

AUDIO_BITRATE: Final = 128_000
"""Bits a second: stereo AAC is transparent to most listeners."""

BT709: Final = Colour(1, 1, 1)
"""The colours of HD television, which every screen shows."""

HDR_TRANSFERS: Final = (16, 18)
"""H.273's codes for PQ and HLG. Copied to 8 bits as they are, they look gray and show bands."""

LIMITED_RANGE: Final = 1
"""libav's code for luma of 16 to 235, which every player assumes of H.264."""


class Output:
    """One rendition being written; leaving its `with` block ends the playlist."""

    def __init__(
        self, video: Video, rendition: Rendition, folder: Path, options: Options, interleave_seconds: float
    ) -> None:
        """Writes into `folder`, which is created. Its path has no percent sign, which libav takes for a pattern.

        `interleave_seconds` is how much video the muxer buffers while it waits for audio.
        """
        folder.mkdir(parents=True)
        gop = math.ceil(options.segment_seconds * video.fps)
        self._rendition = rendition
        self._time_base = 1 / video.fps
        self._hdr = video.colour.transfer in HDR_TRANSFERS
        self._colour = BT709 if video.rgb or self._hdr else None
        self._reformatter = VideoReformatter()
        # Half a frame less than a group of pictures: libav cuts at the first key frame after this time.
        segment_seconds = float((gop - 0.5) / video.fps)
        self._container: OutputContainer = av.open(
            str(folder / MEDIA), "w", format="hls", options=_hls(folder, segment_seconds, interleave_seconds)
        )
        self._video = self._add_video(video, gop, options)
        self._audio = self._add_audio() if video.audio_codec else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def fit(self, frame: VideoFrame, number: int) -> VideoFrame:
        """`frame` in this rendition's size and format, as the output's frame `number`."""
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
        # The source's choice of I, P and B frames must not become the encoder's.
        fitted.pict_type = 0
        fitted.pts, fitted.time_base = number, self._time_base
        return fitted

    def write_video(self, frame: VideoFrame | None) -> None:
        """Encode and write one fitted frame; None ends the track."""
        self._container.mux(self._video.encode(frame))

    def encode_audio(self, frame: AudioFrame | None) -> Sequence[Packet[Stream]]:
        """Encode one frame, without writing it; None ends the track."""
        return self._audio.encode(frame) if self._audio else ()

    def write_audio(self, packet: Packet[Stream]) -> None:
        """Write an encoded packet, which another output may have encoded."""
        if self._audio:
            packet.stream = self._audio
            self._container.mux(packet)

    def _add_video(self, video: Video, gop: int, options: Options) -> VideoStream:
        rate = self._rendition.bitrate
        stream = self._container.add_stream(
            "libx264",
            rate=video.fps,
            options={
                "preset": options.preset,
                "crf": str(options.crf),
                "maxrate": str(rate),
                "bufsize": str(rate * 2),
                # Players switch at key frames, so every rendition has them at the same frames and at no others.
                "x264-params": f"keyint={gop}:min-keyint={gop}:scenecut=0",
            },
        )
        stream.width, stream.height, stream.pix_fmt = self._rendition.width, self._rendition.height, "yuv420p"
        stream.codec_context.time_base = self._time_base
        stream.codec_context.thread_count = options.encoder_threads
        _set_colour(stream, self._colour or video.colour)
        return stream

    def _add_audio(self) -> AudioStream:
        stream = self._container.add_stream("aac", rate=RATE)
        stream.layout = "stereo"
        stream.bit_rate = AUDIO_BITRATE
        stream.codec_context.time_base = Fraction(1, RATE)
        return stream


def _set_colour(stream: VideoStream, colour: Colour) -> None:
    context = stream.codec_context
    context.colorspace, context.color_primaries, context.color_trc = colour.matrix, colour.primaries, colour.transfer
    context.color_range = LIMITED_RANGE


def _hls(folder: Path, segment_seconds: float, interleave_seconds: float) -> dict[str, str]:
    return {
        "hls_time": f"{segment_seconds:.3f}",
        "hls_playlist_type": "vod",
        "hls_segment_type": "fmp4",
        "hls_flags": "independent_segments",
        "hls_fmp4_init_filename": INIT,
        "hls_segment_filename": str(folder / SEGMENT),
        "max_interleave_delta": str(int(interleave_seconds * 1_000_000)),
    }
