"""The head of a response, as it is sent."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

HeaderList = list[tuple[bytes, bytes]]

_LINES: Final = {status: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}


def head_of(status: HTTPStatus, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The head of a response of HTTP/1.1."""
    return b"".join((_LINES[status], *[b"%b: %b\r\n" % header for header in headers], b"\r\n"))
