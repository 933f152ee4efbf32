"""Frames of an event stream, as the clients of other projects read them."""

from __future__ import annotations

from typing import Any

import pytest

from statushub.hub.model.cursor import COUNTER_MAX, Cursor
from statushub.hub.model.event import Event
from statushub.hub.model.names import NAME_CHARACTERS
from statushub.hub.model.publication import EVENT_BYTES, Publication, publication, stalled
from statushub.hub.viewers.session import RETRY_MS
from statushub.hub.wire.format import StreamFormat
from statushub.hub.wire.sse import CHUNKED_MESSAGE_SSE, CHUNKED_SSE, MESSAGE_SSE, SSE
from tests.support.frames import Frames

SCANNER_BYTES = 64 * 1024
"""The buffer of Go's `bufio.Scanner`, which must have room for a token and the byte that shows its end."""

WIDE = "\N{GRINNING FACE}" * NAME_CHARACTERS
"""The name with the most bytes."""


def stored(made: Publication) -> Event:
    """The event of a publication, at the last offset."""
    return Event(channel=made.channel, content_id=made.content_id, offset=COUNTER_MAX, type=made.type, data=made.data)


def largest() -> Publication:
    """A publication whose names and data are as large as they may be."""
    given: dict[str, Any] = {"channel": WIDE, "content_id": WIDE, "type": "t" * NAME_CHARACTERS, "lease": 1}
    data = {"status": "generating", "processing_status": WIDE}
    rest = EVENT_BYTES - len(publication(**given, data=data | {"x": ""}).data)
    return publication(**given, data=data | {"x": "x" * rest})


PLAIN = [pytest.param(SSE, id="named"), pytest.param(MESSAGE_SSE, id="message")]
ALL = [*PLAIN, pytest.param(CHUNKED_SSE, id="named, chunked"), pytest.param(CHUNKED_MESSAGE_SSE, id="message, chunked")]


@pytest.mark.parametrize("format", ALL)
def test_the_largest_frame_fits_into_64_kib(format: StreamFormat) -> None:
    """The first frame of a stream does with all that it may have, and so does the end of a lease."""
    made = largest()
    assert len(made.data) == EVENT_BYTES
    for event in (stored(made), stored(stalled(stored(made)))):
        frame = format.retry(max(RETRY_MS)) + format.event("z" * 32, event)
        assert len(frame) < SCANNER_BYTES


SAID = {
    "event": ("x", '{"content_id":"a","status":"idle"}', "id: e-7\n"),
    "ready": ("ready", '{"cursor":"e-7","heartbeat_ms":4000}', ""),
    "reset": ("reset", "{}", "id:\n"),
    "drain": ("drain", '{"retry_ms":700}', ""),
}
"""Type, data and last line of each message."""


@pytest.mark.parametrize("message", SAID)
def test_each_message_is_the_same_with_and_without_a_name(message: str) -> None:
    """Without one its data begin with the type, and its other lines are the same."""
    type, data, last = SAID[message]
    event = Event(channel="c", content_id="a", offset=7, type="x", data=data.encode())
    arguments: dict[str, tuple[Any, ...]] = {
        "event": ("e", event),
        "ready": (["c"], Cursor(epoch="e", offset=7), 4.0),
        "reset": (["c"],),
        "drain": (700,),
    }
    first = "retry: 700\n" if message == "drain" else ""
    typed = f'{{"type":"{type}",{data[1:]}'.replace(",}", "}")
    frames = f"{first}event: {type}\ndata: {data}\n{last}\n", f"{first}data: {typed}\n{last}\n"
    for plain, chunked, frame in zip((SSE, MESSAGE_SSE), (CHUNKED_SSE, CHUNKED_MESSAGE_SSE), frames, strict=True):
        assert getattr(plain, message)(*arguments[message]).decode() == frame
        assert getattr(chunked, message)(*arguments[message]).decode() == f"{len(frame):x}\r\n{frame}\r\n"


@pytest.mark.parametrize("format", ALL)
def test_a_heartbeat_has_the_time(format: StreamFormat) -> None:
    """Its frame has no id."""
    [frame] = Frames(chunked=format.end != b"").feed(format.heartbeat())
    assert (frame.event or frame.json["type"], frame.id) == ("heartbeat", None)
    assert frame.json["timestamp"].endswith("Z")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"a":1}', b'{"type":"x","a":1}'),
        (b'{"a":1,"type":"own"}', b'{"type":"x","a":1}'),
        (b'{"type":"x","a":1}', b'{"type":"x","a":1}'),
        (b'{"a":{"type":"deeper"}}', b'{"type":"x","a":{"type":"deeper"}}'),
        (b'{"a":1,"\\u0074ype":7}', b'{"type":"x","a":1}'),
        (b' {"a":1}', b'{"type":"x","a":1}'),
        ('{"a":"\u2028"}'.encode(), b'{"type":"x","a":"\\u2028"}'),
    ],
)
def test_the_type_of_an_event_replaces_the_producers_own(data: bytes, expected: bytes) -> None:
    """It is the first field, and the only one of this name."""
    event = Event(channel="c", content_id="a", offset=7, type="x", data=data)
    assert MESSAGE_SSE.event("e", event) == b"data: %b\nid: e-7\n\n" % expected


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"nonsense", b'{"a":1} x', b"\xff", b"[" * 99_999])
def test_data_without_fields_have_what_is_known(data: bytes) -> None:
    """A straight publisher may have stored anything."""
    [frame] = Frames(chunked=False).feed(
        MESSAGE_SSE.event("e", Event(channel="c", content_id="a", offset=7, type="x", data=data))
    )
    assert frame.json == {
        "type": "x",
        "content_id": "a",
        "channel_id": "c",
        "status": "generating",
        "processing_status": None,
    }
