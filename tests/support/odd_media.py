"""Media that are odd: several tracks, joined parts, covers, damaged clocks; and what a result holds."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple, cast

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from statushub.producers.encode.poster import jpeg
from tests.support.clips import at, moving, tone

FPS = 30
MILLISECOND = Fraction(1, 1000)


class Picture(NamedTuple):
    """A video track to write."""

    frames: Iterable[VideoFrame]
    codec: str = "libx264"
    fps: int = FPS
    default: bool = False
    matrix: tuple[int, bool, bool] | None = None
    """Degrees counter-clockwise, then mirrored, flipped."""


class Sound(NamedTuple):
    """An audio track to write."""

    frames: Sequence[AudioFrame]
    codec: str = "aac"
    default: bool = False


class Cover(NamedTuple):
    """An attached cover image to write, which Matroska knows."""

    size: int = 64


class Subtitles(NamedTuple):
    """A track of subtitles to write: the start and the end of each, in seconds."""

    cues: Sequence[tuple[float, float]]
    codec: str = "subrip"


Track = Picture | Sound | Subtitles | Cover

Shift = tuple[float, float]
"""Seconds that are added to the times at which a packet is decoded and shown."""


def mux(
    path: Path,
    *tracks: Track,
    container_format: str | None = None,
    options: dict[str, str] | None = None,
    interleaved: bool = True,
    shift: Shift = (0.0, 0.0),
) -> Path:
    """Write `tracks` to `path`, in the order of time, or one after the other where they are not `interleaved`."""
    with av.open(str(path), "w", format=container_format, options=options or {}) as container:
        packets = [packet for track in tracks for packet in _packets(container, track)]
        if interleaved:
            packets.sort(key=_decoded_at)
        for packet in packets:
            _move(packet, shift)
            container.mux(packet)
    return path


def _decoded_at(packet: Packet[Stream]) -> float:
    return float((packet.dts or 0) * packet.time_base)


def _move(packet: Packet[Stream], shift: Shift) -> None:
    packet.dts = (packet.dts or 0) + round(shift[0] / packet.time_base)
    packet.pts = (packet.pts or 0) + round(shift[1] / packet.time_base)


def _packets(container: OutputContainer, track: Track) -> list[Packet[Stream]]:
    if isinstance(track, Cover):
        container.add_attachment("cover.jpg", "image/jpeg", cover(track.size))
        return []
    if isinstance(track, Subtitles):
        return _subtitles(container, track)
    frames: list[VideoFrame | AudioFrame] = list(track.frames)
    stream = _video(container, track, frames) if isinstance(track, Picture) else _audio(container, track)
    if track.default:
        stream.disposition = Disposition.default
    return [packet for frame in (*frames, None) for packet in stream.encode(frame)]  # type: ignore[arg-type]


def _video(container: OutputContainer, track: Picture, frames: Sequence[VideoFrame | AudioFrame]) -> VideoStream:
    options = {"preset": "ultrafast"} if track.codec == "libx264" else {}
    first = cast(VideoFrame, frames[0])
    stream = cast(VideoStream, container.add_stream(track.codec, rate=track.fps, options=options))
    stream.width, stream.height, stream.pix_fmt = first.width, first.height, first.format.name
    stream.codec_context.time_base = first.time_base or Fraction(1, track.fps)
    if track.matrix:
        degrees, mirrored, flipped = track.matrix
        stream.set_display_rotation(degrees, hflip=mirrored, vflip=flipped)
    return stream


def _audio(container: OutputContainer, track: Sound) -> AudioStream:
    stream = cast(AudioStream, container.add_stream(track.codec, rate=track.frames[0].sample_rate))
    stream.layout = track.frames[0].layout.name
    return stream


def _subtitles(container: OutputContainer, track: Subtitles) -> list[Packet[Stream]]:
    stream = container.add_mux_stream(track.codec)
    packets = []
    for start, end in track.cues:
        packet: Packet[Stream] = Packet(b"Hello")
        packet.stream, packet.time_base = stream, MILLISECOND
        packet.pts = packet.dts = round(start * 1000)
        packet.duration = round((end - start) * 1000)
        packets.append(packet)
    return packets


def part(path: Path, *, start: float = 0.0, seconds: float = 2.0, sound: bool = True, form: str = "mpegts") -> Path:
    """A recording whose clock begins at `start`, to be joined with others."""
    codecs = ("mpeg2video", "mp2") if form == "vob" else ("libx264", "aac")
    picture = Picture(list(moving(seconds, 64, 36)), codecs[0])
    sounds = [Sound(tone(seconds, form="s16" if form == "vob" else "fltp"), codecs[1])] if sound else []
    return mux(path, picture, *sounds, container_format=form, shift=(start, start))


def joined(path: Path, *parts: Path) -> Path:
    """The files one after the other, as `cat` joins them."""
    path.write_bytes(b"".join(each.read_bytes() for each in parts))
    return path


def still(count: int = 1, apart: float = 0.0, fps: int = 10) -> list[VideoFrame]:
    """`count` pictures that differ, `apart` seconds from each other."""
    return list(at(moving(count / 30, 16, 16), [number * apart for number in range(count)]))


def song(path: Path, seconds: float, size: int = 64) -> Path:
    """An MP3 with a cover image."""
    with av.open(str(path), "w", format="mp3") as container:
        stream = container.add_stream("libmp3lame", rate=44_100)
        for frame in (*tone(seconds), None):
            container.mux(stream.encode(frame))
    frame_body = b"\0image/jpeg\0\x03\0" + cover(size)
    frame_head = b"APIC" + struct.pack(">I", len(frame_body)) + b"\0\0"
    tag = frame_head + frame_body
    size_bytes = bytes((len(tag) >> shift) & 0x7F for shift in (21, 14, 7, 0))
    # The tag that libav has written, if any, follows, and is skipped.
    path.write_bytes(b"ID3\x03\0\0" + size_bytes + tag + path.read_bytes())
    return path


def cover(size: int) -> bytes:
    """A JPEG."""
    [picture] = moving(1 / 30, size, size)
    return jpeg(picture)


class Held(NamedTuple):
    """What each rendition of a result holds: seconds and frames of its picture, and seconds of its sound."""

    seconds: float
    frames: int
    sound: float | None

    @property
    def tracks(self) -> list[str]:
        """The codecs of its tracks."""
        return ["h264"] if self.sound is None else ["h264", "aac"]


def held(folder: Path) -> Held:
    """What the renditions of a result hold, decoded to their end; all of them hold the same."""
    lines = (folder / "master.m3u8").read_text().splitlines()
    [found] = {_held(folder / line) for line in lines if line and not line.startswith("#")}
    return found


def _held(playlist: Path) -> Held:
    times: list[float] = []
    samples = 0
    with av.open(f"file:{playlist}") as container:
        tracks = [(track.type, track.codec_context.name) for track in container.streams]
        assert tracks == [("video", "h264"), ("audio", "aac")][: len(tracks)]
        frames: Iterator[object] = container.decode()
        for frame in frames:
            if isinstance(frame, VideoFrame):
                times.append(frame.time)
            elif isinstance(frame, AudioFrame):
                samples += frame.samples
    step = (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else 0.0
    return Held(round(times[-1] - times[0] + step, 2), len(times), round(samples / 48_000, 1) if samples else None)
