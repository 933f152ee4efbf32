"""A channel's log is read from any place in either direction, and counts phases without reading anything twice."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from statushub.hub.model import status
from statushub.hub.model.event import Event, tombstone
from statushub.hub.model.vocabulary import PHASES, Phase
from statushub.hub.replicas.log import HOLES, Log

WORDS = [*PHASES, "removed"]
STEPS = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from(WORDS), st.integers(0, 4)), max_size=80)


def event(offset: int, content_id: str, word: str = "idle") -> Event:
    """An event with this status, or the tombstone."""
    if word == "removed":
        return tombstone("c", content_id, offset)
    data = msgspec.json.encode({"content_id": content_id, "status": word})
    return Event(channel="c", content_id=content_id, offset=offset, type="t", data=data)


def filled(steps: list[tuple[str, str, int]]) -> tuple[Log, dict[str, Event]]:
    """A log after these changes, between which some events were counted, and what it must hold."""
    log, latest = Log(), dict[str, Event]()
    for number, (content_id, word, counted) in enumerate(steps, 1):
        changed = event(number, content_id, word)
        former = latest.pop(content_id, None)
        if former is None:
            log.append(changed)
        else:
            log.replace(former, changed)
        latest[content_id] = changed
        log.count(counted)
    return log, latest


@given(STEPS, st.integers(0, 80))
def test_what_is_after_an_offset_comes_in_order(steps: list[tuple[str, str, int]], offset: int) -> None:
    """Superseded events are not among it."""
    log, latest = filled(steps)
    assert list(log.after(offset)) == [it for it in latest.values() if it.offset > offset]


@given(STEPS, st.integers(1, 4))
def test_pages_have_every_content_once_the_newest_first(steps: list[tuple[str, str, int]], limit: int) -> None:
    """Removed contents are on no page, and the last page names no next one."""
    log, latest = filled(steps)
    log.count(log.uncounted)
    pages = [log.page(None, limit)]
    while (below := pages[-1].next) is not None:
        pages.append(log.page(below, limit))
    expected = [it for it in reversed(latest.values()) if not it.removed]
    assert [it for page in pages for it in page.events] == expected
    assert [phase for page in pages for phase in page.phases] == [status.read(it).phase for it in expected]
    assert all(len(page.events) == limit for page in pages[:-1])


@given(STEPS)
def test_phases_are_counted_whatever_changes_meanwhile(steps: list[tuple[str, str, int]]) -> None:
    """The totals equal those of what is there, though each event was read once."""
    log, latest = filled(steps)
    log.count(log.uncounted)
    present = [status.read(it).phase for it in latest.values() if not it.removed]
    assert log.totals() == {phase: present.count(phase) for phase in Phase}


def test_each_event_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A count reads what came since the last one, not the channel."""
    read: list[Event] = []
    phase = status.phase

    def recorded(event: Event) -> Phase:
        read.append(event)
        return phase(event)

    monkeypatch.setattr(status, "phase", recorded)
    log, latest = filled([(str(number), "complete", 0) for number in range(1_000)])
    log.count(log.uncounted)
    assert len(read) == 1_000
    log.replace(latest["5"], event(1_001, "5", "error"))
    log.count(log.uncounted)
    assert [it.offset for it in read[1_000:]] == [1_001]
    assert log.totals()[Phase.FAILED] == 1


def test_holes_are_closed() -> None:
    """A log of one content that changes for ever stays short."""
    log, known = Log(), event(1, "a")
    log.append(known)
    for offset in range(2, 10 * HOLES):
        latest = event(offset, "a")
        log.replace(known, latest)
        known = latest
    assert log.uncounted <= 2 * HOLES
    assert list(log.after(0)) == [known]
