"""Sources to encode, and the properties of a result as a player decodes it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from threading import Thread
from typing import Any, cast

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from statushub.producers.clip import generate


class Track:
    """One rendition, decoded as by a player."""

    def __init__(self, playlist: Path) -> None:
        with av.open(str(playlist)) as container:
            video = container.streams.video[0]
            self.width, self.height = video.codec_context.width, video.codec_context.height
            self.pix_fmt = video.codec_context.pix_fmt
            self.transfer = video.codec_context.color_trc
            self.corners: list[list[int]] = []
            self.audio = [(each.codec_context.name, each.layout.nb_channels) for each in container.streams.audio]
            self.times: list[float] = []
            self.heard: list[tuple[float, float]] = []
            frames: Iterator[object] = container.decode()
            for frame in frames:
                if isinstance(frame, VideoFrame):
                    self.times.append(frame.time)
                    self.corners = self.corners or corners(frame)
                elif isinstance(frame, AudioFrame):
                    self.heard.append((float((frame.pts or 0) * (frame.time_base or 0)), amplitude(frame)))

    @property
    def seconds(self) -> float:
        """Seconds from the first frame to the last."""
        return self.times[-1] - self.times[0]

    def peak(self, start: float, end: float) -> float:
        """The peak amplitude from `start` to `end` seconds after the first audio frame, 0 to 1."""
        first = self.heard[0][0]
        return max(level for time, level in self.heard if start <= time - first < end)


def play(destination: Path) -> list[Track]:
    """Decode every rendition that the master playlist lists to its end."""
    lines = (destination / "master.m3u8").read_text().splitlines()
    return [Track(destination / line) for line in lines if line and not line.startswith("#")]


def audio_span(init: Path, segment: Path) -> tuple[float, float]:
    """The times of the first and the last audio packet of a segment, in seconds."""
    with av.open(BytesIO(init.read_bytes() + segment.read_bytes()), "r", format="mp4") as container:
        packets = [each for each in container.demux(audio=0) if each.pts is not None]
        times = [float((each.pts or 0) * each.time_base) for each in packets]
    return times[0], times[-1]


def corners(frame: VideoFrame) -> list[list[int]]:
    """The brightness in the middle of each quadrant: upper left and right, lower left and right."""
    plane = frame.planes[0]
    pixels = bytes(plane)
    return [
        [pixels[frame.height * row // 4 * plane.line_size + frame.width * column // 4] for column in (1, 3)]
        for row in (1, 3)
    ]


def amplitude(frame: AudioFrame) -> float:
    """The peak amplitude of a frame of planar floats, 0 to 1."""
    samples = memoryview(frame.planes[0]).cast("B").cast("f")[: frame.samples]
    return max(max(samples), -min(samples))


def write(
    path: Path,
    frames: Iterable[VideoFrame],
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    fps: int = 30,
    rotation: int = 0,
    aspect: Fraction | None = None,
    options: Mapping[str, str] | None = None,
    sound: Sequence[AudioFrame] = (),
    sound_codec: str = "aac",
    together: bool = False,
    target: Any = None,
    container_format: str | None = None,
) -> Path:
    """Write `frames` and `sound` to `path` (or the file object `target`), unchanged.

    `together` interleaves audio with the video of its time; otherwise it follows the video.
    """
    with av.open(target or str(path), "w", format=container_format) as container:
        encoder = dict(options or ({"preset": "ultrafast"} if codec == "libx264" else {}))
        video, first = cast(VideoStream, container.add_stream(codec, rate=fps, options=encoder)), True
        audio, rest = None, list(sound)
        if sound:
            audio = cast(AudioStream, container.add_stream(sound_codec, rate=sound[0].sample_rate))
            audio.layout = sound[0].layout.name
        for frame in frames:
            if first:
                _describe(video, frame, pix_fmt, rotation, aspect)
                first = False
            container.mux(video.encode(frame.reformat(format=pix_fmt) if frame.format.name != pix_fmt else frame))
            while together and audio is not None and rest and (rest[0].time or 0) <= frame.time:
                container.mux(audio.encode(rest.pop(0)))
        container.mux(video.encode(None))
        if audio is not None:
            for portion in rest:
                container.mux(audio.encode(portion))
            container.mux(audio.encode(None))
    return path


def _describe(video: VideoStream, frame: VideoFrame, pix_fmt: str, rotation: int, aspect: Fraction | None) -> None:
    video.width, video.height, video.pix_fmt = frame.width, frame.height, pix_fmt
    context = video.codec_context
    context.colorspace, context.color_primaries = frame.colorspace, frame.color_primaries
    context.color_trc = frame.color_trc
    video.codec_context.time_base = frame.time_base or Fraction(1, 30)
    if aspect:
        video.codec_context.sample_aspect_ratio = aspect
    if rotation:
        video.set_display_rotation(rotation)


def moving(seconds: float = 1.0, width: int = 160, height: int = 90, fps: int = 30) -> Iterator[VideoFrame]:
    """Frames of ffmpeg's test pattern."""
    return _pictures(f"testsrc2=size={width}x{height}:rate={fps}:duration={seconds}", "format=yuv420p")


def at(frames: Iterable[VideoFrame], times: Iterable[float]) -> Iterator[VideoFrame]:
    """`frames` at these `times`, in seconds."""
    for frame, time in zip(frames, times, strict=False):
        frame.pts, frame.time_base = round(time * 1000), Fraction(1, 1000)
        yield frame


def plain(width: int, height: int, luma: Sequence[Sequence[int]], count: int = 15) -> Iterator[VideoFrame]:
    """Gray frames of equal rectangles: `luma[row][column]` is the brightness of each, 0 to 255."""
    rectangles = [
        f"{value}*eq(floor(Y/H*{len(luma)}),{row})*eq(floor(X/W*{len(values)}),{column})"
        for row, values in enumerate(luma)
        for column, value in enumerate(values)
    ]
    return _pictures(
        f"nullsrc=size={width}x{height}:rate=30:duration={count / 30}",
        "format=yuv420p",
        f"geq=lum={'+'.join(rectangles)}:cb=128:cr=128",
    )


def interlaced() -> Iterator[VideoFrame]:
    """A second of a vertical bar that moves between the two fields of each frame, 160 x 96."""
    return _pictures(
        "nullsrc=size=160x48:rate=60:duration=1",
        "format=yuv420p",
        "geq=lum=30+180*lt(mod(X+6*N,160),80):cb=128:cr=128",
        "weave=first_field=top",
    )


def combing(path: Path) -> float:
    """The mean difference in brightness of neighbouring lines, 0 to 255, of the frame where it is greatest."""
    with av.open(str(path)) as container:
        return max(_line_difference(frame) for frame in container.decode(video=0))


def _line_difference(frame: VideoFrame) -> float:
    plane = frame.planes[0]
    pixels, line = bytes(plane), plane.line_size
    rows = [pixels[row * line : row * line + frame.width] for row in range(frame.height)]
    return sum(abs(a - b) for one, other in pairwise(rows) for a, b in zip(one, other, strict=True)) / len(pixels)


def pq(width: int, height: int, luma: int) -> Iterator[VideoFrame]:
    """Ten-bit gray frames in the colours of HDR television (BT.2100, PQ)."""
    return _pictures(
        f"nullsrc=size={width}x{height}:rate=30:duration=0.5",
        "format=yuv420p10le",
        f"geq=lum={luma}:cb=512:cr=512",
        "setparams=colorspace=bt2020nc:color_primaries=bt2020:color_trc=smpte2084:range=tv",
    )


def tone(
    seconds: float, *, layout: str = "stereo", rate: int = 44_100, start: float = 0.0, form: str = "fltp"
) -> list[AudioFrame]:
    """A sine of amplitude 0.5 in each channel."""
    frames = generate(
        f"aevalsrc=0.5*sin(2*PI*441*t):channel_layout={layout}:sample_rate={rate}:nb_samples=1024:duration={seconds}",
        f"aformat=sample_fmts={form}",
        f"asetpts=PTS+{start}/TB",
        "abuffersink",
    )
    return cast(list[AudioFrame], list(frames))


def _pictures(*filters: str) -> Iterator[VideoFrame]:
    return cast(Iterator[VideoFrame], generate(*filters, "buffersink"))


class OneWay:
    """A file that can be written but not rewound: like piped output, its container states no duration."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")

    def write(self, data: bytes) -> int:
        return self._file.write(data)

    def close(self) -> None:
        self._file.close()


@contextmanager
def serving(body: bytes) -> Iterator[str]:
    """Run a web server on a free port; yields its base URL.

    `/clip.mp4` is `body`, `/chunked.mp4` the same without a content length, `/broken.mp4` ends after half of it,
    `/moved.mp4` redirects to it, `/forbidden.mp4` answers 403 and any other path 404.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/moved.mp4":
                self.answer(302, Location="/clip.mp4")
            elif path == "/forbidden.mp4":
                self.answer(403)
            elif path in ("/clip.mp4", "/broken.mp4"):
                self.answer(200, **{"Content-Length": str(len(body))})
                self.wfile.write(body if path == "/clip.mp4" else body[: len(body) // 2])
            elif path == "/chunked.mp4":
                self.answer(200)
                self.wfile.write(body)
            else:
                self.answer(404)

        def answer(self, status: int, **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
