"""What an encode made."""

from __future__ import annotations

import msgspec


class EncodedRendition(msgspec.Struct, frozen=True, kw_only=True):
    """A rendition of the result; `bandwidth` is its peak, in bits a second."""

    name: str
    width: int
    height: int
    bandwidth: int


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """What each rendition holds: the duration in seconds, and the numbers of frames and of stereo samples."""

    seconds: float
    frames: int
    samples: int


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What an encode made. Paths begin with the destination, or with `Options.public_url`; times are in seconds."""

    hls_path: str
    poster: str
    duration: float
    renditions: tuple[EncodedRendition, ...]
    bytes: int
    elapsed_seconds: float
