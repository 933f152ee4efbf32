"""Publish requests whose framing is chosen byte by byte."""

from __future__ import annotations


def offer(channel: str, content_id: str) -> bytes:
    """The body of a publish."""
    return f'{{"channel":"{channel}","content_id":"{content_id}","data":{{"status":"idle"}}}}'.encode()


OFFER = offer("c", "a")


def post(*fields: str, body: bytes = b"", version: str = "1.1") -> bytes:
    """A POST with these fields for its framing."""
    lines = [f"POST /api/publish HTTP/{version}", "Host: localhost", "Content-Type: application/json", *fields]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def chunked(body: bytes, *fields: str) -> bytes:
    """A POST whose body is these chunks."""
    return post("Transfer-Encoding: chunked", *fields, body=body)


CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(OFFER), OFFER)
