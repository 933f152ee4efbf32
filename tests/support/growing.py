"""Contents that grow: a writer, and a reader with what whole events and deltas make of each content."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import httpx

from statushub.hub.model.cursor import Cursor
from statushub.hub.model.vocabulary import CONTENT_DELTA, CONTENT_REMOVED
from statushub.producers.following.states import before, grown
from tests.support.frames import Frame
from tests.support.publishing import Served


class Writer:
    """Writes texts of contents of a channel, by deltas that follow one another."""

    def __init__(self, hub: Served | str, channel: str) -> None:
        self.base_url = hub if isinstance(hub, str) else hub.base_url
        self.channel = channel
        self.texts: dict[str, str] = {}
        self._seqs: dict[str, int] = {}

    def begin(self, content_id: str, text: str = "", **data: Any) -> str:
        """A whole status; returns its cursor."""
        self.texts[content_id] = text
        return self._publish(content_id, {"data": {"status": "generating", "text": text, **data}})

    def add(self, content_id: str, text: str, **sets: Any) -> str:
        """Append to the text; returns the cursor."""
        self.texts[content_id] += text
        follows = self._seqs[content_id]
        return self._publish(content_id, {"delta": {"follows": follows, "set": sets, "append": {"text": text}}})

    def end(self, content_id: str) -> str:
        """Complete the content, with its whole text."""
        return self._publish(content_id, {"data": {"status": "complete", "text": self.texts[content_id]}})

    def _publish(self, content_id: str, said: dict[str, Any]) -> str:
        self._seqs[content_id] = seq = self._seqs.get(content_id, 0) + 1
        event = {"channel": self.channel, "content_id": content_id, "run": f"run-{content_id}", "seq": seq, **said}
        answer = httpx.post(f"{self.base_url}/api/publish", json=event).raise_for_status().json()
        assert answer["accepted"], answer
        return str(answer["cursor"])


class Grown(NamedTuple):
    """What a delta makes of a state, in every client."""

    name: str
    before: dict[str, Any]
    said: dict[str, Any]
    after: dict[str, Any]


GROWN: Final = (
    Grown("text", {"text": "a"}, {"append": {"text": "b"}}, {"text": "ab"}),
    Grown("list", {"log": [1]}, {"append": {"log": [2, [3]]}}, {"log": [1, 2, [3]]}),
    Grown("new fields", {}, {"append": {"text": "a", "log": [1]}}, {"text": "a", "log": [1]}),
    Grown("a list on a text", {"x": "a"}, {"append": {"x": [1]}}, {"x": [1]}),
    Grown("a text on a list", {"x": [1]}, {"append": {"x": "a"}}, {"x": "a"}),
    Grown("a text on null", {"x": None}, {"append": {"x": "a"}}, {"x": "a"}),
    Grown("set, then appended", {"x": "a"}, {"set": {"x": "b"}, "append": {"x": "c"}}, {"x": "bc"}),
    Grown("set", {"x": 1, "y": 2}, {"set": {"x": {"z": None}}}, {"x": {"z": None}, "y": 2}),
    Grown("time", {"timestamp": "1"}, {"timestamp": "2"}, {"timestamp": "2"}),
    Grown("no time", {"timestamp": "1"}, {"timestamp": None}, {"timestamp": "1"}),
    Grown(
        "names of JavaScript",
        {},
        {"append": {"constructor": "a", "__proto__": "b"}},
        {"constructor": "a", "__proto__": "b"},
    ),
)


class Misfit(AssertionError):
    """A delta does not build on what its reader has."""


class Reader:
    """Takes in the events of streams and sockets. Ids must increase, and each delta must fit."""

    def __init__(self) -> None:
        self.states: dict[str, dict[str, Any]] = {}
        self.cursors: dict[str, str] = {}
        self.cursor: str | None = None
        """That of the last event."""
        self.deltas = 0
        self.wholes = 0

    def take(self, type: str, id: str | None, data: dict[str, Any]) -> None:
        """Take in an event; those of the stream itself are ignored, but for `reset`."""
        if type == "reset":
            self.__init__()  # type: ignore[misc]
            return
        content = data.get("content_id")
        if id is None or content is None:
            return
        if self.cursor is not None and offset(id) <= offset(self.cursor):
            raise AssertionError(f"ids do not increase: {id} after {self.cursor}")
        self.cursor = id
        if type == CONTENT_REMOVED:
            self.states.pop(content, None)
            self.cursors.pop(content, None)
            return
        if type == CONTENT_DELTA:
            self.deltas += 1
            after = str(before(Cursor.parse(id), data))
            if self.cursors.get(content) != after:
                raise Misfit(f"{content} is here at {self.cursors.get(content)}, and grows after {after}")
            data = grown(self.states[content], data)
        else:
            self.wholes += 1
        self.cursors[content] = id
        self.states[content] = data

    def take_frames(self, frames: Iterable[Frame]) -> None:
        """Take in the frames of a stream, named or not."""
        for frame in frames:
            data = frame.json
            self.take(frame.event or data.pop("type"), frame.id, data)

    def take_messages(self, messages: Iterable[dict[str, Any]]) -> None:
        """Take in the messages of a socket that are of one subscription."""
        for message in messages:
            self.take(message["type"], message.get("id"), message.get("data", {}))


def offset(cursor: str) -> int:
    """The offset of a cursor."""
    return int(cursor.rpartition("-")[2])
