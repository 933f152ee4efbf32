"""Rows of the record: their values as JSON, their status, and a content that the hub knows, too."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from statushub.hub.model.event import Event
from statushub.hub.model.vocabulary import Phase
from statushub.hub.sources.merge import event_moment, merged
from statushub.hub.sources.place import Place, parse_place
from statushub.hub.sources.row import Position, moment_of, position_of, read_row, stored_row

MOMENT = datetime(2025, 7, 31, 13, tzinfo=UTC)


@pytest.fixture
def elsewhere() -> Iterator[None]:
    """A machine whose clock is not in UTC."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


def fields(**more: Any) -> dict[str, Any]:
    return {"id": 7, "channel_id": uuid.UUID(int=1), "updated_at": MOMENT, **more}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Decimal("12.50"), 12.5),
        (Decimal(12), 12),
        (Decimal("NaN"), None),
        (math.nan, None),
        (b"\x00\xff", "AP8="),
        (memoryview(b"a"), "YQ=="),
        (date(2025, 7, 31), "2025-07-31"),
        (datetime(2025, 7, 31, 13), "2025-07-31T13:00:00"),
        (MOMENT, "2025-07-31T13:00:00Z"),
        (timedelta(seconds=90), "PT90S"),
        ({1: [Decimal("0.5")]}, {"1": ["0.5"]}),
        (range(2), "range(0, 2)"),
        (2**70, 2**70),
    ],
    ids=lambda it: type(it).__name__,
)
def test_each_value_of_a_driver_becomes_json(value: object, expected: object) -> None:
    """And what was kept is read as the same row."""
    row = read_row(fields(extra=value))
    encoded = msgspec.json.encode(row.status.data)
    kept = stored_row(msgspec.json.decode(encoded))
    assert kept.status.data["extra"] == expected
    assert (kept.id, kept.channel, kept.moment) == (row.id, row.channel, row.moment)
    assert msgspec.json.encode(kept.status.data) == encoded


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("2025-07-31T13:00:00Z", MOMENT.timestamp()),
        ("2025-07-31T13:00:00", MOMENT.timestamp()),
        ("2025-07-31 13:00:00.000", MOMENT.timestamp()),
        ("2025-07-31T15:00:00+02:00", MOMENT.timestamp()),
        (1753966800, MOMENT.timestamp()),
        ("yesterday", 0),
        ("", 0),
        (None, 0),
        ([], 0),
        ("0001-01-01T00:00:00+14:00", 0),
    ],
    ids=repr,
)
def test_a_time_without_a_zone_is_utc(said: object, expected: float, elsewhere: None) -> None:
    """Whatever the zone of this machine; what is no time is before all times."""
    found = moment_of(said)
    assert found == expected or (expected == 0 and found < 0)


@pytest.mark.parametrize("word", [None, "", 3, "draft", "x" * 100, [], {}])
def test_a_word_that_means_nothing_is_no_status(word: object) -> None:
    """The metadata say then whether a content is complete."""
    assert read_row(fields(status=word)).status.phase is Phase.IDLE
    told = read_row(fields(status=word, processing_status=word, ai_gen_metadata='{"summary": "x"}'))
    assert told.status.phase is Phase.COMPLETED
    empty: list[object] = ["{}", "[]", "null", '""', "", None, {}, []]
    for hollow in empty:
        assert read_row(fields(ai_gen_metadata=hollow)).status.phase is Phase.IDLE


def event(data: bytes) -> Event:
    return Event(channel="c", content_id="7", offset=1, type="content_status_update", data=data)


def test_an_event_is_merged_over_its_row() -> None:
    """Broken data of a foreign publisher included."""
    row = read_row(fields(title="Row", status="complete", processing_status="completed", created_at=MOMENT))
    said = merged(row, event(b'{"status":"error","title":null,"error_message":"x","id":"other","created_at":1}'))
    assert said.phase is Phase.FAILED
    assert {name: said.data[name] for name in ("id", "content_id", "channel_id", "title", "status")} == {
        **{"id": "7", "content_id": "7", "channel_id": "c", "title": "Row", "status": "error"}
    }
    assert (said.data["processing_status"], said.data["created_at"]) == ("failed", "2025-07-31T13:00:00Z")
    broken = merged(row, event(b"{"))
    assert (broken.data["status"], broken.data["title"]) == ("generating", "Row")
    with pytest.raises(ValueError, match="neither"):
        merged(None, None)


def test_an_event_without_a_time_is_the_latest() -> None:
    """It is newer than the record by construction."""
    assert event_moment(event(b"{}")) == math.inf
    assert event_moment(event(b"[")) == math.inf
    assert event_moment(event(b'{"timestamp":"2025-07-31T13:00:00Z"}')) == MOMENT.timestamp()


@pytest.mark.parametrize("id", ["a", "é" * 128, "a/b:c", '"'])
@pytest.mark.parametrize("updated", [None, "2025-07-31T13:00:00.123456+14:00", 1753966800.5])
def test_a_place_is_read_from_its_text(id: str, updated: object) -> None:
    """And a cursor is one, too."""
    place = Place(cursor="k3f9a2-184", position=Position(updated=updated, id=id), ended=True)
    assert parse_place(str(place)) == place
    assert len(str(place)) < 1024
    assert parse_place("k3f9a2-184") == Place(cursor="k3f9a2-184")


def test_a_position_is_that_of_the_row_as_it_was_kept() -> None:
    """So that a page may begin behind a row of the cache."""
    zoned = fields(updated_at=datetime(2025, 7, 31, 15, tzinfo=timezone(timedelta(hours=2))))
    assert position_of(zoned) == position_of(read_row(zoned).status.data)
