"""What pages receive of an answer that grows, from the hub and from Mercure: `python -m tests.bench.answers`.

Mercure passes updates on, and keeps their history. It is measured with an update for each piece, which pages join, and
with the whole text so far in each update, which is what its specification calls one.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import httpx
import jwt
import msgspec

from statushub.producers.following.frames import Frame, Frames
from statushub.producers.sync import SyncProducer
from tests.bench import go_programs
from tests.bench.load import Missing
from tests.bench.running import running
from tests.bench.servers import hub_embedded
from tests.support.growing import Reader
from tests.support.ports import free_port, wait_for_port

KEY: Final = "0123456789abcdef" * 4
PIECE: Final = "twenty characters ok"
PIECES: Final = 675
"""With them the answer has 13.5 KB."""

RATE: Final = 15
"""Pieces in a second: fewer than the SDK joins, so that every hub sends as many updates."""

MISSED: Final = 40
"""Pieces that come while a page is cut off."""

TOPIC: Final = "answer-1"
READ_SECONDS: Final = 60.0

TextOf = Callable[[Frame], str]
"""What a page shows after a frame of its stream."""


class Hub(msgspec.Struct, frozen=True, kw_only=True):
    """An answer in a hub: how it is appended to, the stream of a page, that of one that comes late, and a page."""

    append: Callable[[str], object]
    url: str
    late_url: str
    page: Callable[[], TextOf]


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of the body, and frames."""

    bytes: int
    frames: int


class Pages(msgspec.Struct, frozen=True, kw_only=True):
    """What a page received that was there all the time; of what it had missed one that was cut off; and of the text so
    far one that came late, at the same moment."""

    all: Received
    missed: Received
    late: Received


class Page:
    """A page that reads an answer."""

    def __init__(self, hub: Hub) -> None:
        self.text = ""
        self._text_of = hub.page()
        self._cursor: str | None = None

    def read(self, url: str, until: str, opened: Callable[[], object] = lambda: None) -> Received:
        """Read on, until it has this text."""
        headers = {} if self._cursor is None else {"Last-Event-ID": self._cursor}
        parser, size, count = Frames(), 0, 0
        with httpx.stream("GET", url, headers=headers, timeout=READ_SECONDS) as answer:
            answer.raise_for_status()
            opened()
            for data in answer.iter_raw():
                size += len(data)
                for frame in parser.feed(data):
                    count += 1
                    self._cursor = frame.id or self._cursor
                    self.text = self._text_of(frame)
                if self.text == until:
                    return Received(bytes=size, frames=count)
        raise EOFError(f"a stream has ended after {len(self.text)} of {len(until)} characters")


def measure(start: Callable[[], AbstractContextManager[Hub]], *, pieces: int, missed: int, rate: float) -> Pages:
    """What the pages of a hub receive. One is cut off in the middle, and comes back when `missed` pieces have come."""
    first, second = PIECE * (pieces // 2), PIECE * (pieces // 2 + missed)
    with start() as hub:
        found: list[Received] = []
        opened = threading.Barrier(3)
        there, cut = Page(hub), Page(hub)
        threads = [
            threading.Thread(target=lambda: found.append(there.read(hub.url, PIECE * pieces, opened.wait))),
            threading.Thread(target=lambda: cut.read(hub.url, first, opened.wait)),
        ]
        for thread in threads:
            thread.start()
        opened.wait(READ_SECONDS)
        for number in range(1, pieces + 1):
            hub.append(PIECE)
            time.sleep(1 / rate)
            if number == pieces // 2:
                threads[1].join(READ_SECONDS)
            elif number == pieces // 2 + missed:
                back, late = cut.read(hub.url, second), Page(hub).read(hub.late_url, second)
        threads[0].join(READ_SECONDS)
    return Pages(all=found[0], missed=back, late=late)


@contextlib.contextmanager
def statushub() -> Iterator[Hub]:
    """The SDK's `append`, and a stream with deltas."""

    def page() -> TextOf:
        reader = Reader()

        def text_of(frame: Frame) -> str:
            reader.take(frame.event, frame.id, frame.json)
            return str(reader.states.get(TOPIC, {}).get("answer", ""))

        return text_of

    with tempfile.TemporaryDirectory() as folder, hub_embedded(Path(folder)) as server:
        base_url = f"http://127.0.0.1:{server.port}"
        url = f"{base_url}/api/contents/answers/events?deltas=1"
        with SyncProducer(base_url) as producer, producer.work(TOPIC, channel="answers") as work:
            yield Hub(append=lambda piece: work.append(answer=piece), url=url, late_url=url, page=page)


@contextlib.contextmanager
def mercure(*, whole: bool = False) -> Iterator[Hub]:
    """An update for each piece, or, if `whole`, the text so far in each. A late page asks for the history."""
    text = ""
    token = jwt.encode({"mercure": {"publish": ["*"]}}, KEY, "HS256")

    def append(piece: str) -> None:
        nonlocal text
        text += piece
        update = {"topic": TOPIC, "data": text if whole else piece}
        client.post(base_url, data=update, headers={"Authorization": f"Bearer {token}"}).raise_for_status()

    def page() -> TextOf:
        shown = ""

        def text_of(frame: Frame) -> str:
            nonlocal shown
            shown = frame.data if whole else shown + frame.data
            return shown

        return text_of

    port = free_port()
    base_url = f"http://127.0.0.1:{port}/.well-known/mercure"
    with tempfile.TemporaryDirectory() as folder, running(go_programs.mercure(), port, folder, KEY) as process:
        wait_for_port(port, process)
        url = f"{base_url}?topic={TOPIC}"
        with httpx.Client() as client:
            yield Hub(append=append, url=url, late_url=f"{url}&lastEventID=earliest", page=page)


HUBS: Final[Mapping[str, Callable[[], AbstractContextManager[Hub]]]] = {
    "Statushub": statushub,
    "Mercure, an update a piece": mercure,
    "Mercure, the text in each update": lambda: mercure(whole=True),
}


def main() -> int:
    """Measure and print; returns 1 where a hub is missing."""
    missing = False
    for name, start in HUBS.items():
        try:
            pages = measure(start, pieces=PIECES, missed=MISSED, rate=RATE)
        except Missing as error:
            missing = True
            print(f"{name}: not measured, missing is {error}")
            continue
        parts = (
            f"{part} {it.bytes:,} bytes in {it.frames:,} frames" for part, it in msgspec.structs.asdict(pages).items()
        )
        print(f"{name}: {'; '.join(parts)}")
    return int(missing)


if __name__ == "__main__":
    sys.exit(main())
