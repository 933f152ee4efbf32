"""Parts of an encode: ladder, estimate, audio, playlists, validation, poster."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest
from msgspec.structs import replace

from statushub.producers.clip import write_clip
from statushub.producers.encode import Options, Rendition, Rung, Step, ValidationFailed
from statushub.producers.encode.audio import RATE, AudioConverter
from statushub.producers.encode.errors import ContentLost, TranscodeFailed
from statushub.producers.encode.frame_rate import FrameRateConverter
from statushub.producers.encode.ladder import renditions
from statushub.producers.encode.losses import check_lost, check_read
from statushub.producers.encode.playlist import Media, Segment, codecs, read
from statushub.producers.encode.poster import contrast, frame_at, poster
from statushub.producers.encode.probe import Video, probe
from statushub.producers.encode.progress import STEPS, WEIGHTS, Progress
from statushub.producers.encode.transcode import transcode
from statushub.producers.encode.validate import validate
from statushub.producers.sources.location import printable
from tests.support.clips import plain, tone, write

SECONDS = 5.0


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def check_fraction(fraction: float) -> None:
    """A progress callback that checks its argument."""
    assert 0 <= fraction <= 1


class TestLadder:
    @pytest.mark.parametrize(
        ("size", "wanted"),
        [
            ((3840, 2160), ["1920x1080", "1280x720", "854x480", "640x360", "426x240"]),
            ((1920, 1080), ["1920x1080", "1280x720", "854x480", "640x360", "426x240"]),
            ((1080, 1920), ["1080x1920", "720x1280", "480x854", "360x640", "240x426"]),
            ((1280, 534), ["1150x480", "862x360", "576x240"]),
            ((400, 300), ["400x300", "320x240"]),
            ((320, 240), ["320x240", "160x120"]),
            ((321, 181), ["320x180", "160x90"]),
            ((323, 180), ["322x180", "162x90"]),
            ((323, 183), ["322x182", "158x90"]),
            ((255, 255), ["254x254", "240x240"]),
            ((1001, 721), ["1000x720", "666x480", "500x360", "334x240"]),
            ((721, 1281), ["720x1280", "480x852", "360x640", "240x426"]),
            ((64, 16), ["64x16"]),
            ((2, 2), ["2x2"]),
            ((1, 1), ["2x2"]),
        ],
    )
    def test_renditions_fit_the_source(self, size: tuple[int, int], wanted: list[str]) -> None:
        """At least two exceed the smallest size, none exceeds the source, and all are even and in proportion."""
        assert [f"{each.width}x{each.height}" for each in renditions(*size)] == wanted

    def test_smaller_renditions_take_fewer_bits(self) -> None:
        """Bit rates decrease with the size, also between the rungs and below them."""
        for side in range(16, 1200, 7):
            rates = [each.bitrate for each in renditions(side * 2, side)]
            assert rates == sorted(rates, reverse=True)


class TestEstimate:
    def test_steady_work_counts_down_steadily(self) -> None:
        """At a constant speed the estimate decreases with time, and is exact."""
        clock = Clock()
        progress = Progress(clock)
        progress.begin(Step.TRANSCODING)
        estimates = []
        for second in range(0, 87):
            clock.now = float(second)
            progress.advance(second / 86)
            estimates.append(progress.snapshot()["remaining_seconds"])
        weight_after = 100 - 5 - 1 - 1 - 86
        assert estimates[:2] == [None, None]
        assert estimates[2:] == [86 - second + weight_after for second in range(2, 87)]

    def test_a_change_of_speed_is_smoothed(self) -> None:
        """When the upload is far slower than the transcoding, the estimate follows within some seconds."""
        clock = Clock()
        progress = Progress(clock)
        progress.begin(Step.TRANSCODING)
        progress.snapshot()
        clock.now = 86.0
        progress.advance(1.0)
        estimates = [progress.snapshot()["remaining_seconds"]]
        progress.begin(Step.UPLOADING)
        for half in range(1, 121):
            clock.now = 86 + half / 2
            progress.advance(half / 200)
            estimates.append(progress.snapshot()["remaining_seconds"])
        assert max(abs(after - before) for before, after in pairwise(estimates)) <= 10
        assert estimates[0] == 7
        assert estimates[-1] == pytest.approx(100 - 60, abs=2)

    def test_without_a_speed_there_is_no_estimate(self) -> None:
        """The speed of a download does not predict the transcoding."""
        clock = Clock()
        progress = Progress(clock)
        progress.begin(Step.DOWNLOADING)
        clock.now = 10
        progress.advance(0.5)
        snapshot = progress.snapshot()
        assert snapshot["remaining_seconds"] is snapshot["estimated_completion"] is None

    def test_completion_is_a_moment_in_utc(self) -> None:
        """`estimated_completion` is ISO 8601 with a Z; a failure has none."""
        clock = Clock()
        progress = Progress(clock)
        progress.begin(Step.TRANSCODING)
        progress.snapshot()
        clock.now = 10
        progress.advance(0.5)
        assert progress.snapshot()["estimated_completion"].endswith("Z")
        assert progress.failure()["estimated_completion"] is None

    def test_weights_sum_to_100(self) -> None:
        """Every step has a weight above 0."""
        assert sum(WEIGHTS[step] for step in STEPS) == 100
        assert min(WEIGHTS.values()) > 0

    def test_a_step_never_goes_back(self) -> None:
        """A lower fraction than before is ignored; one above 1 counts as 1."""
        progress = Progress(Clock())
        progress.begin(Step.TRANSCODING)
        progress.advance(0.5)
        before = progress.snapshot()["progress"]
        progress.advance(0.25)
        assert progress.snapshot()["progress"] == before == 50
        progress.advance(7)
        assert progress.snapshot()["progress"] == 93


class TestAudio:
    def test_overlapping_audio_is_kept_once(self) -> None:
        """Where recordings overlap, repeated audio is dropped, so that the rest stays in sync."""
        audio = AudioConverter(0.0)
        frames = [converted for frame in [*tone(1), *tone(1, start=0.5)] for converted in audio.feed(frame)]
        frames += [*audio.finish(), *audio.rest()]
        assert audio.seconds == pytest.approx(1.5, abs=0.15)
        assert audio.lost == pytest.approx(0.5, abs=0.15)
        assert sum(frame.samples for frame in frames) == round(audio.seconds * RATE)
        assert [frame.pts for frame in frames] == [number * 1024 for number in range(len(frames))]

    def test_hours_of_silence_take_no_memory(self) -> None:
        """Silence is made frame by frame, as it is taken."""
        audio = AudioConverter(0.0)
        frames = audio.fill(9000)
        for _ in range(10):
            next(frames)
        assert audio.seconds <= 2


class TestPlaylists:
    def test_bandwidth_is_the_peak_of_long_enough_runs(self, tmp_path: Path) -> None:
        """A short last segment counts only together with the one before it."""
        sizes = [(4.0, 1000), (4.0, 3000), (1.0, 2000)]
        segments, start = [], 0.0
        for number, (duration, size) in enumerate(sizes):
            path = tmp_path / str(number)
            path.write_bytes(bytes(size))
            segments.append(Segment(path, start, duration))
            start += duration
        media = Media(path=tmp_path, init=tmp_path, segments=tuple(segments), target=4, ended=True)
        assert media.bandwidth == 6000
        assert media.average_bandwidth == round(6000 * 8 / 9)

    def test_an_init_segment_without_h264_is_refused(self) -> None:
        """CODECS cannot be given without a profile and level."""
        with pytest.raises(ValidationFailed):
            codecs(b"\0\0\0\x08ftyp", audio=True)

    def test_codecs_come_from_the_init_segment(self) -> None:
        """High profile, level 3.1, with and without audio."""
        assert codecs(b"....avcC\x01\x64\x00\x1f", audio=True) == "avc1.64001f,mp4a.40.2"
        assert codecs(b"....avcC\x01\x64\x00\x1f", audio=False) == "avc1.64001f"

    def test_secrets_of_a_url_are_not_shown(self) -> None:
        """Messages show no credentials and no signatures; a local path is shown whole."""
        assert printable("https://me:pw@example.org/a.mp4?sig=1#x") == "https://example.org/a.mp4"
        assert printable("/a/b?.mp4") == "/a/b?.mp4"


CHOSEN = [
    Rendition(name="90p", width=160, height=90, bitrate=100_000),
    Rendition(name="44p", width=80, height=44, bitrate=50_000),
]


class Transcoded:
    """A finished transcoding, before its validation."""

    def __init__(self, folder: Path) -> None:
        self.video: Video = probe(write_clip(folder / "in.mp4", seconds=SECONDS, width=160, height=90), 100)
        self.folder = folder / "result"
        self.written = transcode(self.video, CHOSEN, self.folder, Options(preset="ultrafast"), check_fraction)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Transcoded:
    return Transcoded(tmp_path_factory.mktemp("encoded"))


def edit(path: Path, old: str, new: str) -> None:
    """Replace `old`, which must be there, in a text file."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def missing(folder: Path) -> None:
    (folder / "90p" / "segment-00001.m4s").unlink()


def truncated(folder: Path) -> None:
    path = folder / "44p" / "segment-00000.m4s"
    path.write_bytes(path.read_bytes()[:200])


def unfinished(folder: Path) -> None:
    edit(folder / "90p" / "playlist.m3u8", "#EXT-X-ENDLIST", "")


def shortened(folder: Path) -> None:
    edit(folder / "90p" / "playlist.m3u8", "#EXTINF:1.000000,\nsegment-00001.m4s\n", "")


def stretched(folder: Path) -> None:
    edit(folder / "90p" / "playlist.m3u8", "#EXT-X-TARGETDURATION:4", "#EXT-X-TARGETDURATION:2")


def swapped(folder: Path) -> None:
    edit(folder / "90p" / "playlist.m3u8", "segment-00001.m4s", "segment-00000.m4s")


def nonsense(folder: Path) -> None:
    edit(folder / "90p" / "playlist.m3u8", "#EXTINF:4.000000", "#EXTINF:four")


def headless(folder: Path) -> None:
    (folder / "44p" / "init.mp4").write_bytes(b"")


def misaligned(folder: Path) -> None:
    edit(
        folder / "44p" / "playlist.m3u8",
        "#EXTINF:4.000000,\nsegment-00000.m4s\n#EXTINF:1.000000,\nsegment-00001.m4s\n",
        "#EXTINF:5.000000,\nsegment-00000.m4s\n",
    )
    edit(folder / "44p" / "playlist.m3u8", "#EXT-X-TARGETDURATION:4", "#EXT-X-TARGETDURATION:5")


class TestValidation:
    def test_a_complete_result_is_valid(self, made: Transcoded) -> None:
        """A fresh result passes, and its variants describe it."""
        variants = validate(made.video, CHOSEN, made.folder, made.written, check_fraction)
        assert [variant.rendition.name for variant in variants] == ["90p", "44p"]
        assert [len(variant.media.segments) for variant in variants] == [2, 2]
        assert variants[0].fps == 30

    @pytest.mark.parametrize(
        "damage", [missing, truncated, unfinished, shortened, stretched, swapped, nonsense, headless, misaligned]
    )
    def test_a_damaged_result_is_invalid(
        self, made: Transcoded, tmp_path: Path, damage: Callable[[Path], None]
    ) -> None:
        """A missing, truncated, swapped or misdescribed segment is found."""
        folder = tmp_path / "result"
        shutil.copytree(made.folder, folder)
        damage(folder)
        with pytest.raises(ValidationFailed):
            validate(made.video, CHOSEN, folder, made.written, check_fraction)

    @pytest.mark.parametrize("lack", [{"frames": 149}, {"samples": 230_000}])
    def test_a_result_that_lacks_what_was_encoded_is_invalid(self, made: Transcoded, lack: dict[str, int]) -> None:
        """Every frame and every second of sound that was encoded must be in the files."""
        assert (made.written.frames, made.written.samples) == (150, 240_640)
        wanted = {name: 2 * getattr(made.written, name) - count for name, count in lack.items()}
        with pytest.raises(ValidationFailed, match="instead of"):
            validate(made.video, CHOSEN, made.folder, replace(made.written, **wanted), check_fraction)


class TestLosses:
    @pytest.mark.parametrize(("seconds", "lost"), [(5, 0.25), (50, 0.5), (7200, 1.0)])
    def test_a_second_or_a_hundredth_may_be_lost(self, seconds: float, lost: float) -> None:
        """Of what was read, whichever is less; a quarter of a second where the source is short."""
        check_lost("sound", seconds, lost)
        with pytest.raises(ContentLost, match="of the source's sound"):
            check_lost("sound", seconds, lost + 0.01)

    @pytest.mark.parametrize(("stated", "missing"), [(5, 1.0), (600, 6.0)])
    def test_less_than_the_stated_duration_is_invalid(self, stated: float, missing: float) -> None:
        """Headers round, but not by more than a second or a hundredth."""
        check_read(None, 0)
        check_read(stated, stated - missing)
        with pytest.raises(ValidationFailed, match="truncated"):
            check_read(stated, stated - missing - 0.01)

    def test_late_frames_are_counted(self) -> None:
        """A frame whose time has passed is not shown, and its duration is lost."""
        converter = FrameRateConverter(Fraction(30), 0.0)
        frames = list(plain(16, 16, [[20]], count=60))
        shown = [number for frame in (*frames, *frames[:30]) for number, _ in converter.feed(frame)]
        assert shown == list(range(59))
        assert converter.lost == pytest.approx(1)

    def test_frames_before_the_start_are_counted(self) -> None:
        """One of them is shown at the start; the others are lost."""
        converter = FrameRateConverter(Fraction(30), 0.5)
        shown = [number for frame in plain(16, 16, [[20]], count=60) for number, _ in converter.feed(frame)]
        assert shown == list(range(44))
        assert converter.lost == pytest.approx(14 / 30)


class TestPoster:
    def test_black_is_not_chosen(self, tmp_path: Path) -> None:
        """Of a video that is black except for a moment, that moment is the poster."""
        black = list(plain(160, 90, [[16]], count=60))
        scene = list(plain(160, 90, [[30, 220], [200, 50]], count=15))
        frames = [*black[:30], *scene, *black[30:]]
        for number, frame in enumerate(frames):
            frame.pts, frame.time_base = number, Fraction(1, 30)
        video = probe(write(tmp_path / "in.mkv", frames), 100)
        transcode(video, CHOSEN, tmp_path / "result", Options(preset="ultrafast"), check_fraction)
        large, small = (read(tmp_path / "result" / each.name / "playlist.m3u8") for each in CHOSEN)
        with av.open(str(poster(small, large, tmp_path, check_fraction))) as image:
            frame = next(image.decode(video=0))
        assert (frame.width, frame.height) == (160, 90)
        assert contrast(frame) > 50

    def test_no_frame_is_an_error(self, made: Transcoded, tmp_path: Path) -> None:
        """Without a frame that can be decoded there is no poster."""
        media = read(made.folder / "90p" / "playlist.m3u8")
        empty = tmp_path / "empty.m4s"
        empty.write_bytes(b"")
        broken = Media(path=media.path, init=media.init, segments=(Segment(empty, 0.0, 4.0),), target=4, ended=True)
        with pytest.raises(TranscodeFailed):
            frame_at(broken, 1.0)


def test_rungs_may_come_in_any_order() -> None:
    """The renditions are ordered by size, whatever the order of the ladder."""
    names = [each.name for each in renditions(640, 360, (Rung(120, 1), Rung(360, 3), Rung(240, 2)))]
    assert names == ["360p", "240p", "120p"]
