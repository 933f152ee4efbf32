"""Request smuggling: there is only one reading of where a request ends and the next begins.

Each request is followed by another whose answer would show that it was parsed as one. A request whose end is clear is
answered, and so is the next. One whose end is ambiguous (RFC 9112, section 6.3) is answered 400 or not at all, and
nothing after it is parsed.
"""

from __future__ import annotations

import select
from functools import partial

import pytest

from statushub.hub.http.connection import PIECE_BYTES, UNPARSED_BYTES, Connection
from statushub.hub.http.handover import HandoverProtocol
from tests.hostile.publishes import CHUNKS, OFFER, chunked, offer, post
from tests.hostile.witness import unharmed
from tests.support.live import LiveHub, live_hub
from tests.support.tokens import SECRET, token
from tests.support.waiting import eventually
from tests.support.wire import LAST, READ_SECONDS, exchange, request, wire

HELD = b"GET /api/contents/silent/changes?wait=1 HTTP/1.1\r\nHost: localhost\r\n\r\n"
"""A request that takes long enough to pipeline others behind it."""

MUCH_BYTES = 4 * 1024 * 1024
"""More than the process buffers for a connection."""

READ_BYTES = 256 * 1024
"""Most bytes that the event loop reads at a time."""

NEXT = LAST
"""A request that a confused hub would answer with 200."""


CLEAR = {
    "a length": (post(f"Content-Length: {len(OFFER)}", body=OFFER), 200),
    "a length between spaces": (post(f"Content-Length: \t {len(OFFER)} \t", body=OFFER), 200),
    "a length with noughts": (post(f"Content-Length: 000{len(OFFER)}", body=OFFER), 200),
    "chunks": (chunked(CHUNKS), 200),
    "chunks in capitals": (post("TRANSFER-ENCODING: CHUNKED", body=CHUNKS), 200),
    "a byte in each chunk": (chunked(b"".join(b"1\r\n%c\r\n" % byte for byte in OFFER) + b"0\r\n\r\n"), 200),
    "chunk extensions": (
        chunked(b'%x;a;b=c;d="e\\"f"\r\n%b\r\n0;last\r\n\r\n' % (len(OFFER), OFFER)),
        200,
    ),
    "a size with noughts": (chunked(b"000%x\r\n%b\r\n00\r\n\r\n" % (len(OFFER), OFFER)), 200),
    "trailers": (chunked(b"%x\r\n%b\r\n0\r\nX-Sum: 1\r\nHost: x\r\n\r\n" % (len(OFFER), OFFER)), 200),
    "a request for a body": (request("POST", "/api/publish", body=NEXT), 400),
    "a request for a chunk": (chunked(b"%x\r\n%b\r\n0\r\n\r\n" % (len(NEXT), NEXT)), 400),
    "a request in a chunk extension": (chunked(b'2;x="GET /healthz HTTP/1.1"\r\n{}\r\n0\r\n\r\n'), 422),
    "a request in a trailer": (chunked(b"2\r\n{}\r\n0\r\nX: GET /healthz HTTP/1.1\r\n\r\n"), 422),
    "a body with a GET": (request("GET", "/healthz", f"Content-Length: {len(NEXT)}") + NEXT, 200),
    "a body with a HEAD": (request("DELETE", "/api/session", f"Content-Length: {len(NEXT)}") + NEXT, 204),
    "no length at all": (b"POST /api/tickets HTTP/1.1\r\nHost: localhost\r\n\r\n", 200),
    "empty lines before it": (b"\r\n\r\n" + request("GET", "/healthz"), 200),
    "another site's address": (request("GET", "http://elsewhere.example/healthz"), 200),
    "asked to continue": (post(f"Content-Length: {len(OFFER)}", "Expect: 100-continue", body=OFFER), 200),
}
"""Requests whose end is clear, and the status of their answers."""


@pytest.mark.parametrize(("sent", "status"), CLEAR.values(), ids=list(CLEAR))
def test_the_end_of_a_request_is_found(hub: LiveHub, sent: bytes, status: int) -> None:
    """The request is answered once, and so is the next, whether it comes in the same segment or later."""
    for parts in (
        (sent + LAST,),
        (sent[: len(sent) // 2], sent[len(sent) // 2 :], LAST),
        (sent[:-1], sent[-1:] + LAST),
    ):
        assert [answer.status for answer in exchange(hub.base_url, *parts)] == [status, 200]


TWICE = f"Content-Length: {len(OFFER)}"

UNCLEAR = {
    "length, then chunks": post(TWICE, "Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "chunks, then length": post("Transfer-Encoding: chunked", "Content-Length: 5", body=b"0\r\n\r\n"),
    "chunks and no length": post("Transfer-Encoding: chunked", "Content-Length: 0", body=CHUNKS),
    "two lengths": post(TWICE, "Content-Length: 2", body=OFFER),
    "the same length twice": post(TWICE, TWICE, body=OFFER),
    "a list of lengths": post(f"Content-Length: {len(OFFER)}, {len(OFFER)}", body=OFFER),
    "two numbers": post(f"Content-Length: {len(OFFER)} 2", body=OFFER),
    "no number": post("Content-Length:", body=OFFER),
    "a word": post("Content-Length: many", body=OFFER),
    "less than nothing": post("Content-Length: -1", body=OFFER),
    "a sign": post(f"Content-Length: +{len(OFFER)}", body=OFFER),
    "a hexadecimal length": post(f"Content-Length: {len(OFFER):#x}", body=OFFER),
    "half a byte": post(f"Content-Length: {len(OFFER)}.5", body=OFFER),
    "digits of another script": post("Content-Length: \xd9\xa2", body=b"{}"),
    "more than there are numbers for": post(f"Content-Length: {2**64 + len(OFFER)}", body=OFFER),
    "a space before the colon": post(f"Content-Length : {len(OFFER)}", body=OFFER),
    "a folded length": post(f"Content-Length:\r\n {len(OFFER)}", body=OFFER),
    "no chunks": post("Transfer-Encoding: identity", body=OFFER),
    "compressed and no chunks": post("Transfer-Encoding: gzip", body=OFFER),
    "chunks, then compressed": post("Transfer-Encoding: chunked, gzip", body=CHUNKS),
    "chunks of chunks": post("Transfer-Encoding: chunked, chunked", body=CHUNKS),
    "chunks on one of two lines": post("Transfer-Encoding: chunked", "Transfer-Encoding: identity", body=CHUNKS),
    "nearly chunked": post("Transfer-Encoding: xchunked", body=CHUNKS),
    "chunked in quotes": post('Transfer-Encoding: "chunked"', body=CHUNKS),
    "chunked after a control": post("Transfer-Encoding: \x0bchunked", body=CHUNKS),
    "chunked and a parameter": post("Transfer-Encoding: chunked;q=1", body=CHUNKS),
    "folded chunked": post("Transfer-Encoding:\r\n chunked", body=CHUNKS),
    "chunked with a space before the colon": post("Transfer-Encoding : chunked", body=CHUNKS),
    "a carriage return in a name": post("Transfer-Encoding\r: chunked", body=CHUNKS),
    "a nought in a name": post("Transfer-\0Encoding: chunked", body=CHUNKS),
    "a nought in a value": post("X: a\0b", TWICE, body=OFFER),
    "a bare carriage return in a value": post("X: a\rContent-Length: 2", TWICE, body=OFFER),
    "a bare line feed in a value": post("X: a\nContent-Length: 2", TWICE, body=OFFER),
    "a folded value": post("X: a\r\n b", TWICE, body=OFFER),
    "a line without a colon": post("Nonsense", TWICE, body=OFFER),
    "a field without a name": post(": x", TWICE, body=OFFER),
    "a field that begins with a space": b"POST /api/publish HTTP/1.1\r\n X: y\r\nHost: localhost\r\n\r\n",
    "bare line feeds": b"GET /healthz HTTP/1.1\nHost: localhost\n\n",
    "bare carriage returns": b"GET /healthz HTTP/1.1\rHost: localhost\r\r",
    "a size below nothing": chunked(b"-2\r\n{}\r\n0\r\n\r\n"),
    "a size with a sign": chunked(b"+2\r\n{}\r\n0\r\n\r\n"),
    "a size with a prefix": chunked(b"0x2\r\n{}\r\n0\r\n\r\n"),
    "a size and a space": chunked(b"2 \r\n{}\r\n0\r\n\r\n"),
    "a size with an underscore": chunked(b"1_0\r\n{}              \r\n0\r\n\r\n"),
    "a size over all numbers": chunked(b"10000000000000002\r\n{}\r\n0\r\n\r\n"),
    "no size": chunked(b"\r\n{}\r\n0\r\n\r\n"),
    "a chunk longer than it says": chunked(b"1\r\n{}\r\n0\r\n\r\n"),
    "a chunk shorter than it says": chunked(b"3\r\n{}\r\n0\r\n\r\n"),
    "a chunk without its end": chunked(b"2\r\n{}0\r\n\r\n"),
    "a chunk that ends in a line feed": chunked(b"2\r\n{}\n0\r\n\r\n"),
    "a size that ends in a line feed": chunked(b"2\n{}\r\n0\r\n\r\n"),
    "an extension that ends in a line feed": chunked(b"2;a\n{}\r\n0\r\n\r\n"),
    "a folded trailer": chunked(b"2\r\n{}\r\n0\r\nX: a\r\n b\r\n\r\n"),
    "a length for a trailer": chunked(CHUNKS[:-2] + b"Content-Length: 999\r\n\r\n"),
    "chunked for a trailer": chunked(CHUNKS[:-2] + b"Transfer-Encoding: chunked\r\n\r\n"),
    "nonsense for a trailer": chunked(b"2\r\n{}\r\n0\r\nX\0: a\r\n\r\n"),
    "HTTP/1.9": b"GET /healthz HTTP/1.9\r\nHost: localhost\r\n\r\n",
    "HTTP/3": b"GET /healthz HTTP/3\r\nHost: localhost\r\n\r\n",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",
    "a hello of TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "an unknown method": request("FROB", "/healthz"),
    "a method in small letters": request("get", "/healthz"),
    "bytes in a target": request("GET", "/api/contents/\xff\xc3"),
    "a space in a target": request("GET", "/healthz /x"),
    "an address without a path": request("GET", "http://localhost"),
    "an authority for a target": request("GET", "localhost:80"),
    "a tunnel": request("CONNECT", "localhost:80"),
}
"""Bytes that are not a valid HTTP request, and requests whose end is ambiguous."""


@pytest.mark.parametrize("sent", UNCLEAR.values(), ids=list(UNCLEAR))
def test_nothing_after_an_ambiguous_request_is_parsed(hub: LiveHub, sent: bytes) -> None:
    """The request is answered 400 once, and the connection is closed."""
    for parts in ((sent + NEXT,), (sent, NEXT), (sent[:-3], sent[-3:] + NEXT)):
        answers = exchange(hub.base_url, *parts, finish=True)
        assert [answer.status for answer in answers] == [400]
        assert answers[0].header("connection") == "close"


ENDING = {
    "HTTP/0.9": b"GET /healthz\r\n\r\n",
    "HTTP/1.0": b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n",
    "HTTP/1.0 in chunks": post("Transfer-Encoding: chunked", body=CHUNKS, version="1.0"),
    "HTTP/1.0 to be kept alive": b"GET /healthz HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n",
    "HTTP/2.0": b"GET /healthz HTTP/2.0\r\nHost: localhost\r\n\r\n",
    "to be closed": request("GET", "/healthz", "Connection: close"),
    "an upgrade to HTTP/2": request(
        "GET", "/healthz", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"
    ),
    "an upgrade with a body": post("Connection: Upgrade", "Upgrade: h2c", TWICE, body=OFFER),
    "an upgrade to nothing": request("GET", "/healthz", "Connection: Upgrade", "Upgrade: frob/7"),
    "a tunnel to a path": request("CONNECT", "/healthz"),
}
"""Requests that are clear, and the last of their connection."""


@pytest.mark.parametrize("sent", ENDING.values(), ids=list(ENDING))
def test_nothing_after_a_last_request_is_parsed(hub: LiveHub, sent: bytes) -> None:
    """The request is answered, the connection is closed, and later bytes are discarded."""
    much = NEXT * 100 + request("POST", "/api/publish", body=offer("behind", "never"))
    for parts in ((sent + NEXT,), (sent + NEXT[:20], NEXT[20:]), (sent + much,)):
        answers = exchange(hub.base_url, *parts)
        assert len(answers) == 1
        assert answers[0].status < 500
    [told] = exchange(hub.base_url, request("GET", "/api/contents/behind", "Connection: close"))
    assert told.json["contents"] == []


@pytest.mark.parametrize("behind", [b"\0" * 9, b"nonsense\r\n\r\n", UNCLEAR["length, then chunks"]])
def test_complete_requests_are_answered_before_an_invalid_one(hub: LiveHub, behind: bytes) -> None:
    """Answers come in order; then the connection is closed without an answer to the invalid request."""
    for first in (request("GET", "/healthz"), HELD):
        answers = exchange(hub.base_url, first + request("GET", "/nope") + behind + NEXT)
        assert [answer.status for answer in answers] == [200, 404]


def test_answers_come_in_the_order_of_requests(hub: LiveHub) -> None:
    """Slow requests precede fast ones, with and without a body."""
    sent = (
        HELD + request("HEAD", "/nope") + request("GET", "/nope") + request("POST", "/api/publish", body=OFFER) + LAST
    )
    answers = exchange(hub.base_url, sent, methods=["GET", "HEAD", "GET", "POST", "GET"])
    assert [answer.status for answer in answers] == [200, 404, 404, 200, 200]


def connections(hub: LiveHub) -> list[Connection]:
    """The hub's connections that speak HTTP."""
    return [connection for connection in [*hub.server_state.connections] if isinstance(connection, Connection)]


def waiting(hub: LiveHub) -> int:
    """The longest pipeline of parsed requests."""
    return max((len(connection.pipeline) for connection in connections(hub)), default=0)


BODY = b'{"content_ids":["%b"]}' % (b"x" * 1_000)

FAST = {
    "few bytes": [(request("GET", "/healthz"), 200), (request("GET", "/nope"), 404)],
    # A read ends within a body.
    "bodies": [(request("POST", "/api/contents/status/batch", body=BODY), 422), (request("POST", "/nope"), 404)],
}
"""Requests of one kind, and the status of their answers."""


@pytest.mark.parametrize("kind", FAST.values(), ids=list(FAST))
def test_pipelined_requests_meet_backpressure(hub: LiveHub, kind: list[tuple[bytes, int]]) -> None:
    """All are answered in order, and only a few are parsed ahead."""
    (often, _), (seldom, _) = kind
    asked = [kind[not number % 3] for number in range(min(3_000, 500_000 // len(often)))]
    with wire(hub.base_url) as opened:
        opened.send(HELD + b"".join(sent for sent, _ in asked) + LAST)
        kept = [eventually(lambda: waiting(hub))]
        assert opened.answer().status == 200
        for _, status in asked:
            assert opened.answer().status == status
            kept.append(waiting(hub))
        assert [answer.status for answer in opened.answers()] == [200]
    assert max(kept) <= 3 + PIECE_BYTES // (len(often + often + seldom) / 3)


@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_a_pipelined_body_arrives_whole(hub: LiveHub, framing: str) -> None:
    """The body may arrive before or after the answer to the previous request."""
    contents = ",".join(
        f'{{"channel":"long","content_id":"{number}","data":{{"status":"idle","note":"{"x" * 3_000}"}}}}'
        for number in range(90)
    )
    body = f'{{"events":[{contents}]}}'.encode()
    if framing == "length":
        sent = request("POST", "/api/publish", body=body)
    else:
        parts = [body[start : start + 1_000] for start in range(0, len(body), 1_000)]
        sent = chunked(b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n")
    answers = exchange(hub.base_url, HELD + sent + sent + LAST)
    assert [answer.status for answer in answers] == [200] * 4
    assert [answer.body.count(b'"accepted":true') for answer in answers[1:3]] == [90, 90]


def test_endless_requests_meet_backpressure(hub: LiveHub) -> None:
    """They are read as fast as they are answered; the rest stays in the client's buffers."""
    flood, sent, kept = request("GET", "/healthz") * 5_000, 0, 0
    with wire(hub.base_url) as opened:
        opened.socket.setblocking(False)
        while sent < MUCH_BYTES:
            readable, writable, _ = select.select([opened.socket], [opened.socket], [], READ_SECONDS)
            if readable:
                opened.socket.recv(MUCH_BYTES)
            if writable:
                sent += opened.socket.send(flood)
            kept = max([kept, *(len(connection.unparsed) for connection in connections(hub))])
    assert 0 < kept <= UNPARSED_BYTES + READ_BYTES


def test_a_pipelined_head_is_not_late() -> None:
    """The head arrived in time, in part or whole, and waited for the answer to another request."""
    with live_hub(http=partial(HandoverProtocol, head_seconds=0.3)) as hub, wire(hub.base_url) as opened:
        opened.send(HELD + request("GET", "/healthz") * 200 + LAST[:-9])
        eventually(lambda: waiting(hub))
        opened.send(LAST[-9:])
        assert [answer.status for answer in opened.answers()] == [200] * 202


@pytest.mark.parametrize("field", ["Host: localhost", "Authorization: Bearer x", "X-Forwarded-For: 192.0.2.1"])
def test_trailers_are_not_headers(field: str) -> None:
    """A proxy that checks only headers has not seen trailers, whatever their names."""
    chunks = f"2\r\n{{}}\r\n0\r\n{field.replace('Bearer x', f'Bearer {token()}')}\r\n\r\n".encode()
    head = b"POST /api/contents/status/batch HTTP/1.1\r\nContent-Type: application/json\r\n"
    if field.startswith("Host"):
        settings, status, head = {}, 403, head + b"Transfer-Encoding: chunked\r\n\r\n"
    else:
        settings, status, head = {"secret": SECRET}, 401, head + b"Host: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with unharmed(**settings) as hub, wire(hub.base_url) as opened:
        opened.send(head + chunks)
        assert opened.answer().status == status


def test_requests_behind_a_stream_are_discarded(hub: LiveHub) -> None:
    """Requests sent with the stream's request, during its start or later are neither answered nor executed."""
    stream = request("GET", "/api/contents/after/events")
    for number, cut in enumerate((0, 30, 9_999)):
        publish = request("POST", "/api/publish", body=offer("after", f"never-{number}"))
        with wire(hub.base_url) as opened:
            opened.send(stream + publish[:cut])
            opened.until(b"HTTP/1.1 200")
            opened.send(publish[cut:] + publish)
            for told in (f"one-{number}", f"two-{number}"):
                sent = request("POST", "/api/publish", "Connection: close", body=offer("after", told))
                assert [answer.status for answer in exchange(hub.base_url, sent)] == [200]
                received = opened.until(told.encode())
            assert received.count(b"HTTP/1.1") == 1
            assert b"never" not in received


def test_invalid_bytes_are_refused_once(hub: LiveHub) -> None:
    """The refusal follows the current answer, for any amount of bytes."""
    before = hub.hub.counts.refusals["head"]
    with wire(hub.base_url) as opened:
        opened.send(HELD + b"GET /")
        while hub.hub.counts.refusals["head"] == before:
            opened.send(b"x" * 2_000)
            assert exchange(hub.base_url, LAST)
        for _ in range(20):
            opened.send(b"x" * 20_000)
            assert exchange(hub.base_url, LAST)
        assert [answer.status for answer in opened.answers()] == [200, 431]
    assert hub.hub.counts.refusals["head"] == before + 1
