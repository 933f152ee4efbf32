"""An encode from end to end: what it makes, what it reports, how it fails, how it is cancelled."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import traceback
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

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

pytestmark = pytest.mark.anyio

SECONDS = 5
QUICK = "ultrafast"


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five seconds of 320 x 180: two segments."""
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", seconds=SECONDS, width=320, height=180)


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """A folder for temporary files, which must be empty again in the end."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    yield folder
    assert list(folder.iterdir()) == []


@pytest.fixture
def options(scratch: Path) -> Options:
    return Options(preset=QUICK, report_seconds=0.02, scratch=scratch)


class Reports(list[dict[str, Any]]):
    """Everything that was reported."""

    async def __call__(self, state: Mapping[str, Any]) -> None:
        self.append(dict(state))


class Recorded:
    """A producer that remembers what was said, by the SDK's interface."""

    def __init__(self) -> None:
        self.said: list[tuple[str, dict[str, Any]]] = []
        self.left_by: BaseException | None = None

    @asynccontextmanager
    async def work(
        self, content_id: str, *, channel: str, lease: float | None, **fields: Any
    ) -> AsyncIterator[Recorded]:
        self.said.append(("begin", {"content_id": content_id, "channel": channel, "lease": lease, **fields}))
        try:
            yield self
        except BaseException as error:
            self.left_by = error
            raise

    async def update(self, status: str | None = None, /, **fields: Any) -> None:
        publication(channel="c", content_id="x", data={"status": status, **fields})
        self.said.append(("update", {"status": status, **fields}))

    async def complete(self, **fields: Any) -> bool:
        self.said.append(("complete", fields))
        return True

    async def fail(self, message: str | None = None, /, **fields: Any) -> bool:
        self.said.append(("fail", {"error_message": message, **fields}))
        return True


async def silent(state: Mapping[str, Any]) -> None:
    """Reports nothing."""


class TestResult:
    async def test_every_rendition_plays_through_in_full(self, clip: Path, tmp_path: Path, options: Options) -> None:
        """Each rendition holds every picture of the source and its sound, as stereo AAC and 4:2:0 H.264."""
        result = await convert(clip, tmp_path / "out", report=silent, options=options)
        tracks = play(tmp_path / "out")
        assert [(track.width, track.height) for track in tracks] == [(320, 180), (160, 90)]
        for track in tracks:
            assert len(track.times) == SECONDS * 30
            assert track.pix_fmt == "yuv420p"
            assert track.audio == [("aac", 2)]
            assert track.heard[-1][0] - track.heard[0][0] == pytest.approx(SECONDS, abs=0.1)
            assert track.heard[0][0] == pytest.approx(track.times[0], abs=0.05)
        assert result.duration == SECONDS

    async def test_master_playlist_tells_the_truth(self, clip: Path, tmp_path: Path, options: Options) -> None:
        """BANDWIDTH is the peak of the segments, RESOLUTION and CODECS those of the pictures inside."""
        result = await convert(clip, tmp_path / "out", report=silent, options=options)
        lines = (tmp_path / "out" / "master.m3u8").read_text().split("\n")
        infos = [line for line in lines if line.startswith("#EXT-X-STREAM-INF:")]
        assert lines[0] == "#EXTM3U"
        for info, rendition in zip(infos, result.renditions, strict=True):
            folder = tmp_path / "out" / rendition.name
            rates = [file.stat().st_size * 8 for file in sorted(folder.glob("*.m4s"))]
            # The second segment lasts a second: less than half the target, so no peak of its own.
            assert rendition.bandwidth == round(rates[0] / 4)
            assert f"BANDWIDTH={rendition.bandwidth},AVERAGE-BANDWIDTH={round(sum(rates) / 5)}," in info
            assert f"RESOLUTION={rendition.width}x{rendition.height}," in info
            with av.open(str(folder / "playlist.m3u8")) as container:
                extradata = container.streams.video[0].codec_context.extradata or b""
            assert f'CODECS="avc1.{extradata[1:4].hex()},mp4a.40.2"' in info

    async def test_renditions_are_cut_at_the_same_key_frames(
        self, clip: Path, tmp_path: Path, options: Options
    ) -> None:
        """Segments of all renditions begin at the same times, every 4 s, each with a key frame."""
        await convert(clip, tmp_path / "out", report=silent, options=options)
        lists = [path.read_text() for path in sorted((tmp_path / "out").glob("*/playlist.m3u8"))]
        assert lists[0] == lists[1]
        assert [line for line in lists[0].split("\n") if line.startswith("#EXTINF")] == [
            "#EXTINF:4.000000,",
            "#EXTINF:1.000000,",
        ]

    async def test_poster_is_a_jpeg_in_the_largest_size(self, clip: Path, tmp_path: Path, options: Options) -> None:
        """The poster is a real picture that opens, as large as the best rendition."""
        result = await convert(clip, tmp_path / "out", report=silent, options=options)
        assert result.poster == f"{tmp_path / 'out'}/poster.jpg"
        with av.open(result.poster) as picture:
            frame = next(picture.decode(video=0))
        assert (frame.width, frame.height) == (320, 180)

    async def test_public_url_is_what_is_published(self, clip: Path, tmp_path: Path, scratch: Path) -> None:
        """Where the folder is served from is what a page needs to know, not where it lies."""
        options = Options(
            preset=QUICK, scratch=scratch, public_url="https://cdn.example/v/", ladder=(Rung(90, 90_000),)
        )
        result = await convert(clip, tmp_path / "out", report=silent, options=options)
        assert result.hls_path == "https://cdn.example/v/master.m3u8"
        assert result.poster == "https://cdn.example/v/poster.jpg"

    async def test_any_fsspec_folder_is_a_destination(self, clip: Path, options: Options) -> None:
        """A result uploaded to memory:// is complete, and its size is what was reported."""
        result = await convert(clip, "memory://videos/one", report=silent, options=options)
        memory = fsspec.filesystem("memory")
        files = memory.find("/videos/one")
        memory.rm("/videos", recursive=True)
        assert result.hls_path == "memory://videos/one/master.m3u8"
        assert "/videos/one/master.m3u8" in files
        assert "/videos/one/180p/segment-00001.m4s" in files
        assert len(files) == 2 + 2 * 4

    async def test_size_counts_every_file(self, clip: Path, tmp_path: Path, options: Options) -> None:
        """`bytes` is the sum of the files at the destination."""
        result = await convert(clip, tmp_path / "out", report=silent, options=options)
        files = [file for file in (tmp_path / "out").rglob("*") if file.is_file()]
        assert result.bytes == sum(file.stat().st_size for file in files)


class TestReports:
    async def test_progress_never_falls_and_steps_come_in_order(
        self, clip: Path, tmp_path: Path, options: Options
    ) -> None:
        """Every step is reported, in order, with a whole-number progress that only grows."""
        reports = Reports()
        await convert(clip, tmp_path / "out", report=reports, options=options)
        progress = [report["progress"] for report in reports]
        assert progress == sorted(progress)
        assert all(isinstance(value, int) and 0 <= value <= 99 for value in progress)
        assert list(dict.fromkeys(report["step"] for report in reports)) == [step.value for step in Step]
        assert all(report["step"] == list(Step)[report["step_index"] - 1] for report in reports)
        assert {report["total_steps"] for report in reports} == {len(Step)}

    async def test_progress_is_reported_within_the_encoding(self, clip: Path, tmp_path: Path, scratch: Path) -> None:
        """The longest step does not pass in silence."""
        reports = Reports()
        options = Options(preset="medium", report_seconds=0.01, scratch=scratch)
        await convert(clip, tmp_path / "out", report=reports, options=options)
        within = {report["progress"] for report in reports if report["step"] == Step.TRANSCODING}
        assert len(within) > 2

    async def test_every_report_is_the_whole_state(self, clip: Path, tmp_path: Path, options: Options) -> None:
        """Each report can be published alone: it has every field of the video progress route."""
        reports = Reports()
        await convert(clip, tmp_path / "out", report=reports, options=options)
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
        self, clip: Path, tmp_path: Path, options: Options
    ) -> None:
        """The end says 100 percent, where the result is, and what it consists of."""
        producer = Recorded()
        result = await encode(
            clip,
            channel="encodes",
            content_id="v1",
            destination=tmp_path / "out",
            producer=producer,
            options=options,
            owner="ann",
            title="Ann's film",
        )
        (first, begin), *updates, (last, end) = producer.said
        assert (first, begin["status"], begin["owner"]) == ("begin", "PROCESSING", "ann")
        assert (begin["channel"], begin["content_id"]) == ("encodes", "v1")
        assert {fields["status"] for _, fields in updates} == {"PROCESSING"}
        assert {fields["title"] for _, fields in [*updates, (last, end)]} == {"Ann's film"}
        assert last == "complete"
        assert (end["progress"], end["remaining_seconds"]) == (100, 0)
        assert end["hls_path"] == result.hls_path == f"{tmp_path / 'out'}/master.m3u8"
        assert end["duration"] == SECONDS
        assert end["poster"].endswith("poster.jpg")
        assert [each["name"] for each in end["renditions"]] == ["180p", "90p"]
        assert end["renditions"][0]["bandwidth"] > end["renditions"][1]["bandwidth"] > 0
        assert end["bytes"] == result.bytes > 0
        assert end["elapsed_seconds"] > 0

    async def test_updates_are_encoding_progress_events(self, clip: Path, tmp_path: Path, options: Options) -> None:
        """What is reported makes events of the type that pages of encodes listen to."""
        producer = Recorded()
        await encode(
            clip, channel="c", content_id="v", destination=tmp_path / "out", producer=producer, options=options
        )
        for kind, fields in producer.said:
            if kind == "update":
                assert publication(channel="c", content_id="v", data=fields).type == ENCODING_PROGRESS

    async def test_a_failure_is_published_with_its_code(self, tmp_path: Path, options: Options) -> None:
        """A failed encode says why in words and as a code, then raises."""
        producer = Recorded()
        with pytest.raises(SourceNotFound):
            await encode(
                tmp_path / "none.mp4",
                channel="c",
                content_id="v",
                destination=tmp_path / "out",
                producer=producer,
                options=options,
            )
        kind, fields = producer.said[-1]
        assert kind == "fail"
        assert fields["error_code"] == "source_not_found"
        assert fields["error_message"] == fields["error_reason"] == f"{tmp_path / 'none.mp4'} does not exist."
        assert fields["step"] == "downloading"
        assert fields["hls_path"] is fields["remaining_seconds"] is None
        assert isinstance(producer.left_by, SourceNotFound)

    async def test_names_that_are_no_text_can_be_published(self, clip: Path, tmp_path: Path, options: Options) -> None:
        """A file name of stray bytes does not keep the failure from being told; a folder of such a name is refused."""
        producer = Recorded()
        for source, destination in (("\udcff.mp4", tmp_path / "out"), (clip, "\udcff")):
            with pytest.raises(EncodeError):
                await encode(
                    source, channel="c", content_id="v", destination=destination, producer=producer, options=options
                )
            publication(channel="c", content_id="v", data={"status": "FAILED", **producer.said[-1][1]})


class TestSources:
    async def test_http_source_is_downloaded(self, clip: Path, tmp_path: Path, options: Options) -> None:
        """An http URL works, through a redirect, and its query is nobody's title."""
        reports = Reports()
        with serving(clip.read_bytes()) as url:
            await convert(f"{url}/moved.mp4?signature=abc", tmp_path / "out", report=reports, options=options)
        assert play(tmp_path / "out")[0].seconds == pytest.approx(SECONDS, abs=0.1)
        assert reports[-1]["title"] == "moved.mp4"

    async def test_http_source_needs_no_length(self, clip: Path, tmp_path: Path, options: Options) -> None:
        """A server that does not say how much is coming is read to its end."""
        with serving(clip.read_bytes()) as url:
            result = await convert(f"{url}/chunked.mp4", tmp_path / "out", report=silent, options=options)
        assert result.duration == SECONDS

    @pytest.mark.parametrize(
        ("path", "code"),
        [("missing", "source_not_found"), ("forbidden", "source_unreadable"), ("broken", "source_unreadable")],
    )
    async def test_http_source_that_fails_says_how(
        self, clip: Path, tmp_path: Path, options: Options, path: str, code: str
    ) -> None:
        """A missing, refused or broken-off download is told apart, and shows no secret of the URL."""
        with serving(clip.read_bytes()) as url, pytest.raises(EncodeError) as caught:
            await convert(f"{url}/{path}.mp4?signature=abc", tmp_path / "out", report=silent, options=options)
        assert caught.value.code == code
        assert "signature" not in caught.value.message
        assert not (tmp_path / "out").exists()

    async def test_no_server_is_unreadable(self, tmp_path: Path, options: Options) -> None:
        """A server that is not there is an unreadable source."""
        with pytest.raises(SourceUnreadable):
            await convert("http://127.0.0.1:1/clip.mp4", tmp_path / "out", report=silent, options=options)

    async def test_any_fsspec_file_is_a_source(self, clip: Path, tmp_path: Path, options: Options) -> None:
        """A source in memory:// is downloaded and encoded; one that is not there is not found."""
        fsspec.filesystem("memory").pipe_file("/in/clip.mp4", clip.read_bytes())
        result = await convert("memory://in/clip.mp4", tmp_path / "out", report=silent, options=options)
        with pytest.raises(SourceNotFound):
            await convert("memory://in/other.mp4", tmp_path / "out", report=silent, options=options)
        fsspec.filesystem("memory").rm("/in", recursive=True)
        assert result.duration == SECONDS

    async def test_file_url_is_a_local_path(self, clip: Path, tmp_path: Path, options: Options) -> None:
        """A file:// URL with escapes names a local file."""
        spaced = tmp_path / "a b.mp4"
        spaced.write_bytes(clip.read_bytes())
        reports = Reports()
        await convert(spaced.as_uri(), tmp_path / "out", report=reports, options=options)
        assert reports[0]["title"] == "a b.mp4"

    @pytest.mark.parametrize("source", ["nonsense://clip.mp4", "."])
    async def test_what_cannot_be_opened_is_unreadable(self, tmp_path: Path, options: Options, source: str) -> None:
        """An unknown kind of URL and a folder are no sources."""
        with pytest.raises(SourceUnreadable):
            await convert(source, tmp_path / "out", report=silent, options=options)

    @pytest.mark.parametrize("source", ["local", "memory", "http", "chunked"])
    async def test_source_over_the_size_limit_is_refused(
        self, clip: Path, tmp_path: Path, scratch: Path, source: str
    ) -> None:
        """Whoever sends more than is allowed is stopped, whether the size was announced or not."""
        options = Options(source_bytes=1000, scratch=scratch)
        fsspec.filesystem("memory").pipe_file("/in/clip.mp4", clip.read_bytes())
        with serving(clip.read_bytes()) as url:
            urls = {
                "local": str(clip),
                "memory": "memory://in/clip.mp4",
                "http": f"{url}/clip.mp4",
                "chunked": f"{url}/chunked.mp4",
            }
            with pytest.raises(SourceTooLarge):
                await convert(urls[source], tmp_path / "out", report=silent, options=options)
        fsspec.filesystem("memory").rm("/in", recursive=True)

    async def test_source_over_the_time_limit_is_refused(self, clip: Path, tmp_path: Path, scratch: Path) -> None:
        """A video longer than allowed is refused before it is encoded."""
        options = Options(source_seconds=2, scratch=scratch)
        with pytest.raises(SourceTooLarge):
            await convert(clip, tmp_path / "out", report=silent, options=options)


class TestNotAVideo:
    @pytest.mark.parametrize("content", [b"", b"not a video at all\n" * 100])
    async def test_other_files_are_not_videos(self, tmp_path: Path, options: Options, content: bytes) -> None:
        """A file of anything else is refused as not a video."""
        path = tmp_path / "notes.mp4"
        path.write_bytes(content)
        with pytest.raises(NotAVideo):
            await convert(path, tmp_path / "out", report=silent, options=options)

    async def test_sound_alone_is_not_a_video(self, tmp_path: Path, options: Options) -> None:
        """A song has no picture track."""
        with av.open(str(tmp_path / "song.flac"), "w") as container:
            stream = container.add_stream("flac", rate=44_100)
            stream.layout = "mono"
            for frame in tone(0.5, layout="mono", form="s16"):
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        with pytest.raises(NotAVideo, match="no picture track"):
            await convert(tmp_path / "song.flac", tmp_path / "out", report=silent, options=options)

    async def test_playlists_are_not_opened(self, tmp_path: Path, options: Options) -> None:
        """A playlist could name any file of the worker's machine; it is refused, though it would play."""
        secret = write(tmp_path / "secret.ts", moving(1), container_format="mpegts")
        path = tmp_path / "list.m3u8"
        path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:1,\n{secret.name}\n#EXT-X-ENDLIST\n")
        with av.open(str(path)) as container:
            assert len(list(container.decode(video=0))) == 30
        with pytest.raises(NotAVideo):
            await convert(path, tmp_path / "out", report=silent, options=options)

    async def test_cut_off_source_is_not_published_as_ready(self, tmp_path: Path, options: Options) -> None:
        """A file that lacks its second half fails, though its first half plays."""
        path = write(tmp_path / "half.mkv", moving(4))
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(EncodeError) as caught:
            await convert(path, tmp_path / "out", report=silent, options=options)
        assert caught.value.code == "validation_failed"
        assert not (tmp_path / "out" / "master.m3u8").exists()


class Leaky(MemoryFileSystem):  # type: ignore[misc]
    """A file system that refuses one of the files it is given, and to forget the first."""

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
    """An empty file system that keeps everything, until `breaks_at` says otherwise."""
    fsspec.register_implementation("leaky", Leaky, clobber=True)
    Leaky.store.clear()
    Leaky.given.clear()
    Leaky.breaks_at = 0
    return Leaky


class TestDestinations:
    async def test_unwritable_destination_is_found_before_the_encoding(
        self, clip: Path, tmp_path: Path, options: Options
    ) -> None:
        """Nobody waits an hour to hear that the folder cannot be written."""
        (tmp_path / "file").write_text("in the way")
        reports = Reports()
        with pytest.raises(DestinationUnwritable):
            await convert(clip, tmp_path / "file" / "out", report=reports, options=options)
        assert reports[-1]["step"] == "preparing"

    async def test_unknown_kind_of_destination_is_unwritable(self, clip: Path, options: Options) -> None:
        """A destination of a kind nobody knows is refused in words."""
        with pytest.raises(DestinationUnwritable, match="nonsense://there cannot be written to"):
            await convert(clip, "nonsense://there", report=silent, options=options)

    async def test_failed_upload_leaves_no_result(self, clip: Path, leaky: type[Leaky], options: Options) -> None:
        """When the upload breaks off, no master playlist is left: not even that of an earlier result."""
        leaky.breaks_at = 3
        destination = fsspec.filesystem("leaky")
        destination.pipe_file("/out/master.m3u8", b"#EXTM3U")
        with pytest.raises(DestinationUnwritable, match="No space left on device"):
            await convert(clip, "leaky://out", report=silent, options=options)
        assert destination.find("/out") == leaky.given[:1]

    async def test_master_playlist_comes_last(self, clip: Path, leaky: type[Leaky], options: Options) -> None:
        """Nobody finds a playlist whose segments are still on their way."""
        await convert(clip, "leaky://out", report=silent, options=options)
        assert leaky.given[-1] == "/out/master.m3u8"
        assert sorted(leaky.given) == fsspec.filesystem("leaky").find("/out")

    async def test_second_encode_replaces_the_first(self, clip: Path, tmp_path: Path, options: Options) -> None:
        """The same destination can be used again."""
        for _ in range(2):
            await convert(clip, tmp_path / "out", report=silent, options=options)
        assert len(play(tmp_path / "out")) == 2


def encoding() -> bool:
    """Whether any thread is in the middle of an encode."""
    for frame in sys._current_frames().values():
        if any("transcode.py" in call.filename for call in traceback.extract_stack(frame)):
            return True
    return False


class TestCancellation:
    async def test_cancelling_stops_the_encoder_and_cleans_up(self, clip: Path, tmp_path: Path, scratch: Path) -> None:
        """A cancelled encode ends in the middle of the file, and leaves nothing behind."""
        progress = Progress()
        options = Options(preset="slower", report_seconds=0.01, scratch=scratch)

        async def report(state: Mapping[str, Any]) -> None:
            if state["step"] == Step.TRANSCODING and state["progress"] > 7:
                scope.cancel()

        with anyio.fail_after(20), anyio.CancelScope() as scope:
            await convert(clip, tmp_path / "out", report=report, options=options, progress=progress)
        assert scope.cancelled_caught
        assert list(scratch.iterdir()) == []
        assert progress.snapshot()["step"] == Step.TRANSCODING
        assert progress.snapshot()["progress"] < 80
        assert list((tmp_path / "out").iterdir()) == []

    async def test_cancelling_a_task_stops_the_encoder_too(self, clip: Path, tmp_path: Path, scratch: Path) -> None:
        """As asyncio cancels, which knows no scopes."""
        progress = Progress()
        options = Options(preset="slower", report_seconds=0.01, scratch=scratch)

        async def report(state: Mapping[str, Any]) -> None:
            if state["step"] == Step.TRANSCODING and state["progress"] > 7:
                task.cancel()

        task = asyncio.ensure_future(convert(clip, tmp_path / "out", report=report, options=options, progress=progress))
        with anyio.fail_after(20), pytest.raises(asyncio.CancelledError):
            await task
        assert not encoding()
        assert list(scratch.iterdir()) == []
        assert progress.snapshot()["progress"] < 80

    async def test_error_of_a_report_ends_the_encode(self, clip: Path, tmp_path: Path, options: Options) -> None:
        """An encode whose reports cannot be made is stopped, and cleans up."""

        async def report(state: Mapping[str, Any]) -> None:
            if state["progress"] > 7:
                raise ZeroDivisionError

        with pytest.raises(ExceptionGroup) as caught:
            await convert(clip, tmp_path / "out", report=report, options=options)
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
        """An option that breaks a rule raises, naming itself."""
        with pytest.raises(Invalid) as caught:
            Options(**{field: value})
        assert caught.value.field == field

    @pytest.mark.parametrize("module", ["statushub.producers.encode", "statushub.producers.clip"])
    def test_without_pyav_the_import_says_what_to_install(self, module: str) -> None:
        """A worker without the extra is told how to get it."""
        code = f"import sys; sys.modules['av'] = None; import {module}"
        process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert "pip install 'statushub[encode]'" in process.stderr.splitlines()[-1]


async def test_a_recording_without_length_shows_progress(tmp_path: Path, options: Options) -> None:
    """What a browser records names no duration; progress goes by the bytes read."""
    reports = Reports()
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
