"""`Contents`: the state that changes make."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from statushub import Change, Contents, Cursor

READY = Change(type="ready", cursor=Cursor(epoch="k", offset=9))
RESET = Change(type="reset")


def state(content_id: str, channel: str = "c", **data: object) -> Change:
    cursor = Cursor(epoch="k", offset=3)
    return Change(type="content_status_update", channel=channel, content_id=content_id, data=data, cursor=cursor)


def removal(content_id: str, channel: str = "c") -> Change:
    return Change(type="content_removed", channel=channel, content_id=content_id)


def made(*changes: Change) -> Contents:
    contents = Contents()
    for change in changes:
        contents.apply(change)
    return contents


def shown(contents: Contents) -> dict[str, list[str]]:
    return {channel: sorted(statuses) for channel, statuses in contents.items()}


def test_the_latest_status_is_kept_by_channel_and_content() -> None:
    """As a mapping of mappings; a channel without contents is empty, and no key."""
    contents = made(state("a", progress=1), state("b", "d"), state("a", progress=2), READY)
    assert contents["c"]["a"] == {"progress": 2}
    assert shown(contents) == {"c": ["a"], "d": ["b"]}
    assert (len(contents), "c" in contents, "e" in contents, dict(contents["e"])) == (2, True, False, {})
    assert (contents.ready, contents.cursor) == (True, READY.cursor)


def test_a_status_cannot_be_changed_from_outside() -> None:
    """The mappings are views."""
    with pytest.raises(TypeError):
        made(state("a"))["c"]["b"] = {}  # type: ignore[index]


def test_a_removal_removes() -> None:
    """A channel goes with its last content; one that is unknown is none."""
    assert shown(made(state("a"), state("b"), removal("a"), removal("x", "y"))) == {"c": ["b"]}
    assert shown(made(state("a"), removal("a"))) == {}


def test_a_reset_drops_what_does_not_come_again() -> None:
    """Not before the whole state is there, so that nothing disappears that comes again in a moment."""
    contents = made(state("gone"), state("kept"), state("alone", "d"), READY, RESET, state("kept"), state("new"))
    assert shown(contents) == {"c": ["gone", "kept", "new"], "d": ["alone"]}
    assert not contents.ready
    contents.apply(READY)
    assert shown(contents) == {"c": ["kept", "new"]}
    assert contents.ready


def test_a_reset_within_a_reset_begins_anew() -> None:
    """What had come again has to come once more."""
    contents = made(state("a"), READY, RESET, state("a"), RESET, state("b"), READY)
    assert shown(contents) == {"c": ["b"]}


def test_a_ready_without_a_reset_drops_nothing() -> None:
    """Each reconnect has one."""
    assert shown(made(state("a"), READY, READY)) == {"c": ["a"]}


def test_changes_are_taken_in_before_they_are_told() -> None:
    """In ordinary code, from any iterable of changes."""
    contents = Contents([state("a"), READY])
    assert [(change.type, shown(contents)) for change in contents.changes()] == [
        ("content_status_update", {"c": ["a"]}),
        ("ready", {"c": ["a"]}),
    ]
    with pytest.raises(TypeError, match=r"contents\.changes"):
        aiter(contents)


def test_changes_are_taken_in_in_asyncio() -> None:
    """From any asynchronous iterable."""

    async def source() -> AsyncIterator[Change]:
        yield state("a")
        yield READY

    async def read() -> list[tuple[str, int]]:
        contents = Contents(source())
        with pytest.raises(TypeError, match="async for"):
            next(contents.changes())
        return [(change.type, len(contents["c"])) async for change in contents]

    assert asyncio.run(read()) == [("content_status_update", 1), ("ready", 1)]
