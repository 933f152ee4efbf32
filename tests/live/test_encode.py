"""An encode from end to end: its result, its reports, its failures and its cancellation."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import anyio
import av
import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from statushub.hub.model.errors import Invalid
from statushub.hub.model.publication import publication
from statushub.hub.model.vocabulary import ENCODING_PROGRESS
from statushub.producers.clip import write_clip
from statushub.producers.encode import (
    DestinationUnwritable,
    EncodeError,
    NotAVideo,
    Options,
    Result,
    Rung,
    SourceNotFound,
    SourceTooLarge,
    SourceUnreadable,
    Step,
    convert,
    encode,
)
from statushub.producers.encode.progress import Progress
from tests.support.clips import OneWay, moving, play, serving, tone, write
from tests.support.encode_processes import encode_processes
from tests.support.recording_producer import RecordingProducer

pytestmark = pytest.mark.anyio

SECONDS = 5
QUICK = "ultrafast"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five seconds of 320 x 180: two segments, and long enough to be cancelled."""
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", seconds=SECONDS, width=320, height=180)


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One second of 128 x 72: one segment."""
    return write_clip(tmp_path_factory.mktemp("short") / "short.mp4", seconds=1, width=128, height=72)


@pytest.fixture
def options(scratch: Path) -> Options:
    return Options(preset=QUICK, report_seconds=0.02, scratch=scratch)


class Reports(list[dict[str, Any]]):
    """Every report, in order."""

    async def __call__(self, state: Mapping[str, Any]) -> None:
        self.append(dict(state))


async def silent(state: Mapping[str, Any]) -> None:
    """A report that does nothing."""


class Encoded(NamedTuple):
    """A finished encode: its result, the folder of it, and what was reported."""

    result: Result
    folder: Path
    reports: Reports


@pytest.fixture(scope="module")
def encoded(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Encoded:
    """`clip`, converted once for the tests that only look at the result."""
    folder, reports = tmp_path_factory.mktemp("encoded") / "out", Reports()
    options = Options(preset=QUICK, report_seconds=0.01)
    result = anyio.run(partial(convert, clip, folder, report=reports, options=options))
    return Encoded(result, folder, reports)


class TestResult:
    def test_every_rendition_plays_through_in_full(self, encoded: Encoded) -> None:
        """Each rendition has every frame of the source and its audio, as 4:2:0 H.264 and stereo AAC."""
        tracks = play(encoded.folder)
        assert [(track.width, track.height) for track in tracks] == [(320, 180), (160, 90)]
        for track in tracks:
            assert len(track.times) == SECONDS * 30
            assert track.pix_fmt == "yuv420p"
            assert track.audio == [("aac", 2)]
            assert track.heard[-1][0] - track.heard[0][0] == pytest.approx(SECONDS, abs=0.1)
            assert track.heard[0][0] == pytest.approx(track.times[0], abs=0.05)
        assert encoded.result.duration == SECONDS

    def test_master_playlist_describes_its_renditions(self, encoded: Encoded) -> None:
        """BANDWIDTH is the peak of the segments; RESOLUTION and CODECS are those of the video in them."""
        lines = (encoded.folder / "master.m3u8").read_text().split("\n")
        infos = [line for line in lines if line.startswith("#EXT-X-STREAM-INF:")]
        assert lines[0] == "#EXTM3U"
        for info, rendition in zip(infos, encoded.result.renditions, strict=True):
            folder = encoded.folder / rendition.name
            rates = [file.stat().st_size * 8 for file in sorted(folder.glob("*.m4s"))]
            # The second segment lasts one second, less than half of the target, so that it has no separate peak.
            assert rendition.bandwidth == round(rates[0] / 4)
            assert f"BANDWIDTH={rendition.bandwidth},AVERAGE-BANDWIDTH={round(sum(rates) / 5)}," in info
            assert f"RESOLUTION={rendition.width}x{rendition.height}," in info
            with av.open(str(folder / "playlist.m3u8")) as container:
                extradata = container.streams.video[0].codec_context.extradata or b""
            assert f'CODECS="avc1.{extradata[1:4].hex()},mp4a.40.2"' in info

    def test_renditions_are_cut_at_the_same_key_frames(self, encoded: Encoded) -> None:
        """Segments of all renditions begin at the same times, every 4 s."""
        lists = [path.read_text() for path in sorted(encoded.folder.glob("*/playlist.m3u8"))]
        assert lists[0] == lists[1]
        assert [line for line in lists[0].split("\n") if line.startswith("#EXTINF")] == [
            "#EXTINF:4.000000,",
            "#EXTINF:1.000000,",
        ]

    def test_poster_is_a_jpeg_in_the_largest_size(self, encoded: Encoded) -> None:
        """The poster is an image that opens, as large as the best rendition."""
        assert encoded.result.poster == f"{encoded.folder}/poster.jpg"
        with av.open(encoded.result.poster) as image:
            frame = next(image.decode(video=0))
        assert (frame.width, frame.height) == (320, 180)

    def test_size_counts_every_file(self, encoded: Encoded) -> None:
        """`bytes` is the sum of the files at the destination."""
        files = [file for file in encoded.folder.rglob("*") if file.is_file()]
        assert encoded.result.bytes == sum(file.stat().st_size for file in files)

    async def test_public_url_begins_the_published_paths(self, short: Path, tmp_path: Path, scratch: Path) -> None:
        """A page needs the URL that serves the folder, not the folder's own path."""
        options = Options(
            preset=QUICK, scratch=scratch, public_url="https://cdn.example/v/", ladder=(Rung(72, 90_000),)
        )
        result = await convert(short, tmp_path / "out", report=silent, options=options)
        assert result.hls_path == "https://cdn.example/v/master.m3u8"
        assert result.poster == "https://cdn.example/v/poster.jpg"

    async def test_any_fsspec_folder_is_a_destination(self, short: Path, options: Options) -> None:
        """A result uploaded to memory:// is complete."""
        result = await convert(short, "memory://videos/one", report=silent, options=options)
        memory = fsspec.filesystem("memory")
        files = memory.find("/videos/one")
        memory.rm("/videos", recursive=True)
        assert result.hls_path == "memory://videos/one/master.m3u8"
        assert "/videos/one/master.m3u8" in files
        assert "/videos/one/72p/segment-00000.m4s" in files
        assert len(files) == 2 + 2 * 3


class TestReports:
    def test_progress_never_decreases_and_steps_come_in_order(self, encoded: Encoded) -> None:
        """Every step is reported, in order, with a whole-number progress that only grows."""
        reports = encoded.reports
        progress = [report["progress"] for report in reports]
        assert progress == sorted(progress)
        assert all(isinstance(value, int) and 0 <= value <= 99 for value in progress)
        assert list(dict.fromkeys(report["step"] for report in reports)) == [step.value for step in Step]
        assert all(report["step"] == list(Step)[report["step_index"] - 1] for report in reports)
        assert {report["total_steps"] for report in reports} == {len(Step)}

    async def test_progress_is_reported_within_the_transcoding(self, clip: Path, tmp_path: Path) -> None:
        """The longest step is reported more than at its start and end."""
        reports = Reports()
        # Long enough that a busy machine lets this process see some of it.
        options = Options(preset="veryslow", report_seconds=0.01)
        await convert(clip, tmp_path / "out", report=reports, options=options)
        within = {report["progress"] for report in reports if report["step"] == Step.TRANSCODING}
        assert len(within) > 2

    def test_every_report_is_the_whole_state(self, encoded: Encoded) -> None:
        """Each report can be published as it is: it has every field of the video progress route."""
        reports = encoded.reports
        wanted = {"progress", "step", "step_index", "total_steps", "remaining_seconds", "estimated_completion"}
        wanted |= {"hls_path", "duration", "error_reason", "title"}
        assert all(wanted <= report.keys() for report in reports)
        assert reports[0]["title"] == "clip.mp4"
        assert reports[0]["duration"] is None
        assert reports[-1]["duration"] == SECONDS
        assert (reports[-1]["width"], reports[-1]["height"], reports[-1]["fps"]) == (320, 180, 30.0)
        assert all(report["remaining_seconds"] is None or report["remaining_seconds"] >= 0 for report in reports)


class TestPublishing:
    async def test_a_finished_encode_is_published_as_complete(
        self, short: Path, tmp_path: Path, options: Options
    ) -> None:
        """The last state has 100 percent, the path of the result and its properties; those before are
        `encoding_progress` events."""
        producer = RecordingProducer()
        result = await encode(
            short,
            channel="encodes",
            content_id="v1",
            destination=tmp_path / "out",
            producer=producer,
            options=options,
            owner="ann",
            title="Ann's film",
        )
        (first, begin), *updates, (last, end) = producer.calls
        assert (first, begin["status"], begin["owner"]) == ("begin", "PROCESSING", "ann")
        assert (begin["channel"], begin["content_id"]) == ("encodes", "v1")
        assert {kind for kind, _ in updates} == {"update"}
        assert {fields["status"] for _, fields in updates} == {"PROCESSING"}
        assert {fields["title"] for _, fields in [*updates, (last, end)]} == {"Ann's film"}
        for _, fields in updates:
            assert publication(channel="c", content_id="v", data=fields).type == ENCODING_PROGRESS
        assert last == "complete"
        assert (end["progress"], end["remaining_seconds"]) == (100, 0)
        assert end["hls_path"] == result.hls_path == f"{tmp_path / 'out'}/master.m3u8"
        assert end["duration"] == 1
        assert end["poster"].endswith("poster.jpg")
        assert [each["name"] for each in end["renditions"]] == ["72p", "36p"]
        assert end["renditions"][0]["bandwidth"] > end["renditions"][1]["bandwidth"] > 0
        assert end["bytes"] == result.bytes > 0
        assert end["elapsed_seconds"] > 0

    async def test_a_failure_is_published_with_its_code(self, tmp_path: Path, options: Options) -> None:
        """A failed encode publishes the reason in words and as a code, then raises."""
        producer = RecordingProducer()
        with pytest.raises(SourceNotFound):
            await encode(
                tmp_path / "none.mp4",
                channel="c",
                content_id="v",
                destination=tmp_path / "out",
                producer=producer,
                options=options,
            )
        kind, fields = producer.calls[-1]
        assert kind == "fail"
        assert fields["error_code"] == "source_not_found"
        assert fields["error_message"] == fields["error_reason"] == f"{tmp_path / 'none.mp4'} does not exist."
        assert fields["step"] == "downloading"
        assert fields["hls_path"] is fields["remaining_seconds"] is None
        assert isinstance(producer.left_by, SourceNotFound)

    async def test_names_that_are_not_text_can_be_published(
        self, short: Path, tmp_path: Path, options: Options
    ) -> None:
        """A failure is published although the source's name is not text; a destination of such a name is refused."""
        producer = RecordingProducer()
        for source, destination in (("\udcff.mp4", tmp_path / "out"), (short, "\udcff")):
            with pytest.raises(EncodeError):
                await encode(
                    source, channel="c", content_id="v", destination=destination, producer=producer, options=options
                )
            publication(channel="c", content_id="v", data={"status": "FAILED", **producer.calls[-1][1]})


class TestSources:
    async def test_http_source_is_downloaded(self, short: Path, tmp_path: Path, options: Options) -> None:
        """An http URL is read, through a redirect, and its query is not part of the title."""
        reports = Reports()
        with serving(short.read_bytes()) as url:
            await convert(f"{url}/moved.mp4?signature=abc", tmp_path / "out", report=reports, options=options)
        assert play(tmp_path / "out")[0].seconds == pytest.approx(1, abs=0.1)
        assert reports[-1]["title"] == "moved.mp4"

    async def test_http_source_needs_no_length(self, short: Path, tmp_path: Path, options: Options) -> None:
        """A response without a content length is read to its end."""
        with serving(short.read_bytes()) as url:
            result = await convert(f"{url}/chunked.mp4", tmp_path / "out", report=silent, options=options)
        assert result.duration == 1

    @pytest.mark.parametrize(
        ("path", "code"),
        [("missing", "source_not_found"), ("forbidden", "source_unreadable"), ("broken", "source_unreadable")],
    )
    async def test_failed_download_has_a_code(
        self, short: Path, tmp_path: Path, options: Options, path: str, code: str
    ) -> None:
        """A missing, forbidden or incomplete download is distinguished, and its message shows no secret of the URL."""
        with serving(short.read_bytes()) as url, pytest.raises(EncodeError) as caught:
            await convert(f"{url}/{path}.mp4?signature=abc", tmp_path / "out", report=silent, options=options)
        assert caught.value.code == code
        assert "signature" not in caught.value.message
        assert not (tmp_path / "out").exists()

    async def test_unreachable_server_is_unreadable(self, tmp_path: Path, options: Options) -> None:
        """A refused connection is an unreadable source."""
        with pytest.raises(SourceUnreadable):
            await convert("http://127.0.0.1:1/clip.mp4", tmp_path / "out", report=silent, options=options)

    async def test_any_fsspec_file_is_a_source(self, short: Path, tmp_path: Path, options: Options) -> None:
        """A source in memory:// is downloaded and encoded; one that does not exist is not found."""
        fsspec.filesystem("memory").pipe_file("/in/clip.mp4", short.read_bytes())
        result = await convert("memory://in/clip.mp4", tmp_path / "out", report=silent, options=options)
        with pytest.raises(SourceNotFound):
            await convert("memory://in/other.mp4", tmp_path / "out", report=silent, options=options)
        fsspec.filesystem("memory").rm("/in", recursive=True)
        assert result.duration == 1

    async def test_file_url_is_a_local_path(self, short: Path, tmp_path: Path, options: Options) -> None:
        """A file:// URL with escapes is a local file."""
        spaced = tmp_path / "a b.mp4"
        spaced.write_bytes(short.read_bytes())
        reports = Reports()
        await convert(spaced.as_uri(), tmp_path / "out", report=reports, options=options)
        assert reports[0]["title"] == "a b.mp4"

    @pytest.mark.parametrize("source", ["nonsense://clip.mp4", "."])
    async def test_unknown_scheme_and_folder_are_unreadable(
        self, tmp_path: Path, options: Options, source: str
    ) -> None:
        """An unknown kind of URL and a folder cannot be sources."""
        with pytest.raises(SourceUnreadable):
            await convert(source, tmp_path / "out", report=silent, options=options)

    @pytest.mark.parametrize("source", ["local", "memory", "http", "chunked"])
    async def test_source_over_the_size_limit_is_refused(
        self, short: Path, tmp_path: Path, scratch: Path, source: str
    ) -> None:
        """The limit holds whether the size is announced or not."""
        options = Options(source_bytes=1000, scratch=scratch)
        fsspec.filesystem("memory").pipe_file("/in/clip.mp4", short.read_bytes())
        with serving(short.read_bytes()) as url:
            urls = {
                "local": str(short),
                "memory": "memory://in/clip.mp4",
                "http": f"{url}/clip.mp4",
                "chunked": f"{url}/chunked.mp4",
            }
            with pytest.raises(SourceTooLarge):
                await convert(urls[source], tmp_path / "out", report=silent, options=options)
        fsspec.filesystem("memory").rm("/in", recursive=True)

    async def test_source_over_the_time_limit_is_refused(self, short: Path, tmp_path: Path, scratch: Path) -> None:
        """A video that is too long is refused before it is encoded."""
        options = Options(source_seconds=0.5, scratch=scratch)
        with pytest.raises(SourceTooLarge):
            await convert(short, tmp_path / "out", report=silent, options=options)


class TestNotAVideo:
    @pytest.mark.parametrize("content", [b"", b"not a video at all\n" * 100])
    async def test_other_files_are_not_videos(self, tmp_path: Path, options: Options, content: bytes) -> None:
        """An empty file and a text are refused as not a video."""
        path = tmp_path / "notes.mp4"
        path.write_bytes(content)
        with pytest.raises(NotAVideo):
            await convert(path, tmp_path / "out", report=silent, options=options)

    async def test_audio_only_is_not_a_video(self, tmp_path: Path, options: Options) -> None:
        """A song has no video track."""
        with av.open(str(tmp_path / "song.flac"), "w") as container:
            stream = container.add_stream("flac", rate=44_100)
            stream.layout = "mono"
            for frame in tone(0.5, layout="mono", form="s16"):
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        with pytest.raises(NotAVideo, match="no video track"):
            await convert(tmp_path / "song.flac", tmp_path / "out", report=silent, options=options)

    async def test_playlists_are_not_opened(self, tmp_path: Path, options: Options) -> None:
        """A playlist could name any local file (SSRF); it is refused, although it would play."""
        secret = write(tmp_path / "secret.ts", moving(1), container_format="mpegts")
        path = tmp_path / "list.m3u8"
        path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:1,\n{secret.name}\n#EXT-X-ENDLIST\n")
        with av.open(str(path)) as container:
            assert len(list(container.decode(video=0))) == 30
        with pytest.raises(NotAVideo):
            await convert(path, tmp_path / "out", report=silent, options=options)

    async def test_truncated_source_is_not_valid(self, tmp_path: Path, options: Options) -> None:
        """A file that lacks its second half fails, although its first half plays."""
        path = write(tmp_path / "half.mkv", moving(4))
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(EncodeError) as caught:
            await convert(path, tmp_path / "out", report=silent, options=options)
        assert caught.value.code == "validation_failed"
        assert not (tmp_path / "out" / "master.m3u8").exists()


class Leaky(MemoryFileSystem):  # type: ignore[misc]
    """A file system that refuses one of the files it is given, and the removal of the first."""

    protocol = "leaky"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    given: ClassVar[list[str]] = []
    breaks_at: ClassVar[int] = 0

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return "/" + path.removeprefix("leaky://").strip("/")

    def put_file(self, lpath: str, rpath: str, *args: Any, **kwargs: Any) -> None:
        self.given.append(self._strip_protocol(rpath))
        if len(self.given) == self.breaks_at:
            raise OSError(28, "No space left on device")
        super().put_file(lpath, rpath, *args, **kwargs)

    def rm_file(self, path: str) -> None:
        if self.given and path == self.given[0]:
            raise PermissionError(1, "Operation not permitted")
        super().rm_file(path)


@pytest.fixture
def leaky() -> type[Leaky]:
    """An empty file system that accepts every file, until `breaks_at` is set."""
    fsspec.register_implementation("leaky", Leaky, clobber=True)
    Leaky.store.clear()
    Leaky.given.clear()
    Leaky.breaks_at = 0
    return Leaky


class TestDestinations:
    async def test_unwritable_destination_fails_before_the_transcoding(
        self, short: Path, tmp_path: Path, options: Options
    ) -> None:
        """An unwritable folder is reported before hours are spent."""
        (tmp_path / "file").write_text("in the way")
        reports = Reports()
        with pytest.raises(DestinationUnwritable):
            await convert(short, tmp_path / "file" / "out", report=reports, options=options)
        assert reports[-1]["step"] == "preparing"

    async def test_unknown_scheme_of_destination_is_unwritable(self, short: Path, options: Options) -> None:
        """The message names the destination."""
        with pytest.raises(DestinationUnwritable, match="nonsense://there cannot be written to"):
            await convert(short, "nonsense://there", report=silent, options=options)

    async def test_failed_upload_leaves_no_result(self, short: Path, leaky: type[Leaky], options: Options) -> None:
        """When the upload fails, no master playlist is left: not even that of an earlier result."""
        leaky.breaks_at = 3
        destination = fsspec.filesystem("leaky")
        destination.pipe_file("/out/master.m3u8", b"#EXTM3U")
        with pytest.raises(DestinationUnwritable, match="No space left on device"):
            await convert(short, "leaky://out", report=silent, options=options)
        assert destination.find("/out") == leaky.given[:1]

    async def test_master_playlist_comes_last(self, short: Path, leaky: type[Leaky], options: Options) -> None:
        """A playlist is not visible before its segments."""
        await convert(short, "leaky://out", report=silent, options=options)
        assert leaky.given[-1] == "/out/master.m3u8"
        assert sorted(leaky.given) == fsspec.filesystem("leaky").find("/out")

    async def test_second_encode_replaces_the_first(self, short: Path, tmp_path: Path, options: Options) -> None:
        """The same destination can be used again."""
        for _ in range(2):
            await convert(short, tmp_path / "out", report=silent, options=options)
        assert len(play(tmp_path / "out")) == 2


class TestCancellation:
    async def test_cancelling_stops_the_encoder_and_cleans_up(self, clip: Path, tmp_path: Path, scratch: Path) -> None:
        """A cancelled encode ends in the middle of the file, and leaves no file."""
        progress = Progress()
        options = Options(preset="slower", report_seconds=0.01, scratch=scratch)

        async def report(state: Mapping[str, Any]) -> None:
            if state["step"] == Step.TRANSCODING and state["progress"] > 7:
                scope.cancel()

        with anyio.fail_after(20), anyio.CancelScope() as scope:
            await convert(clip, tmp_path / "out", report=report, options=options, progress=progress)
        assert scope.cancelled_caught
        assert encode_processes(os.getpid()) == []
        assert list(scratch.iterdir()) == []
        assert progress.snapshot()["step"] == Step.TRANSCODING
        assert progress.snapshot()["progress"] < 80
        assert list((tmp_path / "out").iterdir()) == []

    async def test_cancelling_the_task_stops_the_encoder(self, clip: Path, tmp_path: Path, scratch: Path) -> None:
        """asyncio cancels tasks, not scopes."""
        progress = Progress()
        options = Options(preset="slower", report_seconds=0.01, scratch=scratch)

        async def report(state: Mapping[str, Any]) -> None:
            if state["step"] == Step.TRANSCODING and state["progress"] > 7:
                task.cancel()

        task = asyncio.ensure_future(convert(clip, tmp_path / "out", report=report, options=options, progress=progress))
        with anyio.fail_after(20), pytest.raises(asyncio.CancelledError):
            await task
        assert encode_processes(os.getpid()) == []
        assert list(scratch.iterdir()) == []
        assert progress.snapshot()["progress"] < 80

    async def test_error_of_a_report_ends_the_encode(self, short: Path, tmp_path: Path, options: Options) -> None:
        """An encode whose report raises is stopped, and cleans up."""

        async def report(state: Mapping[str, Any]) -> None:
            if state["progress"] > 7:
                raise ZeroDivisionError

        with pytest.raises(ExceptionGroup) as caught:
            await convert(short, tmp_path / "out", report=report, options=options)
        assert caught.group_contains(ZeroDivisionError)


class TestOptions:
    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("preset", "warp"),
            ("crf", 52),
            ("ladder", ()),
            ("threads", -1),
            ("segment_seconds", 0),
            ("report_seconds", 0),
        ],
    )
    def test_a_wrong_option_is_named(self, field: str, value: Any) -> None:
        """An option out of range raises an error with its name."""
        with pytest.raises(Invalid) as caught:
            Options(**{field: value})
        assert caught.value.field == field


def test_without_pyav_the_import_names_the_extra() -> None:
    """The error of an installation without the extra says what to install."""
    code = "import sys; sys.modules['av'] = None; import statushub.producers.clip"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'statushub[encode]'" in process.stderr.splitlines()[-1]


async def test_a_recording_without_length_shows_progress(tmp_path: Path, scratch: Path) -> None:
    """A browser's recording states no duration; progress is measured by the bytes read."""
    reports, options = Reports(), Options(preset="slower", report_seconds=0.01, scratch=scratch)
    path = tmp_path / "recorded.mkv"
    target = OneWay(path)
    write(path, moving(3, 320, 180), target=target, container_format="matroska")
    target.close()
    result = await convert(path, tmp_path / "out", report=reports, options=options)
    before = [report for report in reports if report["step"] == Step.TRANSCODING]
    assert before[0]["duration"] is None
    assert before[-1]["progress"] > before[0]["progress"]
    assert isinstance(result, Result)
    assert result.duration == pytest.approx(3, abs=0.1)
