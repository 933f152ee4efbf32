"""Parts of `statushub watch`: the board, the bars and the follower."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator

import anyio
import pytest
from rich.console import Console
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from statushub.hub.cli.board import Board, row
from statushub.hub.cli.display import Bars
from statushub.hub.cli.follow import Follower, Message
from statushub.hub.model.vocabulary import Phase
from tests.support.asgi_server import live_server

HEIGHT = 6


def status_of(content_id: str, **data: object) -> Message:
    return Message(id="e-1", type="content_status_update", data={"content_id": content_id, **data})


def shown(messages: list[Message]) -> str:
    """The last screen of a terminal that showed these messages."""
    console = Console(file=io.StringIO(), force_terminal=True, width=100, height=HEIGHT, color_system=None)
    board = Board()
    with Bars(console) as bars:
        for message in messages:
            bars.show(message, board.apply(message))
        console.file = last = io.StringIO()
    return last.getvalue()


def test_finished_bars_are_removed_first() -> None:
    """With more contents than lines, those in progress stay."""
    work = [status_of(f"at-work-{number}", status="generating", progress=number) for number in range(HEIGHT - 3)]
    ended = [status_of(f"ended-{number}", status="complete") for number in range(HEIGHT)]
    picture = shown([*work, *ended])
    assert all(message.data["content_id"] in picture for message in work)
    assert [name for name in (f"ended-{number}" for number in range(HEIGHT)) if name in picture] == ["ended-5"]


def test_a_reset_clears_the_bars() -> None:
    """Only contents of the new state are shown."""
    picture = shown(
        [
            status_of("old", status="generating"),
            Message(id=None, type="reset", data={}),
            status_of("new", status="idle"),
        ]
    )
    assert "new" in picture
    assert "old" not in picture


def test_a_board_is_not_done_while_a_content_is_pending() -> None:
    """The board is not done before `ready`, either."""
    board = Board()
    ready = Message(id=None, type="ready", data={})
    assert not board.done
    board.apply(status_of("clip", status="idle", processing_status="pending"))
    board.apply(ready)
    assert not board.done


def test_a_reset_clears_failures() -> None:
    """The board is not done until the next `ready`."""
    board = Board()
    board.apply(Message(id=None, type="ready", data={}))
    board.apply(status_of("clip", status="error"))
    assert board.done
    assert board.failed == ["clip"]
    board.apply(Message(id=None, type="reset", data={}))
    assert (board.done, board.failed) == (False, [])


@pytest.mark.parametrize("data", [{}, {"status": 7, "progress": "half", "title": None, "remaining_seconds": True}])
def test_fields_of_a_wrong_type_are_ignored(data: dict[str, object]) -> None:
    """Any producer may have written them."""
    nonsense = row("clip", data)
    assert (nonsense.title, nonsense.status, nonsense.detail, nonsense.progress) == ("clip", "", "", None)
    assert nonsense.phase is Phase.PROCESSING


class Script:
    """A server that answers each request with the next of `bodies`, and records each `Last-Event-ID`."""

    def __init__(self, *bodies: str | int) -> None:
        self.bodies = list(bodies)
        self.last_event_ids: list[str | None] = []
        self.app = Starlette(routes=[Route("/{path:path}", self.answer)])

    async def answer(self, request: Request) -> Response:
        self.last_event_ids.append(request.headers.get("last-event-id"))
        body = self.bodies.pop(0)
        if isinstance(body, int):
            return Response(status_code=body)
        return StreamingResponse(self.stream(body), media_type="text/event-stream")

    async def stream(self, body: str) -> AsyncIterator[str]:
        yield body


def follow(script: Script, count: int, token: str | None = None) -> tuple[list[Message], list[str]]:
    """The first `count` messages of a follower of this server, and its notices."""
    notices: list[str] = []
    with live_server(script.app) as url:
        messages = Follower(url, "films", token=token, since=None, notice=notices.append).messages()
        taken = [next(messages) for _ in range(count)]
        messages.close()
    return taken, [notice.replace(url, "hub") for notice in notices]


def test_a_follower_resumes_at_its_last_cursor() -> None:
    """The cursor is that of an event or a `ready`, and none after a reset; a 503 is retried."""
    script = Script(
        'retry: 1\nid: e-1\nevent: x\ndata: {"content_id": "a"}\n\n: comment\n\n',
        503,
        'event: ready\ndata: {"cursor": "e-5", "heartbeat_ms": 1000}\n\n',
        "id:\nevent: reset\ndata: {}\n\n",
        "retry: 1\nevent: drain\ndata: {}\n\n",
        "event: heartbeat\ndata: {}\n\n",
        "id: f-1\nevent: x\ndata: [not an object\n\n",
    )
    messages, notices = follow(script, 4, token="secret")
    assert [(message.id, message.type) for message in messages] == [
        ("e-1", "x"),
        (None, "ready"),
        (None, "reset"),
        ("f-1", "x"),
    ]
    assert messages[-1].data == {}
    assert script.last_event_ids == [None, "e-1", "e-1", "e-5", None, None, None]
    assert notices[:2] == ["hub: closed the stream; reconnecting, and no event is lost", "hub is back"]


class Silent(Script):
    """A server whose streams stay open and silent, unless they end with a reset."""

    async def stream(self, body: str) -> AsyncIterator[str]:
        yield body
        if "reset" not in body:
            await anyio.sleep_forever()


def test_a_silent_connection_is_closed() -> None:
    """A connection counts as dead after two and a half heartbeats of silence."""
    ready = 'retry: 1\nevent: ready\ndata: {"cursor": "e-5", "heartbeat_ms": 40}\n\n'
    reset = "event: reset\ndata: {}\n\n"
    # The interval that the first `ready` names applies from the second connection on.
    messages, notices = follow(Silent(ready + reset, ready, ready), 4)
    assert [message.type for message in messages] == ["ready", "reset", "ready", "ready"]
    assert "hub: has been silent for 0.1 s; reconnecting, and no event is lost" in notices
