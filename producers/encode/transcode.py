"""Decode once, encode every rendition: the source becomes fragmented MP4 segments and their playlists."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from statushub.producers.encode.errors import SourceTooLarge
from statushub.producers.encode.ladder import Rendition
from statushub.producers.encode.losses import check_lost, check_read, check_unread
from statushub.producers.encode.options import Options
from statushub.producers.encode.output import Output
from statushub.producers.encode.picture import Picture
from statushub.producers.encode.playlist import MEDIA, amend
from statushub.producers.encode.probe import PIXELS_MAX, Video, open_source
from statushub.producers.encode.progress import OnProgress
from statushub.producers.encode.reader import Reader
from statushub.producers.encode.result import Written
from statushub.producers.encode.sound import Sound
from statushub.producers.encode.tracks import audio_track, video_track

INTERLEAVE_SECONDS: Final = 60.0
"""Video that a muxer buffers while it waits for audio, or the reverse. x264 looks ahead up to 60 frames, which are six
seconds; after libav's default, ten, audio would end up in a later segment than its video."""


def transcode(
    video: Video,
    renditions: Sequence[Rendition],
    folder: Path,
    options: Options,
    on_progress: OnProgress,
    pixels: int = PIXELS_MAX,
) -> Written:
    """Encode `video`, whose frames have `pixels` at most, into `folder/<rendition>/`; returns what was encoded.

    `on_progress` is called between frames and may raise to stop the work. Raises `TranscodeFailed`, `ContentLost`,
    `SourceTooLarge`, and `ValidationFailed` where the source is truncated; libav's own errors pass through.
    """
    with ExitStack() as stack:
        outputs = [
            stack.enter_context(Output(video, each, folder / each.name, options, INTERLEAVE_SECONDS))
            for each in renditions
        ]
        container, threads = stack.enter_context(open_source(video.path, pixels)), options.encoder_threads
        picture = Picture(video, Reader(container, video_track(container), video.start, threads), outputs)
        sound = None
        if video.audio_codec:
            container = stack.enter_context(open_source(video.path, pixels))
            sound = Sound(video, Reader(container, audio_track(container), video.start, threads), outputs)
        transcoder = _Transcoder(video, picture, sound, options.source_seconds)
        for seconds in transcoder.run():
            on_progress(_done(video, picture.position, seconds))
    for rendition in renditions:
        amend(folder / rendition.name / MEDIA)
    return Written(seconds=picture.seconds, frames=picture.count, samples=sound.count if sound else 0)


def _done(video: Video, position: int, seconds: float) -> float:
    if video.duration:
        return seconds / video.duration
    return position / max(1, video.bytes)


class _Transcoder:
    """Takes the picture and the sound of one source to the outputs, at the same pace."""

    def __init__(self, video: Video, picture: Picture, sound: Sound | None, seconds_max: float) -> None:
        self._video = video
        self._picture = picture
        self._tracks: tuple[Picture | Sound, ...] = (picture, sound) if sound else (picture,)
        self._seconds_max = seconds_max

    def run(self) -> Iterator[float]:
        """Work through the source; yields the seconds encoded, after each frame and each packet."""
        running = list(self._tracks)
        while running:
            # The one behind, so that the outputs get what belongs together.
            track = min(running, key=lambda each: each.seconds)
            if not track.step():
                running.remove(track)
            for each in self._tracks:
                if each not in running:
                    yield from self._filled(each, track.seconds)
            self._check_length()
            yield self._picture.seconds
        for track in self._tracks:
            check_lost(track.name, track.read_seconds, track.lost_seconds)
        check_read(self._video.stated, self._picture.stated_seconds)
        if self._video.sequential:
            check_unread(self._picture.seconds, self._video.bytes - self._picture.end, self._video.bytes)
        seconds = max(track.seconds for track in self._tracks)
        for track in self._tracks:
            yield from self._filled(track, seconds)
            track.close()

    def _filled(self, track: Picture | Sound, seconds: float) -> Iterator[float]:
        """Continue a track that has ended while the other goes on."""
        for _ in track.fill(seconds):
            yield self._picture.seconds

    def _check_length(self) -> None:
        """A source need not state its duration, and can name long pauses in a few bytes."""
        if max(track.seconds for track in self._tracks) > self._seconds_max:
            raise SourceTooLarge(f"The source lasts longer than {self._seconds_max:.0f} s, the limit.", field="source")
