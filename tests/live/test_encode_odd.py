"""Sources that are only odd are encoded whole, and a result that would lack something is an error."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import av
import pytest
from av.audio.frame import AudioFrame

from statushub.producers.encode import EncodeError, Options, convert
from statushub.producers.encode.probe import probe
from statushub.producers.encode.reader import Reader
from statushub.producers.encode.tracks import audio_track, video_track
from tests.support.clips import at, moving, plain, play, serving, tone, write
from tests.support.command import environment
from tests.support.odd_media import (
    Cover,
    Held,
    Picture,
    Shift,
    Sound,
    Subtitles,
    held,
    joined,
    mux,
    part,
    song,
    still,
)

pytestmark = pytest.mark.anyio


async def silent(state: Mapping[str, Any]) -> None:
    """A report that does nothing."""


async def encoded(source: Path | str, folder: Path, **options: Any) -> Held:
    """Encode `source` into `folder`, and look at what the result holds."""
    folder.mkdir(exist_ok=True)
    result = await convert(source, folder / "out", report=silent, options=Options(preset="ultrafast", **options))
    found = held(folder / "out")
    assert result.duration == pytest.approx(found.seconds, abs=0.05)
    return found


def check(found: Held, seconds: float, *, sound: bool = True, fps: int = 30, within: float = 0.1) -> None:
    """The result lasts so long, has a frame for each moment of it, and sound to its end, or none."""
    assert found.seconds == pytest.approx(seconds, abs=within)
    assert found.frames == pytest.approx(seconds * fps, abs=within * fps + 1)
    assert found.sound == (pytest.approx(found.seconds, abs=0.1) if sound else None)


async def refusal(source: Path | str, folder: Path, **options: Any) -> EncodeError:
    """The error that encoding `source` ends with, which leaves no result."""
    with pytest.raises(EncodeError) as caught:
        await convert(source, folder / "out", report=silent, options=Options(preset="ultrafast", **options))
    assert not (folder / "out" / "master.m3u8").exists()
    return caught.value


def read(source: Path, kind: str) -> list[float]:
    """When the frames of the source's track of this kind are shown, in seconds."""
    with av.open(str(source)) as container:
        track = {"video": video_track, "audio": audio_track}[kind](container)
        return [frame.time or 0.0 for frame in Reader(container, track, 0.0, 1).frames() if frame]


def quiet(seconds: float, form: str = "fltp") -> list[AudioFrame]:
    """Silence."""
    frames = tone(seconds, form=form)
    for frame in frames:
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
    return frames


class TestClocks:
    @pytest.mark.parametrize("form", ["mpegts", "vob"])
    @pytest.mark.parametrize("sound", [True, False], ids=["sound", "no sound"])
    async def test_joined_recordings_are_whole(self, tmp_path: Path, form: str, sound: bool) -> None:
        """Where the clock starts again, the rest of the file follows."""
        one = part(tmp_path / "part", form=form, sound=sound)
        found = await encoded(joined(tmp_path / "in", one, one, one), tmp_path)
        check(found, 6, sound=sound, within=0.25)
        if sound:
            assert all(play(tmp_path / "out")[0].peak(second + 0.3, second + 0.7) > 0.1 for second in range(6))

    @pytest.mark.parametrize("starts", [(100, 5), (5, 80_000), (90_000, 0), (0, 1.5)], ids=str)
    @pytest.mark.parametrize("sound", [True, False], ids=["sound", "no sound"])
    async def test_parts_may_begin_anywhere(self, tmp_path: Path, starts: tuple[float, ...], sound: bool) -> None:
        """The clock of a joined recording may go back, and forward by minutes or hours."""
        parts = [part(tmp_path / str(number), start=start, sound=sound) for number, start in enumerate(starts)]
        found = await encoded(joined(tmp_path / "in.ts", *parts), tmp_path)
        check(found, 2 * len(starts), sound=sound, within=0.25)

    @pytest.mark.parametrize("form", ["matroska", "mp4"])
    async def test_other_joined_files_are_whole(self, tmp_path: Path, form: str) -> None:
        """Matroska and fragmented MP4 can be joined, too, although libav reads the tracks of the latter apart."""
        options = {"movflags": "frag_keyframe+empty_moov+default_base_moof"} if form == "mp4" else {}
        tracks = Picture(list(moving(2, 64, 36))), Sound(tone(2))
        one = mux(tmp_path / "one", *tracks, container_format=form, options=options)
        check(await encoded(joined(tmp_path / "in", one, one), tmp_path), 4)

    @pytest.mark.parametrize("form", ["mp4", "flv"])
    async def test_joined_files_of_which_only_the_first_can_be_read_are_an_error(
        self, tmp_path: Path, form: str
    ) -> None:
        """A result never silently lacks the files that follow the first."""
        one = mux(tmp_path / "one", Picture(list(moving(1, 64, 36))), Sound(tone(1)), container_format=form)
        check(await encoded(one, tmp_path / "first"), 1)
        assert (await refusal(joined(tmp_path / "in", one, one), tmp_path)).code == "content_lost"

    async def test_a_jump_of_seconds_is_closed_up_where_both_tracks_jump(self, tmp_path: Path) -> None:
        """In a format whose clock may jump, a gap of all tracks is none of the recording."""
        parts = [part(tmp_path / str(start), start=start) for start in (5, 45)]
        check(await encoded(joined(tmp_path / "in.ts", *parts), tmp_path), 4, within=0.15)

    @pytest.mark.parametrize("seconds", [0.1, 0.5])
    async def test_pictures_and_sound_of_a_part_stay_together(self, tmp_path: Path, seconds: float) -> None:
        """The second part's sound begins with its picture, although the first part's ended early."""
        first = mux(
            tmp_path / "1.ts", Picture(list(moving(2, 64, 36))), Sound(tone(seconds)), container_format="mpegts"
        )
        second = part(tmp_path / "2.ts")
        found = await encoded(joined(tmp_path / "in.ts", first, second), tmp_path)
        check(found, 4, within=0.15)
        [track, *_] = play(tmp_path / "out")
        assert track.peak(0.8, 1.8) < 0.01
        assert track.peak(2.2, 3.8) > 0.1

    async def test_a_jump_of_hours_is_closed_up(self, tmp_path: Path) -> None:
        """A clock that jumps in the middle of a file leaves no gap."""
        times = [number / 30 + (9000 if number >= 30 else 0) for number in range(60)]
        sound = [*tone(1), *tone(1, start=9001)]
        source = mux(tmp_path / "in.mkv", Picture(list(at(moving(2, 64, 36), times))), Sound(sound, "libmp3lame"))
        found = await encoded(source, tmp_path)
        check(found, 2, within=0.2)

    @pytest.mark.parametrize("name", ["in.mp4", "in.mkv"])
    async def test_a_picture_may_rest_for_ten_minutes(self, tmp_path: Path, name: str) -> None:
        """Two pictures that are ten minutes apart last ten minutes."""
        found = await encoded(mux(tmp_path / name, Picture(still(2, 601), fps=10)), tmp_path)
        check(found, 601, sound=False, fps=10, within=0.5)

    def test_a_picture_may_rest_for_hours_while_the_sound_goes_on(self, tmp_path: Path) -> None:
        """What would be a jump of the clock is a rest where another track has packets in between."""
        sound = [frame for start in (0, 3000, 6000, 9000) for frame in tone(0.5, start=start)]
        picture = Picture(still(2, 9000), fps=10)
        source = mux(tmp_path / "in.mkv", picture, Sound(sound, "libmp3lame"))
        assert read(source, "video") == pytest.approx([0, 9000])
        assert read(source, "audio")[-1] == pytest.approx(9000.5, abs=0.1)

    def test_a_stated_duration_is_no_jump(self, tmp_path: Path) -> None:
        """An MP4 says how long it shows each frame, which may be hours."""
        source = mux(tmp_path / "in.mp4", Picture(still(2, 9000), fps=10))
        assert read(source, "video") == pytest.approx([0, 9000])

    @pytest.mark.parametrize("shift", [(20_000, 20_000), (0, 9_000)], ids=["decoded and shown", "shown"])
    def test_a_damaged_clock_takes_nothing_along(self, tmp_path: Path, shift: Shift) -> None:
        """A packet whose timestamps are hours off is shown in its place, and those after it in theirs."""
        times = [number / 30 for number in range(30)]
        parts = [
            mux(
                tmp_path / str(number),
                Picture(list(at(moving(1 / 30, 32, 32), [time]))),
                container_format="mpegts",
                shift=shift if number == 10 else (0, 0),
            )
            for number, time in enumerate(times)
        ]
        assert read(joined(tmp_path / "in.ts", *parts), "video") == pytest.approx(times, abs=0.1)

    async def test_a_still_image_lasts_as_long_as_its_sound(self, tmp_path: Path) -> None:
        """One picture with eleven minutes of sound lasts eleven minutes."""
        sound = [*tone(0.5), *tone(0.5, start=659.5)]
        source = mux(tmp_path / "in.mkv", Picture(still(), fps=10), Sound(sound, "libmp3lame"))
        found = await encoded(source, tmp_path)
        check(found, 660, fps=10, within=0.3)

    async def test_sound_far_from_its_picture_is_kept(self, tmp_path: Path) -> None:
        """A file that holds the picture before the sound keeps both."""
        picture = Picture(list(moving(40, 16, 16, 10)), fps=10)
        sound = [*tone(0.5), *tone(0.5, start=39.5)]
        source = mux(tmp_path / "in.mkv", picture, Sound(sound, "libmp3lame"), interleaved=False)
        found = await encoded(source, tmp_path)
        check(found, 40, fps=10, within=0.2)
        [track] = play(tmp_path / "out")
        assert track.peak(0.1, 0.4) > 0.1
        assert track.peak(39.6, 39.9) > 0.1

    @pytest.mark.parametrize("form", ["matroska", "mp4", "mpegts"])
    async def test_timestamps_may_be_negative(self, tmp_path: Path, form: str) -> None:
        """A file that begins before 0 is whole."""
        picture, sound = Picture(list(moving(2, 64, 36))), Sound(tone(2))
        options = {"avoid_negative_ts": "disabled"}
        source = mux(tmp_path / "in", picture, sound, container_format=form, options=options, shift=(-0.5, -0.5))
        found = await encoded(source, tmp_path)
        # An MP4 has an edit list that leaves out what is before 0.
        check(found, 1.5 if form == "mp4" else 2, within=0.2)

    async def test_an_edit_list_may_delay_the_picture(self, tmp_path: Path) -> None:
        """The empty edit with which an MP4 begins is a picture that is shown from the start."""
        picture = Picture(list(at(moving(1, 64, 36), [1 + number / 30 for number in range(30)])))
        found = await encoded(mux(tmp_path / "in.mp4", picture, Sound(tone(2))), tmp_path)
        check(found, 2)


class TestTracks:
    @pytest.mark.parametrize(("name", "codec"), [("in.mkv", "subrip"), ("in.mp4", "mov_text")])
    async def test_subtitles_may_outlast_the_picture(self, tmp_path: Path, name: str, codec: str) -> None:
        """A last subtitle that ends hours later changes nothing."""
        subtitles = Subtitles([(0.5, 1), (1.5, 359_999 if codec == "subrip" else 9)], codec)
        source = mux(tmp_path / name, Picture(list(moving(2, 64, 36))), Sound(tone(2)), subtitles)
        assert probe(source, 100).duration == pytest.approx(2, abs=0.1)
        check(await encoded(source, tmp_path), 2)

    @pytest.mark.parametrize("name", ["in.mkv", "in.mp4", "in.ts"])
    async def test_a_second_sound_may_outlast_the_picture(self, tmp_path: Path, name: str) -> None:
        """A track that is not encoded does not count."""
        source = mux(tmp_path / name, Picture(list(moving(2, 64, 36))), Sound(tone(2), default=True), Sound(tone(6)))
        found = await encoded(source, tmp_path)
        check(found, 2)

    @pytest.mark.parametrize(("name", "codec"), [("in.mkv", b"A_ALAC"), ("in.mp4", b"alac")])
    async def test_a_sound_without_a_decoder_is_passed_over(self, tmp_path: Path, name: str, codec: bytes) -> None:
        """The first track that can be decoded is heard."""
        sounds = Sound(quiet(1, "s16p"), "alac", default=True), Sound(tone(1))
        source = mux(tmp_path / name, Picture(list(moving(1, 64, 36))), *sounds)
        source.write_bytes(source.read_bytes().replace(codec, codec[:-1] + b"X", 1))
        found = await encoded(source, tmp_path)
        check(found, 1)
        assert play(tmp_path / "out")[0].peak(0.3, 0.8) > 0.1

    async def test_sound_that_nothing_decodes_is_an_error(self, tmp_path: Path) -> None:
        """A video does not silently become silent."""
        source = mux(tmp_path / "in.mkv", Picture(list(moving(1, 64, 36))), Sound(tone(1)))
        source.write_bytes(source.read_bytes().replace(b"A_AAC", b"A_XXX", 1))
        error = await refusal(source, tmp_path)
        assert error.code == "content_lost"
        assert "sound" in error.message

    @pytest.mark.parametrize("name", ["in.mkv", "in.mp4"])
    async def test_the_default_track_is_encoded(self, tmp_path: Path, name: str) -> None:
        """Of several, the picture and the sound that a player would choose."""
        pictures = Picture(list(plain(64, 36, [[40]], 30))), Picture(list(plain(64, 36, [[200]], 30)), default=True)
        source = mux(tmp_path / name, *pictures, Sound(quiet(1)), Sound(tone(1), default=True))
        found = await encoded(source, tmp_path)
        check(found, 1)
        [track, *_] = play(tmp_path / "out")
        assert track.corners[0][0] == pytest.approx(200, abs=6)
        assert track.peak(0.3, 0.8) > 0.1

    async def test_a_song_shows_its_cover(self, tmp_path: Path) -> None:
        """An MP3 with a cover image is a picture that lasts as long as the song."""
        found = await encoded(song(tmp_path / "in.mp3", 3), tmp_path)
        check(found, 3, fps=10, within=0.2)
        assert play(tmp_path / "out")[0].peak(0.3, 2.8) > 0.1

    async def test_a_film_with_a_cover_shows_the_film(self, tmp_path: Path) -> None:
        """The cover comes first in the file, and is not the picture."""
        source = mux(tmp_path / "in.mkv", Cover(), Picture(list(moving(1, 64, 36))), Sound(tone(1)))
        check(await encoded(source, tmp_path), 1)

    async def test_a_cover_alone_is_not_a_video(self, tmp_path: Path) -> None:
        """An image lasts no time without sound."""
        source = mux(tmp_path / "in.mkv", Cover(), Subtitles([(0, 1)]))
        assert (await refusal(source, tmp_path)).code == "not_a_video"


ORIENTATIONS = {
    (0, False, False): [[20, 90], [160, 230]],
    (0, True, False): [[90, 20], [230, 160]],
    (0, False, True): [[160, 230], [20, 90]],
    (180, False, False): [[230, 160], [90, 20]],
    (90, False, False): [[90, 230], [20, 160]],
    (-90, False, False): [[160, 20], [230, 90]],
    (90, True, False): [[230, 90], [160, 20]],
    (90, False, True): [[20, 160], [90, 230]],
}
"""What is seen of four gray quarters by each display matrix: rotated counter-clockwise, then mirrored or flipped."""


@pytest.mark.parametrize("matrix", ORIENTATIONS, ids=str)
async def test_mirrored_pictures_are_shown_as_players_do(tmp_path: Path, matrix: tuple[int, bool, bool]) -> None:
    """All eight orientations, as cameras and editors write them."""
    picture = Picture(list(plain(128, 64, [[20, 90], [160, 230]])), matrix=matrix)
    found = await encoded(mux(tmp_path / "in.mp4", picture), tmp_path)
    assert found.frames == 15
    [track, *_] = play(tmp_path / "out")
    assert (track.width, track.height) == ((64, 128) if abs(matrix[0]) == 90 else (128, 64))
    assert track.corners == [[pytest.approx(level, abs=6) for level in row] for row in ORIENTATIONS[matrix]]


NAMES = [
    "12:30.mp4",
    "a b.mp4",
    "100%.mp4",
    "%05d.mp4",
    "кино 映画.mp4",
    "-i.mp4",
    "a\nb.mp4",
    "file:a.mp4",
    "\udcff.mp4",
]


@pytest.mark.parametrize("name", NAMES)
async def test_any_relative_name_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A colon is no protocol, a percent sign no pattern, and a dash no option, in source, scratch and destination."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "in.mp4", moving(0.5, 32, 32)).rename(tmp_path / name)
    # fsspec, which writes the result, takes only text, and what precedes such a colon for a protocol.
    folder = "out" if name in ("\udcff.mp4", "file:a.mp4") else f"{name}.out"
    scratch = Path(f"{name}.tmp")
    scratch.mkdir()
    options = Options(preset="ultrafast", scratch=scratch)
    await convert(name, folder, report=silent, options=options)
    check(held(tmp_path / folder), 0.5, sound=False)
    assert list(scratch.iterdir()) == []


def late(path: Path) -> Path:
    """Two seconds whose frames are shown half a minute late, then two seconds whose frames are not."""
    first, second = list(moving(2, 64, 36)), list(moving(2, 64, 36))
    one = mux(path.with_suffix(".1"), Picture(first), container_format="mpegts", shift=(0, 30))
    other = mux(path.with_suffix(".2"), Picture(second), container_format="mpegts", shift=(2, 2))
    return joined(path, one, other)


class TestLosses:
    async def test_frames_that_come_too_late_are_an_error(self, tmp_path: Path) -> None:
        """A result that would lack seconds of the picture is not complete, but says what is lost."""
        error = await refusal(late(tmp_path / "in.ts"), tmp_path)
        assert error.code == "content_lost"
        assert "2.0 s of the" in error.message
        assert "picture" in error.message

    @pytest.mark.parametrize(
        ("name", "options"), [("in.mkv", {}), ("in.mp4", {"movflags": "faststart"}), ("in.avi", {}), ("in.flv", {})]
    )
    async def test_a_truncated_file_is_an_error(self, tmp_path: Path, name: str, options: dict[str, str]) -> None:
        """A file that lacks a part of what it states is not complete."""
        codec = "libmp3lame" if name == "in.avi" else "aac"
        source = mux(tmp_path / name, Picture(list(moving(8, 64, 36))), Sound(tone(8), codec), options=options)
        source.write_bytes(source.read_bytes()[: source.stat().st_size * 3 // 4])
        error = await refusal(source, tmp_path)
        assert error.code == "validation_failed"
        assert "truncated" in error.message

    async def test_a_file_without_its_index_is_not_a_video(self, tmp_path: Path) -> None:
        """An MP4 whose end is missing states nothing of what it holds."""
        source = mux(tmp_path / "in.mp4", Picture(list(moving(1, 64, 36))))
        source.write_bytes(source.read_bytes()[:-200])
        assert (await refusal(source, tmp_path)).code == "not_a_video"

    async def test_a_missing_scratch_folder_is_named(self, tmp_path: Path) -> None:
        """An encode that cannot begin is an error of its own."""
        source = write(tmp_path / "in.mp4", moving(0.5, 32, 32))
        error = await refusal(source, tmp_path, scratch=tmp_path / "none")
        assert (error.code, error.field) == ("scratch_unwritable", "scratch")


FULL_DISK = """
import anyio, pathlib, sys
from statushub.producers.encode import EncodeError, Options, convert
async def silent(state): pass
async def main():
    scratch, source = pathlib.Path(sys.argv[1]), sys.argv[2]
    for _ in range(2):
        try:
            options = Options(preset="ultrafast", crf=1, scratch=scratch)
            await convert(source, sys.argv[3], report=silent, options=options)
            print("complete")
        except EncodeError as error:
            print(error.code, error.message)
        print(len(list(scratch.iterdir())))
anyio.run(main)
"""


def mounted(folder: Path, size: str, *command: str) -> list[str]:
    """`command`, with a disk of `size` at `folder`, which other processes do not see."""
    return [
        "unshare",
        "-rm",
        "sh",
        "-c",
        f'mount -t tmpfs -o size={size} none "$0" && exec "$@"',
        str(folder),
        *command,
    ]


@pytest.fixture
def disk(tmp_path: Path) -> Callable[..., list[str]]:
    """Makes a command that has a small disk, where the system lets this user mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(mounted(folder, "1m", "true"), capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount a disk")
    return lambda size, *command: mounted(folder, size, *command)


@pytest.mark.parametrize("size", ["48k", "200k", "400k"])
def test_a_full_scratch_disk_is_named(disk: Callable[..., list[str]], tmp_path: Path, size: str) -> None:
    """A disk that fills at any step is an error of its own, and is empty again afterwards."""
    source = mux(tmp_path / "in.mp4", Picture(list(moving(6, 320, 180))), Sound(tone(6)))
    command = disk(size, sys.executable, "-c", FULL_DISK, str(tmp_path / "disk"), str(source), str(tmp_path / "out"))
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60, check=True)
    said = "scratch_unwritable The folder for temporary files cannot be written to: No space left on device."
    assert done.stdout.splitlines() == [said, "0"] * 2


@pytest.mark.parametrize("kind", ["web", "archive"])
def test_a_download_that_fills_the_disk_is_no_fault_of_the_source(
    disk: Callable[..., list[str]], tmp_path: Path, kind: str
) -> None:
    """A source that does not fit into the scratch folder is not called unreadable."""
    with ZipFile(tmp_path / "in.zip", "w") as archive:
        archive.writestr("in.mp4", bytes(200_000))
    with serving(bytes(200_000)) as url:
        source = f"{url}/clip.mp4" if kind == "web" else f"zip://in.mp4::file://{tmp_path}/in.zip"
        command = disk("64k", sys.executable, "-c", FULL_DISK, str(tmp_path / "disk"), source, str(tmp_path / "out"))
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[0].startswith("scratch_unwritable")
