"""Messages between an encode and the process that works on its source: one JSON document a line.

The process is not trusted once it has read the source: its messages are decoded into these types and nothing else.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from statushub.producers.encode.options import Options

MESSAGE_BYTES: Final = 64 * 1024
"""Longest answer; the properties of a video and the list of its renditions take a few hundred bytes."""


class Fetch(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Copy the file at an fsspec URL to `target`; errors call it `name`. The value is null."""

    source: str
    name: str
    target: bytes
    limit: int


class Probe(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Read the properties of the file at `path`; the value is the properties to publish."""

    path: bytes
    seconds: float
    pixels: int


class Transcode(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Encode the probed file into `folder`; the value is the seconds encoded."""

    folder: bytes
    options: Options


class Validate(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Check the result and write its master playlist; the value is the list of its renditions."""


class Poster(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Write the poster; the value is null."""


Request = Fetch | Probe | Transcode | Validate | Poster


class Advanced(msgspec.Struct, frozen=True, tag=True):
    """The process works, and has done this part of the request, 0 to 1."""

    fraction: float


class Done(msgspec.Struct, frozen=True, tag=True):
    """The request is done."""

    value: msgspec.Raw


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The request failed. `code` is that of an `EncodeError`; None for any other error."""

    code: str | None
    message: str
    field: str | None = None


Reply = Advanced | Done | Failed


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """The properties of a video that are published."""

    duration: float | None
    width: int
    height: int
    fps: float
    video_codec: str
    audio_codec: str | None


_ENCODER: Final = msgspec.json.Encoder()
_REQUESTS: Final = msgspec.json.Decoder(Request, dec_hook=lambda _, value: Path(value))
_REPLIES: Final = msgspec.json.Decoder(Reply)


def line(message: Request | Reply) -> bytes:
    """`message` as a line."""
    return _ENCODER.encode(message) + b"\n"


def raw(value: object) -> msgspec.Raw:
    """`value` as part of a message."""
    return msgspec.Raw(_ENCODER.encode(value))


def request(text: bytes) -> Request:
    """The request in a line. Raises `msgspec.DecodeError`."""
    return _REQUESTS.decode(text)


def reply(text: bytes) -> Reply:
    """The reply in a line. Raises `msgspec.DecodeError`."""
    return _REPLIES.decode(text)
