"""A server with OpenAI's chat API, as it is documented, that answers what a test says: streams, errors, cuts."""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

MODEL: Final = "test-model"

Answer = Callable[["Reply"], None]


class Reply:
    """One response."""

    def __init__(self, handler: BaseHTTPRequestHandler, request: dict[str, Any]) -> None:
        self.request = request
        self._handler = handler

    def begin(self) -> None:
        """Send the head of a stream."""
        self._handler.send_response(200)
        self._handler.send_header("Content-Type", "text/event-stream")
        self._handler.send_header("Transfer-Encoding", "chunked")
        self._handler.end_headers()

    def chunk(self, delta: dict[str, Any], finish: str | None = None) -> None:
        """Send a chunk of a completion."""
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        self.data(
            {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": MODEL, "choices": [choice]},
        )

    def data(self, value: Any) -> None:
        """Send an event with `value` as JSON."""
        self.raw(f"data: {json.dumps(value)}\n\n".encode())

    def raw(self, data: bytes) -> None:
        """Send a piece of the stream."""
        self._handler.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def end(self) -> None:
        """End the stream as the API does."""
        self.raw(b"data: [DONE]\n\n")
        self._handler.wfile.write(b"0\r\n\r\n")

    def cut(self) -> None:
        """Close the connection in the middle."""
        self._handler.close_connection = True

    def error(self, status: int, body: dict[str, Any], **headers: str) -> None:
        """Send an error."""
        self._send(status, "application/json", json.dumps({"error": body}).encode(), headers)

    def page(self, status: int, text: str) -> None:
        """Send a text, as a server does that is another's."""
        self._send(status, "text/plain", text.encode(), {})

    def _send(self, status: int, kind: str, data: bytes, headers: Mapping[str, str]) -> None:
        self._handler.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(data)), **headers}.items():
            self._handler.send_header(name.replace("_", "-"), value)
        self._handler.end_headers()
        self._handler.wfile.write(data)


def says(text: str, finish: str = "stop", *, before: threading.Event | None = None, at: int | None = None) -> Answer:
    """Streams `text`, a word at a time; waits for `before` after `at` words, by default in its middle."""

    def answer(reply: Reply) -> None:
        words = re.findall(r"\s*\S+\s*?", text)
        middle = len(words) // 2 if at is None else at
        reply.begin()
        reply.chunk({"role": "assistant", "content": ""})
        for number, word in enumerate(words):
            if before is not None and number == middle:
                before.wait(60)
            reply.chunk({"content": word})
        reply.chunk({}, finish)
        reply.end()

    return answer


def pairs(*answers: tuple[str, str]) -> str:
    """The text of an answer with these pairs."""
    return json.dumps({"qa_list": [{"question": question, "answer": answer} for question, answer in answers]})


def cuts(text: str) -> Answer:
    """Streams `text` and closes the connection."""

    def answer(reply: Reply) -> None:
        reply.begin()
        reply.chunk({"content": text})
        reply.cut()

    return answer


def ends_early(text: str) -> Answer:
    """Streams `text` and ends without a reason."""

    def answer(reply: Reply) -> None:
        reply.begin()
        reply.chunk({"content": text})
        reply.end()

    return answer


def breaks(text: str, event: bytes) -> Answer:
    """Streams `text` and then an event that is none."""

    def answer(reply: Reply) -> None:
        reply.begin()
        reply.chunk({"content": text})
        reply.raw(event)
        reply.end()

    return answer


def refuses(reason: str) -> Answer:
    """Streams a refusal."""

    def answer(reply: Reply) -> None:
        reply.begin()
        for word in re.findall(r"\S+\s*", reason):
            reply.chunk({"refusal": word})
        reply.chunk({}, "stop")
        reply.end()

    return answer


def fails(status: int, message: str, **details: Any) -> Answer:
    """Answers with an error; `details` are parts of its body, and headers where they begin with a capital."""
    headers = {name: value for name, value in details.items() if name[0].isupper()}
    body = {"message": message, **{name: value for name, value in details.items() if name not in headers}}
    return lambda reply: reply.error(status, body, **headers)


class ModelServer:
    """The server's address, and the requests that it got."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/v1"
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str] = []

    def prompt(self, number: int) -> str:
        """All that the model was told in a request."""
        return "\n".join(message["content"] for message in self.requests[number]["messages"])


@contextlib.contextmanager
def model_server(*answers: Answer) -> Iterator[ModelServer]:
    """Run a server on a free port, whose n-th completion is the n-th answer, and further ones the last."""
    left = list(answers)
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            data = json.dumps({"object": "list", "data": [{"id": MODEL, "object": "model"}]}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                server.requests.append(request)
                server.keys.append(self.headers.get("Authorization", ""))
                answer = left.pop(0) if len(left) > 1 else left[0]
            with contextlib.suppress(OSError):
                answer(Reply(self, request))

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        listener.daemon_threads = True
        server = ModelServer(listener.server_address[1])
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            listener.shutdown()
            thread.join()
