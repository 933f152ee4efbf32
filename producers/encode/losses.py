"""What a result may lack of its source: more is an error, never a complete result."""

from __future__ import annotations

from typing import Final

from statushub.producers.encode.errors import ContentLost, ValidationFailed

LOST_SECONDS: Final = 1.0
"""Most that may be lost of a track that was read."""

LOST_PART: Final = 0.01
"""The same as a part of the track."""

LOST_SECONDS_MIN: Final = 0.25
"""What may be lost of a track of a few seconds: codecs begin and end between two frames."""

UNREAD_PART: Final = 0.02
"""Part of a file behind its last packet, in a format that has nothing there."""

MISSING_SECONDS: Final = 1.0
"""Most that a file may lack of the duration that it states: headers round."""

MISSING_PART: Final = 0.01
"""The same as a part of that duration."""


def check_lost(track: str, seconds: float, lost: float) -> None:
    """Raise `ContentLost` where `lost` seconds are too many of a `track` that lasts `seconds`."""
    if lost > min(LOST_SECONDS, max(LOST_SECONDS_MIN, LOST_PART * seconds)):
        text = f"{lost:.1f} s of the {seconds:.1f} s of the source's {track} would be lost in the result."
        raise ContentLost(text, field="source")


def check_unread(seconds: float, unread: int, size: int) -> None:
    """Raise `ContentLost` where `unread` of the `size` bytes of a file that ends after `seconds` hold no packet."""
    if unread > UNREAD_PART * size:
        text = f"The source cannot be read beyond {seconds:.1f} s, which is {100 - 100 * unread / size:.0f} % of it."
        raise ContentLost(text, field="source")


def check_read(stated: float | None, seconds: float) -> None:
    """Raise `ValidationFailed` where the `seconds` that a file holds are clearly less than the `stated` ones."""
    if stated is not None and stated - seconds > max(MISSING_SECONDS, MISSING_PART * stated):
        raise ValidationFailed(
            f"Only {seconds:.1f} s of the source's {stated:.1f} s can be read: it seems to be truncated.",
            field="source",
        )
