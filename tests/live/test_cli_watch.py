"""What `statushub watch` shows and how it follows, part by part."""

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
from tests.support.live import live_server

HEIGHT = 6


def told(content_id: str, **data: object) -> Message:
    return Message(id="e-1", type="content_status_update", data={"content_id": content_id, **data})


def shown(messages: list[Message]) -> str:
    """The last picture of a terminal that saw these."""
    console = Console(file=io.StringIO(), force_terminal=True, width=100, height=HEIGHT, color_system=None)
    board = Board()
    with Bars(console) as bars:
        for message in messages:
            bars.show(message, board.take(message))
        console.file = last = io.StringIO()
    return last.getvalue()


def test_bars_that_have_ended_make_room_first() -> None:
    """More contents than lines: those at work stay, the terminal is not overrun."""
    work = [told(f"at-work-{number}", status="generating", progress=number) for number in range(HEIGHT - 3)]
    ended = [told(f"ended-{number}", status="complete") for number in range(HEIGHT)]
    picture = shown([*work, *ended])
    assert all(message.data["content_id"] in picture for message in work)
    assert [name for name in (f"ended-{number}" for number in range(HEIGHT)) if name in picture] == ["ended-5"]


def test_a_reset_clears_the_bars() -> None:
    """What was shown is void."""
    picture = shown(
        [told("old", status="generating"), Message(id=None, type="reset", data={}), told("new", status="idle")]
    )
    assert "new" in picture
    assert "old" not in picture


def test_a_board_is_done_when_nothing_waits_or_runs() -> None:
    """Not before `ready`, and not while something is pending."""
    board = Board()
    ready = Message(id=None, type="ready", data={})
    assert not board.done
    board.take(told("clip", status="idle", processing_status="pending"))
    board.take(ready)
    assert not board.done


def test_a_reset_voids_the_failures_that_were_seen() -> None:
    """And the board is not done until the new state is known."""
    board = Board()
    board.take(Message(id=None, type="ready", data={}))
    board.take(told("clip", status="error"))
    assert board.done
    assert board.failed == ["clip"]
    board.take(Message(id=None, type="reset", data={}))
    assert (board.done, board.failed) == (False, [])


@pytest.mark.parametrize("data", [{}, {"status": 7, "progress": "half", "title": None, "remaining_seconds": True}])
def test_nonsense_in_a_status_is_left_out(data: dict[str, object]) -> None:
    """Anybody may have written it."""
    nonsense = row("clip", data)
    assert (nonsense.title, nonsense.status, nonsense.detail, nonsense.progress) == ("clip", "", "", None)
    assert nonsense.phase is Phase.PROCESSING


class Script:
    """A server that answers each connection with the next of some bodies, and remembers what it was asked."""

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
    """The first `count` messages of a follower of this server, and what it noticed."""
    notices: list[str] = []
    with live_server(script.app) as url:
        messages = Follower(url, "films", token=token, since=None, notice=notices.append).messages()
        taken = [next(messages) for _ in range(count)]
        messages.close()
    return taken, [notice.replace(url, "hub") for notice in notices]


def test_a_follower_resumes_from_what_it_saw_last() -> None:
    """By event, by `ready`, and from nothing after a reset; hubs that answer 503 meanwhile are waited for."""
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
    assert notices[:2] == ["hub: closed the stream; nothing is lost, waiting for it", "hub is back"]


class Silent(Script):
    """A server whose streams stay open, and silent, unless they end with a reset."""

    async def stream(self, body: str) -> AsyncIterator[str]:
        yield body
        if "reset" not in body:
            await anyio.sleep_forever()


def test_a_silent_hub_is_left() -> None:
    """A connection without a sign of life counts as dead after two and a half heartbeats."""
    ready = 'retry: 1\nevent: ready\ndata: {"cursor": "e-5", "heartbeat_ms": 40}\n\n'
    reset = "event: reset\ndata: {}\n\n"
    # What the first stream says of its heartbeats holds from the second on.
    messages, notices = follow(Silent(ready + reset, ready, ready), 4)
    assert [message.type for message in messages] == ["ready", "reset", "ready", "ready"]
    assert "hub: has been silent for 0.1 s; nothing is lost, waiting for it" in notices
