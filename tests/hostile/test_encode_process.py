"""Sources that want to fill, hold or crash an encoder, and the limits of the process that reads them."""

from __future__ import annotations

import json
import os
import re
import signal
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from statushub.hub.model.errors import Invalid
from statushub.producers.clip import write_clip
from statushub.producers.encode import EncodeError, Options, Step, convert, encode
from statushub.producers.encode.messages import Poster
from statushub.producers.encode.options import MEMORY_BYTES
from statushub.producers.encode.probe import probe
from statushub.producers.encode.process import Process
from statushub.producers.sources.process_limits import OPEN_FILES, ProcessLimits
from tests.support.clips import at, moving, write
from tests.support.command import command, environment, line_with, started
from tests.support.encode_processes import alive, encode_processes
from tests.support.live import LiveHub
from tests.support.recording_producer import RecordingProducer
from tests.support.waiting import eventually, until

pytestmark = pytest.mark.anyio

SOON = 30.0
LITTLE_MEMORY = 300
"""Megabytes that a refused source may take of any process: the codecs alone take 60."""


async def silent(state: Mapping[str, Any]) -> None:
    """A report that does nothing."""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight seconds of 320 x 180: long enough to be interrupted."""
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", seconds=8, width=320, height=180)


async def refusal(source: Path, scratch: Path, **options: Any) -> EncodeError:
    """The error that converting `source` ends with, in time and without a process left."""
    chosen = Options(**{"preset": "ultrafast", "scratch": scratch, **options})
    with anyio.fail_after(SOON), pytest.raises(EncodeError) as caught:
        await convert(source, scratch.parent / "out", report=silent, options=chosen)
    assert encode_processes(os.getpid()) == []
    return caught.value


def gif(width: int, height: int) -> bytes:
    """A GIF of two pictures of one pixel each, on a canvas of this size."""
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    picture = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\0"
    return head + picture + picture + b"\x3b"


def png(width: int, height: int) -> bytes:
    """A PNG whose header states this size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(64))) + chunk(b"IEND", b"")
    )


def webp(width: int, height: int) -> bytes:
    """A WebP whose header states this size."""
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + size
    return b"RIFF" + struct.pack("<I", len(body)) + body


def y4m(width: int, height: int, aspect: str = "1:1") -> bytes:
    """The head of an uncompressed video and of its first picture."""
    return f"YUV4MPEG2 W{width} H{height} F25:1 Ip A{aspect} C420jpeg\nFRAME\n".encode()


def stated(path: Path, codec: str, pix_fmt: str, patch: Callable[[bytes], bytes]) -> bytes:
    """A file of this codec, patched."""
    return patch(write(path, moving(1), codec=codec, pix_fmt=pix_fmt).read_bytes())


def huge_mp4(folder: Path) -> bytes:
    """An MP4 whose sample description states 60,000 x 60,000 pixels."""

    def patch(data: bytes) -> bytes:
        at = data.index(b"avc1", data.index(b"stsd")) + 4 + 24
        return data[:at] + struct.pack(">HH", 60_000, 60_000) + data[at + 4 :]

    return stated(folder / "plain.mp4", "libx264", "yuv420p", patch)


def huge_jpegs(folder: Path, first: int) -> bytes:
    """A video of JPEGs, of which those from number `first` on state 60,000 x 60,000 pixels."""

    def patch(data: bytes) -> bytes:
        frames = [match.start() for match in re.finditer(b"\xff\xc0\x00\x11\x08", data)]
        assert len(frames) == 30
        for start in frames[first:]:
            data = data[: start + 5] + struct.pack(">HH", 60_000, 60_000) + data[start + 9 :]
        return data

    return stated(folder / "plain.avi", "mjpeg", "yuvj420p", patch)


def huge_pngs(folder: Path) -> bytes:
    """A video of PNGs, of which the second states 60,000 x 60,000 pixels."""

    def patch(data: bytes) -> bytes:
        at = [match.start() + 4 for match in re.finditer(b"IHDR", data)][1]
        header = struct.pack(">II", 60_000, 60_000) + data[at + 8 : at + 13]
        return data[:at] + header + struct.pack(">I", zlib.crc32(b"IHDR" + header)) + data[at + 17 :]

    return stated(folder / "plain.mov", "png", "rgb24", patch)


SIZES: dict[str, Callable[[Path], bytes]] = {
    "gif": lambda _: gif(16_000, 16_000),
    "largest gif": lambda _: gif(65_535, 65_535),
    "png": lambda _: png(50_000, 50_000),
    "webp": lambda _: webp(16_384, 16_384),
    "y4m": lambda _: y4m(16_000, 16_000),
    "mp4": huge_mp4,
    "jpegs from the first on": lambda folder: huge_jpegs(folder, 0),
    "jpegs from the second on": lambda folder: huge_jpegs(folder, 1),
    "the last jpeg": lambda folder: huge_jpegs(folder, 29),
    "the second png": huge_pngs,
}


class TestSizes:
    @pytest.mark.parametrize(
        ("kind", "threads"), [*((kind, 1) for kind in SIZES), ("the last jpeg", 2), ("the second png", 2)]
    )
    def test_a_huge_picture_takes_no_memory(self, tmp_path: Path, kind: str, threads: int) -> None:
        """A few bytes that state a huge picture, the first or a later one, are refused before memory is allocated."""
        source = tmp_path / "source"
        source.write_bytes(SIZES[kind](tmp_path))
        program = (
            "import anyio, json, pathlib, re, resource, sys\n"
            "from statushub.producers.encode import EncodeError, Options, convert\n"
            "async def silent(state): pass\n"
            "async def main():\n"
            "    try:\n"
            f"        options = Options(preset='ultrafast', threads={threads})\n"
            "        await convert(sys.argv[1], sys.argv[2], report=silent, options=options)\n"
            "    except EncodeError as error:\n"
            "        return error.code\n"
            "code = anyio.run(main)\n"
            # The peak of this process is not taken from getrusage, which inherits that of the test's.
            "peak = re.search(r'VmHWM:\\s+(\\d+)', pathlib.Path('/proc/self/status').read_text())[1]\n"
            "peaks = (int(peak), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
            "print(json.dumps([code, [peak // 1024 for peak in peaks]]))\n"
        )
        arguments = [sys.executable, "-c", program, str(source), str(tmp_path / "out")]
        done = subprocess.run(arguments, env=environment(), capture_output=True, text=True, timeout=SOON, check=True)
        code, megabytes = json.loads(done.stdout)
        assert code == ("not_a_video" if kind == "webp" else "source_too_large")
        assert max(megabytes) < LITTLE_MEMORY

    @pytest.mark.parametrize("pixels", [160 * 90, 320 * 180 - 1])
    async def test_a_size_that_grows_midway_is_refused(
        self, tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch, pixels: int
    ) -> None:
        """The limit holds for every picture of a broadcast that changes its size."""
        monkeypatch.setattr("statushub.producers.encode.probe.PIXELS_MAX", pixels)
        first = write(tmp_path / "1.ts", moving(1, 160, 90), container_format="mpegts")
        later = at(moving(1, 320, 180), [1 + n / 30 for n in range(30)])
        second = write(tmp_path / "2.ts", later, container_format="mpegts")
        source = tmp_path / "in.ts"
        source.write_bytes(first.read_bytes() + second.read_bytes())
        assert (await refusal(source, scratch, threads=1)).code == "source_too_large"

    async def test_a_wide_pixel_does_not_make_a_wide_picture(self, tmp_path: Path, scratch: Path) -> None:
        """The limit holds for the size that a player would show, too."""
        source = write(tmp_path / "in.mkv", moving(0.2, 3000, 200), aspect=Fraction(200, 1))
        assert (await refusal(source, scratch)).code == "source_too_large"

    async def test_a_narrow_pixel_is_no_crash(self, tmp_path: Path) -> None:
        """A picture that would be shown less than one pixel wide is encoded."""
        source = tmp_path / "in.y4m"
        source.write_bytes(y4m(16, 36, "1:500") + bytes(16 * 36 * 3 // 2))
        assert probe(source, 10).width == 1
        result = await convert(source, tmp_path / "out", report=silent, options=Options(preset="ultrafast"))
        assert result.renditions[0].width == 2

    async def test_a_few_frames_do_not_make_an_endless_video(self, tmp_path: Path, scratch: Path) -> None:
        """A file without a stated duration whose frames are minutes apart is cut off at the limit of duration."""
        source = tmp_path / "in.mkv"
        write(source, at(moving(1, 32, 18), [n * 500 for n in range(30)]), fps=1)
        data = source.read_bytes()
        # Matroska's element of the duration becomes a void element, and the tag of the track's another.
        at_duration = data.index(b"\x44\x89\x88")
        data = data[:at_duration] + b"\xec\x89" + bytes(9) + data[at_duration + 11 :]
        source.write_bytes(data.replace(b"DURATION", b"SOMETIME"))
        error = await refusal(source, scratch, source_seconds=1200)
        assert error.code == "source_too_large"
        assert "longer than 1200 s" in error.message


class Interrupted:
    """An encode during whose transcoding `act` is called once, with the process that does it."""

    def __init__(self, act: Callable[[int], object]) -> None:
        self._act = act
        self.process: int | None = None

    async def __call__(self, state: Mapping[str, Any]) -> None:
        if state["step"] == Step.TRANSCODING and state["progress"] > 7 and self.process is None:
            [self.process] = encode_processes(os.getpid())
            self._act(self.process)


def killing(number: signal.Signals) -> Callable[[int], None]:
    """Send the signal."""
    return lambda process: os.kill(process, number)


class TestDeath:
    @pytest.mark.parametrize(
        ("number", "code", "message"),
        [
            (signal.SIGKILL, "process_died", "was killed"),
            (signal.SIGSEGV, "process_died", "Segmentation fault"),
            (signal.SIGABRT, "process_died", "Aborted"),
            (signal.SIGTERM, "process_died", "Terminated"),
            (signal.SIGXCPU, "resources_exhausted", "CPU time"),
            (signal.SIGSTOP, "resources_exhausted", "without progress"),
        ],
    )
    async def test_a_death_is_published(
        self, clip: Path, tmp_path: Path, scratch: Path, number: signal.Signals, code: str, message: str
    ) -> None:
        """However the process ends or hangs, its parent reports why and goes on."""
        producer, interrupted = RecordingProducer(), Interrupted(killing(number))
        stall_seconds = 3 if number == signal.SIGSTOP else SOON
        options = Options(preset="slower", scratch=scratch, report_seconds=0.01, stall_seconds=stall_seconds)
        original = producer.update

        async def update(status: str | None = None, /, **fields: Any) -> None:
            await original(status, **fields)
            await interrupted(fields)

        producer.update = update  # type: ignore[method-assign]
        with anyio.fail_after(SOON), pytest.raises(EncodeError) as caught:
            await encode(
                clip, channel="c", content_id="v", destination=tmp_path / "out", producer=producer, options=options
            )
        kind, fields = producer.calls[-1]
        assert (kind, fields["error_code"]) == ("fail", code)
        assert message in fields["error_message"] == caught.value.message
        assert encode_processes(os.getpid()) == []
        assert not (tmp_path / "out" / "master.m3u8").exists()

    async def test_cancelling_ends_a_process_that_hangs(self, clip: Path, tmp_path: Path, scratch: Path) -> None:
        """A cancelled encode does not wait for its process to notice."""

        def stop(process: int) -> None:
            os.kill(process, signal.SIGSTOP)
            scope.cancel()

        interrupted = Interrupted(stop)
        options = Options(preset="slower", scratch=scratch, report_seconds=0.01)
        with anyio.fail_after(SOON), anyio.CancelScope() as scope:
            await convert(clip, tmp_path / "out", report=interrupted, options=options)
        assert scope.cancelled_caught
        assert interrupted.process
        assert encode_processes(os.getpid()) == []
        assert not Path(f"/proc/{interrupted.process}").exists()

    @pytest.mark.parametrize("hangs", [False, True])
    def test_no_process_outlives_its_parent(self, clip: Path, tmp_path: Path, hangs: bool) -> None:
        """When the encoder is killed, the process that reads the source ends, even where it hangs."""
        arguments = ("encode", clip, "--preset", "slower", "--hub", "http://127.0.0.1:1")
        with started(*arguments, cwd=tmp_path, env={"TMPDIR": str(tmp_path)}) as parent:
            line_with(parent, "transcoding", of="stderr")
            [process] = encode_processes(parent.pid)
            if hangs:
                os.kill(process, signal.SIGSTOP)
            parent.kill()
            parent.wait(SOON)
            eventually(lambda: not alive(process))

    @pytest.mark.parametrize(
        ("answers", "message"),
        [
            ("nonsense\n", "invalid answer"),
            ('{"type":"Done","value":{"duration":"x"}}\n', "invalid answer"),
            ("\\xff\\xfe\n", "invalid answer"),
            ("x" * 3_000_000, "too long"),
            ("", "exit code 0"),
        ],
        ids=["nonsense", "wrong type", "no text", "too long", "nothing"],
    )
    async def test_a_process_that_is_taken_over_is_not_believed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: str, message: str
    ) -> None:
        """Answers that are no messages of the protocol end the encode with a code."""
        (tmp_path / "taken_over.py").write_text(f"import sys; sys.stdout.write({answers!r})")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setattr("statushub.producers.encode.process.CHILD", "taken_over")
        source = tmp_path / "source"
        source.write_bytes(b"x")
        with anyio.fail_after(SOON), pytest.raises(EncodeError, match=message) as caught:
            await convert(source, tmp_path / "out", report=silent)
        assert caught.value.code == "process_died"


class TestLimits:
    async def test_the_process_has_its_limits(self, clip: Path, tmp_path: Path, scratch: Path) -> None:
        """Memory, CPU time, files and core files are limited in the process, not in its parent."""
        seen: dict[str, int] = {}

        def look(process: int) -> None:
            for line in Path(f"/proc/{process}/limits").read_text().splitlines()[1:]:
                name, soft = line[:26].strip(), line[26:].split()[0]
                seen[name] = -1 if soft == "unlimited" else int(soft)
            seen["oom"] = int(Path(f"/proc/{process}/oom_score_adj").read_text())

        options = Options(preset="slower", scratch=scratch, report_seconds=0.01, cpu_seconds=1234)
        interrupted = Interrupted(look)
        await convert(clip, tmp_path / "out", report=interrupted, options=options)
        assert seen["Max address space"] == MEMORY_BYTES
        assert (seen["Max cpu time"], seen["Max open files"], seen["Max core file size"]) == (1234, OPEN_FILES, 0)
        assert 0 < seen["Max file size"] < 2**33
        assert seen["oom"] == 1000
        assert encode_processes(os.getpid()) == []

    async def test_memory_runs_out_in_the_process(self, tmp_path: Path, scratch: Path) -> None:
        """A source that needs more memory than allowed ends as `resources_exhausted`."""
        source = tmp_path / "source.gif"
        source.write_bytes(gif(8192, 8192))
        error = await refusal(source, scratch, memory_bytes=512 * 1024**2)
        assert error.code == "resources_exhausted"
        assert "memory" in error.message

    def test_the_command_sets_the_memory(self, hub: LiveHub, tmp_path: Path) -> None:
        """`--memory` limits it in GiB, and the command ends with the reason."""
        (tmp_path / "source.gif").write_bytes(gif(8192, 8192))
        arguments = ("--preset", "ultrafast", "--memory", "0.5", "--hub", hub.base_url)
        result = command("encode", "source.gif", *arguments, cwd=tmp_path)
        assert result.returncode == 1
        assert "memory" in result.stderr.splitlines()[-1]

    async def test_cpu_time_runs_out(self, clip: Path, scratch: Path) -> None:
        """A source that needs more CPU time than allowed ends as `resources_exhausted`."""
        error = await refusal(clip, scratch, preset="slower", cpu_seconds=1)
        assert error.code == "resources_exhausted"
        assert "1 s of CPU time" in error.message

    async def test_time_runs_out(self, clip: Path, scratch: Path) -> None:
        """A source that takes longer than allowed ends as `resources_exhausted`."""
        error = await refusal(clip, scratch, preset="slower", encode_seconds=1.5)
        assert error.code == "resources_exhausted"
        assert "longer than 1.5 s" in error.message

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("memory_bytes", 1000),
            ("cpu_seconds", 0),
            ("encode_seconds", 0),
            ("stall_seconds", float("nan")),
            ("download_seconds", float("inf")),
        ],
    )
    def test_a_limit_out_of_range_is_named(self, field: str, value: Any) -> None:
        """No limit can be switched off, or leave no room to start."""
        with pytest.raises(Invalid) as caught:
            Options(**{field: value})
        assert caught.value.field == field

    def test_a_lower_limit_of_the_system_stays(self) -> None:
        """Where the system allows less than the encoder would, its limit holds."""
        limits = ProcessLimits(
            memory_bytes=MEMORY_BYTES, cpu_seconds=1000, file_bytes=2**40, total_seconds=1, stall_seconds=1
        )
        program = (
            "import msgspec, resource, sys\n"
            "from statushub.producers.sources.process_limits import ProcessLimits\n"
            "resource.setrlimit(resource.RLIMIT_CPU, (500, 600))\n"
            "msgspec.json.decode(sys.argv[1], type=ProcessLimits).apply()\n"
            "print(*resource.getrlimit(resource.RLIMIT_CPU))\n"
        )
        arguments = [sys.executable, "-c", program, msgspec.json.encode(limits).decode()]
        assert subprocess.run(arguments, capture_output=True, text=True, check=True).stdout == "600 600\n"

    async def test_a_process_that_is_not_needed_is_not_started(self) -> None:
        """The process starts with its first request, and a request out of order is an error."""
        limits = ProcessLimits(
            memory_bytes=MEMORY_BYTES, cpu_seconds=100, file_bytes=2**30, total_seconds=SOON, stall_seconds=SOON
        )
        async with Process(limits):
            assert encode_processes(os.getpid()) == []
        async with Process(limits) as process:
            with pytest.raises(EncodeError, match="exit code"):
                await process.call(Poster(), type(None), lambda _: None)
        await until(lambda: not encode_processes(os.getpid()))
