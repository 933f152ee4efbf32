"""Encoded events are kept for many readers, and bounded."""

from __future__ import annotations

from statushub.hub.model.event import Event
from statushub.hub.replicas.encodings import OVERHEAD_BYTES, Encodings


class CountingFormat:
    """Counts what it encodes."""

    def __init__(self) -> None:
        self.encoded = 0

    def event(self, epoch: str, event: Event) -> bytes:
        self.encoded += 1
        return b"%b %d" % (epoch.encode(), event.offset)


def event(offset: int) -> Event:
    return Event(channel="c", content_id="a", offset=offset, type="t", data=b"{}")


def test_an_event_is_encoded_once_for_each_format() -> None:
    """Repeated requests for a format return the kept bytes."""
    encodings, events = Encodings(), [event(3), event(4)]
    formats = [CountingFormat() for _ in range(3)]
    for _ in range(2):
        for format in formats:
            assert encodings.encode(format, "e", events) == [b"e 3", b"e 4"]
    assert [format.encoded for format in formats] == [2, 2, 2]


def test_an_event_of_another_epoch_is_encoded_anew() -> None:
    """An equal event is not the same one."""
    encodings, format = Encodings(), CountingFormat()
    assert encodings.encode(format, "e", [event(3)]) == [b"e 3"]
    assert encodings.encode(format, "f", [event(3)]) == [b"f 3"]


def test_what_is_kept_is_bounded() -> None:
    """Beyond the limit everything is dropped, and encoded again where it is still read."""
    encodings, format = Encodings(limit=10 * OVERHEAD_BYTES), CountingFormat()
    first = event(0)
    encodings.encode(format, "e", [first])
    encodings.encode(format, "e", [event(offset) for offset in range(1, 20)])
    encodings.encode(format, "e", [first])
    assert format.encoded == 21
