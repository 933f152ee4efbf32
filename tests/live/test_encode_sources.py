"""Sources as people upload them: rotated, odd-sized, irregular, silent, damaged."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from statushub.producers.encode import EncodeError, NotAVideo, Options, Result, Rung, SourceTooLarge, convert
from statushub.producers.encode.probe import probe
from tests.support.clips import Track, at, audio_span, combing, interlaced, moving, plain, play, pq, tone, write

pytestmark = pytest.mark.anyio


async def encoded(source: Path, **options: Any) -> tuple[Result, list[Track]]:
    """Encode `source` into a folder beside it, and play the result."""

    async def silent(state: Mapping[str, Any]) -> None:
        """Do nothing."""

    result = await convert(source, source.parent / "out", report=silent, options=Options(preset="ultrafast", **options))
    return result, play(source.parent / "out")


class TestPicture:
    @pytest.mark.parametrize(
        ("degrees", "rotated"),
        [
            (90, [[90, 230], [20, 160]]),
            (180, [[230, 160], [90, 20]]),
            (-90, [[160, 20], [230, 90]]),
        ],
    )
    async def test_rotation_metadata_is_applied(self, tmp_path: Path, degrees: int, rotated: list[list[int]]) -> None:
        """A phone's display matrix rotates by `degrees` counter-clockwise, as players do."""
        source = write(tmp_path / "in.mp4", plain(160, 80, [[20, 90], [160, 230]]), rotation=degrees)
        _, tracks = await encoded(source)
        assert (tracks[0].width, tracks[0].height) == ((80, 160) if degrees != 180 else (160, 80))
        assert tracks[0].corners == [[pytest.approx(level, abs=6) for level in row] for row in rotated]

    async def test_odd_sizes_are_rounded_down_to_even(self, tmp_path: Path) -> None:
        """H.264 with 4:2:0 needs even sizes; a lost pixel is invisible."""
        odd = write(
            tmp_path / "odd.mkv", (f.reformat(161, 91, "yuv444p") for f in moving(0.5)), codec="ffv1", pix_fmt="yuv444p"
        )
        assert (probe(odd, 100).width, probe(odd, 100).height) == (161, 91)
        _, tracks = await encoded(odd)
        assert (tracks[0].width, tracks[0].height) == (160, 90)

    @pytest.mark.parametrize(
        ("codec", "pix_fmt"),
        [
            ("ffv1", "yuv420p10le"),
            ("ffv1", "yuv422p10le"),
            ("ffv1", "yuv444p"),
            ("ffv1", "yuva420p"),
            ("ffv1", "gray"),
            ("ffv1", "bgr0"),
            ("mjpeg", "yuvj420p"),
        ],
    )
    async def test_any_pixel_format_becomes_8_bit_420(self, tmp_path: Path, codec: str, pix_fmt: str) -> None:
        """Ten bits, full chroma, alpha, gray, RGB and full range become what browsers play, of the same brightness."""
        source = write(tmp_path / "in.mkv", plain(160, 90, [[40, 200]]), codec=codec, pix_fmt=pix_fmt)
        _, tracks = await encoded(source)
        assert tracks[0].pix_fmt == "yuv420p"
        assert tracks[0].corners[0] == [pytest.approx(40, abs=5), pytest.approx(200, abs=5)]

    async def test_hdr_becomes_bt709(self, tmp_path: Path) -> None:
        """Reference white of a PQ video is nearly white in the result, not the gray of its code values."""
        source = write(tmp_path / "in.mkv", pq(48, 28, 573), codec="ffv1", pix_fmt="yuv420p10le")
        assert probe(source, 100).colour.transfer == 16
        _, tracks = await encoded(source)
        assert tracks[0].corners[0][0] > 220
        assert (tracks[0].transfer, tracks[0].pix_fmt) == (1, "yuv420p")

    async def test_anamorphic_pixels_become_square(self, tmp_path: Path) -> None:
        """An anamorphic video gets the width at which a player shows it."""
        source = write(tmp_path / "in.mkv", moving(0.5, 160, 120), aspect=Fraction(4, 3))
        _, tracks = await encoded(source)
        assert (tracks[0].width, tracks[0].height) == (212, 120)

    async def test_interlaced_video_is_deinterlaced(self, tmp_path: Path) -> None:
        """No frame mixes lines of two moments, and no frame is lost in the look-ahead."""
        options = {"preset": "ultrafast", "x264-params": "tff=1", "flags": "+ildct+ilme"}
        source = write(tmp_path / "in.mp4", interlaced(), options=options)
        assert probe(source, 100).interlaced
        assert combing(source) > 4
        _, tracks = await encoded(source)
        assert len(tracks[0].times) == 30
        assert combing(tmp_path / "out" / "96p" / "playlist.m3u8") < 2

    async def test_tiny_video_has_one_rendition(self, tmp_path: Path) -> None:
        """A rendition below the smallest useful size is not made."""
        source = write(tmp_path / "in.mkv", (f.reformat(18, 16) for f in moving(0.5)))
        result, _ = await encoded(source)
        assert [each.name for each in result.renditions] == ["16p"]

    async def test_change_of_size_midway_is_scaled(self, tmp_path: Path) -> None:
        """A broadcast that changes its size is scaled to its first."""
        first = write(tmp_path / "1.ts", moving(1, 160, 90), container_format="mpegts")
        second = write(
            tmp_path / "2.ts", at(moving(1, 320, 180), [1 + n / 30 for n in range(30)]), container_format="mpegts"
        )
        source = tmp_path / "in.ts"
        source.write_bytes(first.read_bytes() + second.read_bytes())
        _, tracks = await encoded(source)
        assert (tracks[0].width, tracks[0].height) == (160, 90)
        assert tracks[0].seconds == pytest.approx(2, abs=0.2)


class TestTiming:
    async def test_variable_frame_rate_becomes_constant(self, tmp_path: Path) -> None:
        """A pause of three seconds repeats the last frame, and segments are cut within it."""
        times = [0, 0.03, 0.07, 0.5, 0.52, 3.5, 3.6, 4.9, 5.0]
        source = write(tmp_path / "in.mkv", at(moving(1), times))
        result, tracks = await encoded(source)
        assert result.duration == pytest.approx(5.03, abs=0.1)
        steps = {round(b - a, 3) for a, b in pairwise(tracks[0].times)}
        assert max(steps) - min(steps) <= 0.002
        assert len(list((tmp_path / "out").glob("*/*.m4s"))) == 2 * 2

    async def test_high_frame_rate_is_reduced_to_60(self, tmp_path: Path) -> None:
        """Every second frame of 120 a second is dropped; the duration stays."""
        source = write(tmp_path / "in.mp4", moving(1, fps=120), fps=120)
        _, tracks = await encoded(source)
        assert len(tracks[0].times) == 60

    async def test_low_frame_rate_is_raised_to_10(self, tmp_path: Path) -> None:
        """The frames of a slide show are repeated, so that segments can be cut every few seconds."""
        source = write(tmp_path / "in.mkv", moving(6, fps=1), fps=1)
        result, tracks = await encoded(source)
        assert result.duration == pytest.approx(6, abs=0.1)
        assert len(tracks[0].times) == 60

    @pytest.mark.parametrize("count", [1, 6])
    async def test_very_short_video_is_whole(self, tmp_path: Path, count: int) -> None:
        """Less than a second, even a single frame, makes a result that plays."""
        source = write(tmp_path / "in.mp4", list(moving(1))[:count])
        result, tracks = await encoded(source)
        assert len(tracks[0].times) == count
        assert "#EXT-X-TARGETDURATION:1\n" in next((tmp_path / "out").glob("*/playlist.m3u8")).read_text()
        assert result.duration == pytest.approx(count / 30, abs=0.01)

    async def test_timestamps_need_not_begin_at_0(self, tmp_path: Path) -> None:
        """A part of a broadcast that begins at 100 s becomes a result that begins at 0."""
        frames = at(moving(1), [100 + n / 30 for n in range(30)])
        result, tracks = await encoded(write(tmp_path / "in.mkv", frames, sound=tone(1, start=100)))
        assert result.duration == pytest.approx(1, abs=0.1)
        assert tracks[0].peak(0.2, 0.8) > 0.1

    async def test_jump_of_the_timestamps_is_closed_up(self, tmp_path: Path) -> None:
        """A jump by hours is not filled with repeated frames, and no frame is lost."""
        source = write(tmp_path / "in.mkv", at(moving(1), [0, 0.1, 0.2, 9000]))
        result, tracks = await encoded(source)
        assert result.duration == pytest.approx(0.3, abs=0.1)
        assert tracks[0].seconds == pytest.approx(0.25, abs=0.1)


class TestAudio:
    async def test_video_without_audio_gets_no_audio_track(self, tmp_path: Path) -> None:
        """No audio is added, and CODECS does not list it."""
        _, tracks = await encoded(write(tmp_path / "in.mp4", moving(1)))
        assert tracks[0].audio == []
        assert "mp4a" not in (tmp_path / "out" / "master.m3u8").read_text()

    @pytest.mark.parametrize("layout", ["mono", "stereo", "5.1", "7.1"])
    async def test_any_layout_becomes_stereo(self, tmp_path: Path, layout: str) -> None:
        """Mono and surround become audible stereo."""
        sound = tone(1, layout=layout, form="s16")
        source = write(tmp_path / "in.mkv", moving(1), sound=sound, sound_codec="pcm_s16le")
        _, tracks = await encoded(source)
        assert {track.audio[0] for track in tracks} == {("aac", 2)}
        assert tracks[0].peak(0.2, 0.8) > 0.1

    async def test_audio_longer_than_the_video_is_kept(self, tmp_path: Path) -> None:
        """The last frame is repeated until the audio ends."""
        source = write(tmp_path / "in.mp4", moving(1), sound=tone(3))
        result, tracks = await encoded(source)
        assert result.duration == pytest.approx(3, abs=0.1)
        assert tracks[0].seconds == pytest.approx(3, abs=0.1)
        assert tracks[0].peak(2.5, 2.9) > 0.1

    async def test_audio_that_ends_early_is_followed_by_silence(self, tmp_path: Path) -> None:
        """Every segment has both tracks to its end: players stall where one is missing."""
        source = write(tmp_path / "in.mp4", moving(3), sound=tone(1))
        _, tracks = await encoded(source)
        assert tracks[0].heard[-1][0] == pytest.approx(tracks[0].times[-1], abs=0.1)
        assert tracks[0].peak(2, 3) < 0.01

    async def test_audio_that_begins_late_stays_in_sync(self, tmp_path: Path) -> None:
        """Silence precedes audio that begins later than the video."""
        source = write(tmp_path / "in.mkv", moving(2), sound=tone(1, start=1))
        _, tracks = await encoded(source)
        assert tracks[0].peak(0, 0.9) < 0.01
        assert tracks[0].peak(1.1, 1.9) > 0.1

    async def test_video_is_not_delayed_by_missing_audio(self, tmp_path: Path) -> None:
        """Audio only at the beginning and the end is silent in between, and in the segments of its time."""
        sound = [*tone(0.5), *tone(0.5, start=71.5)]
        source = write(
            tmp_path / "in.mkv", moving(72, 64, 36, 10), fps=10, sound=sound, sound_codec="libmp3lame", together=True
        )
        result, tracks = await encoded(source)
        assert result.duration == pytest.approx(72, abs=0.2)
        assert tracks[0].peak(1, 71) < 0.01
        assert tracks[0].peak(71.6, 71.9) > 0.1
        folder = tmp_path / "out" / "36p"
        for number, segment in enumerate(sorted(folder.glob("*.m4s"))):
            first, last = audio_span(folder / "init.mp4", segment)
            assert first == pytest.approx(4 * number, abs=1)
            assert last == pytest.approx(4 * number + 4, abs=1)

    async def test_change_of_layout_midway_is_followed(self, tmp_path: Path) -> None:
        """A broadcast that changes from mono to surround stays audible."""
        first = write(tmp_path / "1.ts", moving(1), sound=tone(1, layout="mono"), container_format="mpegts")
        second = write(
            tmp_path / "2.ts",
            at(moving(1), [1 + n / 30 for n in range(30)]),
            sound=tone(1, layout="5.1", start=1),
            container_format="mpegts",
        )
        source = tmp_path / "in.ts"
        source.write_bytes(first.read_bytes() + second.read_bytes())
        _, tracks = await encoded(source)
        assert tracks[0].peak(0.2, 0.8) > 0.1
        assert tracks[0].peak(1.2, 1.8) > 0.05

    async def test_gap_in_the_audio_is_silent(self, tmp_path: Path) -> None:
        """Audio after a gap stays in sync."""
        sound = [*tone(0.5), *tone(0.5, start=1.5)]
        source = write(tmp_path / "in.mkv", moving(2), sound=sound, sound_codec="libmp3lame")
        _, tracks = await encoded(source)
        assert tracks[0].peak(0.7, 1.3) < 0.01
        assert tracks[0].peak(1.6, 1.9) > 0.1

    async def test_video_that_begins_late_is_shown_from_the_start(self, tmp_path: Path) -> None:
        """The first frame is shown from the first audio on, and both stay in sync."""
        source = write(tmp_path / "in.mkv", at(moving(2), [1 + n / 30 for n in range(30)]), sound=tone(2))
        result, tracks = await encoded(source)
        assert result.duration == pytest.approx(2, abs=0.1)
        assert tracks[0].heard[0][0] == pytest.approx(tracks[0].times[0], abs=0.05)


class TestDamage:
    async def test_small_damage_is_survived(self, tmp_path: Path) -> None:
        """A few broken packets lose a few frames, not the video."""
        source = write(tmp_path / "in.ts", moving(2, 160, 90), container_format="mpegts")
        data = bytearray(source.read_bytes())
        data[len(data) // 2 : len(data) // 2 + 600] = bytes(600)
        source.write_bytes(data)
        result, _ = await encoded(source)
        assert result.duration == pytest.approx(2, abs=0.2)

    async def test_source_damaged_everywhere_is_an_error(self, tmp_path: Path) -> None:
        """A file of which hardly any frame decodes fails."""
        source = write(tmp_path / "in.mov", moving(1), codec="png", pix_fmt="rgb24")
        whole, signature = source.read_bytes(), b"\x89PNG"
        first = whole.index(signature) + len(signature)
        source.write_bytes(whole[:first] + whole[first:].replace(signature, bytes(4)))
        with pytest.raises(EncodeError) as caught:
            await encoded(source)
        assert caught.value.code == "transcode_failed"
        assert "damaged" in caught.value.message

    async def test_undecodable_video_track_is_not_a_video(self, tmp_path: Path) -> None:
        """A file of which no frame decodes is refused."""
        source = write(tmp_path / "in.mkv", moving(1), codec="mjpeg", pix_fmt="yuvj420p")
        data = bytearray(source.read_bytes())
        data[600:-200] = b"\x00" * (len(data) - 800)
        source.write_bytes(data)
        with pytest.raises(NotAVideo):
            await encoded(source)

    async def test_too_many_pixels_are_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A frame larger than any camera's is refused before it fills the memory."""
        monkeypatch.setattr("statushub.producers.encode.probe.PIXELS_MAX", 1000)
        source = write(tmp_path / "in.mp4", moving(0.2))
        with pytest.raises(SourceTooLarge, match="pixels"):
            await encoded(source)

    async def test_custom_ladder_is_used(self, tmp_path: Path) -> None:
        """The rungs of the options replace the default ones."""
        source = write(tmp_path / "in.mp4", moving(0.5, 320, 180))
        result, tracks = await encoded(source, ladder=(Rung(60, 50_000), Rung(120, 100_000)))
        assert [each.name for each in result.renditions] == ["120p", "60p"]
        assert (tracks[1].width, tracks[1].height) == (106, 60)
