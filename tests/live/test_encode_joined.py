"""The tracks of each part of a joined recording stay together, wherever they begin and end in it."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import av
import pytest

from statushub.producers.encode.probe import PIXELS_MAX, open_source
from statushub.producers.encode.reader import Reader
from statushub.producers.encode.tracks import audio_track, video_track
from tests.support.clips import moving, tone
from tests.support.odd_media import Picture, Sound, joined, mux

FPS = 30
FRAGMENTS = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}

Span = tuple[float, float] | None
"""When a track of a part begins and ends, in seconds of the part, or None where the part lacks it."""

PARTS: dict[str, tuple[Span, Span]] = {
    "whole": ((0, 2), (0, 2)),
    "sound to 0.05": ((0, 2), (0, 0.05)),
    "sound to 0.1": ((0, 2), (0, 0.1)),
    "sound to 0.5": ((0, 2), (0, 0.5)),
    "no sound": ((0, 2), None),
    "sound from 1": ((0, 2), (1, 2)),
    "sound in the middle": ((0, 3), (1, 1.1)),
    "pictures to 0.1": ((0, 0.1), (0, 2)),
    "pictures to 0.5": ((0, 0.5), (0, 2)),
    "pictures from 0.5": ((0.5, 2), (0, 2)),
    "short": ((0, 0.5), (0, 0.5)),
}

JOINED = [
    ("sound to 0.05", "whole"),
    ("sound to 0.1", "whole"),
    ("sound to 0.1", "sound to 0.1"),
    ("sound to 0.1", "pictures from 0.5"),
    ("sound to 0.5", "sound to 0.1"),
    ("sound from 1", "whole"),
    ("sound in the middle", "sound from 1"),
    ("whole", "sound from 1"),
    ("whole", "whole"),
    ("pictures to 0.1", "whole"),
    ("pictures to 0.1", "pictures from 0.5"),
    ("pictures to 0.5", "pictures from 0.5"),
    ("short", "pictures from 0.5"),
    ("pictures from 0.5", "sound to 0.1"),
]
"""Parts that follow each other, among them those whose tracks end where those of the next part begin."""

LACKING = [("no sound", "whole"), ("no sound", "sound to 0.1"), ("no sound", "sound from 1"), ("whole", "no sound")]
"""The same of formats whose parts can have different tracks."""


def recording(path: Path, form: str, name: str, start: float = 0.0) -> Path:
    """A recording with the tracks of a part, on a clock that begins at `start`."""
    codecs = ("mpeg2video", "mp2") if form == "vob" else ("libx264", "aac")
    pictures, sound = PARTS[name]
    tracks: list[Picture | Sound] = []
    if pictures:
        tracks.append(Picture(list(moving(pictures[1], 64, 36))[round(pictures[0] * FPS) :], codecs[0]))
    if sound:
        frames = tone(sound[1] - sound[0], start=sound[0], form="s16" if form == "vob" else "fltp")
        tracks.append(Sound(frames, codecs[1]))
    options = FRAGMENTS if form == "mp4" else {}
    return mux(path, *tracks, container_format=form, options=options, shift=(start, start))


def times(source: Path) -> tuple[list[float], list[float]]:
    """When the pictures and the sound of a source are played, in seconds."""
    return _times(source, "video"), _times(source, "audio")


def _times(source: Path, kind: str) -> list[float]:
    with open_source(source, PIXELS_MAX) as container:
        track = video_track(container) if kind == "video" else audio_track(container)
        start = (container.start_time or 0) / av.time_base
        return [frame.time or 0.0 for frame in Reader(container, track, start, 1).frames() if frame] if track else []


def check(folder: Path, form: str, names: tuple[str, str], starts: tuple[float, float] = (0, 0)) -> None:
    """The second part follows the first, its tracks as far from each other as in it alone, and nothing is lost."""
    one, two = (recording(folder / f"{n}", form, names[n], starts[n]) for n in range(2))
    first, second, both = times(one), times(two), times(joined(folder / "in", one, two))
    for kind in range(2):
        # Decoders of sound leave out a few frames where a part begins.
        assert len(both[kind]) == pytest.approx(len(first[kind]) + len(second[kind]), abs=4)
        assert both[kind] == sorted(both[kind])
    moved = [both[kind][-1] - second[kind][-1] for kind in range(2) if second[kind]]
    end, begin = max(each[-1] for each in first if each), min(each[0] for each in second if each)
    assert moved == [pytest.approx(end - begin, abs=0.15)] * len(moved)
    assert max(moved) - min(moved) < 0.06


@pytest.mark.parametrize("form", ["mpegts", "vob", "matroska"])
@pytest.mark.parametrize("names", JOINED, ids=" + ".join)
def test_tracks_of_a_part_stay_together(tmp_path: Path, form: str, names: tuple[str, str]) -> None:
    """Although one track of the part before it ended early, or one of its own begins late."""
    check(tmp_path, form, names)


@pytest.mark.parametrize("form", ["mpegts", "vob"])
@pytest.mark.parametrize("names", LACKING, ids=" + ".join)
def test_a_part_may_lack_sound(tmp_path: Path, form: str, names: tuple[str, str]) -> None:
    """The sound of the next part begins with its pictures."""
    check(tmp_path, form, names)


@pytest.mark.parametrize("names", LACKING, ids=" + ".join)
def test_a_part_may_lack_sound_where_the_clock_goes_far_back(tmp_path: Path, names: tuple[str, str]) -> None:
    """Libav would take it for a clock that wraps, and only on the track that was there before."""
    check(tmp_path, "mpegts", names, (100, 1))


def test_a_clock_that_wraps_goes_on(tmp_path: Path) -> None:
    """Timestamps of MPEG-TS have 33 bits: they begin again after 26.5 hours, each track in its turn."""
    pictures, sound = times(recording(tmp_path / "in", "mpegts", "whole", 2**33 / 90_000 - 1))
    for shown in (pictures, sound):
        assert max(later - earlier for earlier, later in pairwise(shown)) < 0.07
        assert shown[-1] - shown[0] == pytest.approx(2, abs=0.1)
    assert pictures[-1] == pytest.approx(sound[-1], abs=0.1)


@pytest.mark.parametrize("name", ["sound to 0.1", "sound to 0.5", "whole"])
def test_tracks_that_are_read_apart_stay_together(tmp_path: Path, name: str) -> None:
    """Libav reads the sound of a fragmented MP4's second part while it still reads the pictures of its first."""
    check(tmp_path, "mp4", (name, "whole"))


@pytest.mark.parametrize("starts", [(0, 0.1), (7, 5), (100, 1)], ids=str)
@pytest.mark.parametrize("names", [JOINED[1], JOINED[9]], ids=" + ".join)
def test_parts_whose_tracks_end_early_may_begin_anywhere(
    tmp_path: Path, starts: tuple[float, float], names: tuple[str, str]
) -> None:
    """Whether the track that ended early goes back or on."""
    check(tmp_path, "mpegts", names, starts)


@pytest.mark.parametrize("name", ["sound to 0.1", "pictures to 0.1", "whole"])
def test_a_jump_of_seconds_is_closed_up_where_a_track_ended_before(tmp_path: Path, name: str) -> None:
    """Both tracks go on at the same time, after more than ten seconds without a packet."""
    check(tmp_path, "mpegts", (name, "whole"), (5, 45))
