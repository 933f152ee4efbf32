"""Parsers: for any input the result is valid, or an error names the field."""

from __future__ import annotations

import json
import random
from typing import Any

import httpx
import jwt
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from statushub.hub.auth import jwks
from statushub.hub.auth.identity import Identity
from statushub.hub.auth.patterns import ALL, Patterns
from statushub.hub.auth.tickets import Tickets
from statushub.hub.model import status
from statushub.hub.model.cursor import COUNTER_MAX, Cursor
from statushub.hub.model.errors import Invalid, Unauthorized
from statushub.hub.model.event import Event, decode
from statushub.hub.model.publication import publication
from statushub.hub.wire.sse import MESSAGE_SSE, SSE
from tests.hostile.seed import examples, seeded
from tests.support.frames import Frames
from tests.support.live import LiveHub
from tests.support.sse_client import open_stream
from tests.support.tokens import SECRET, authenticator, token
from tests.support.wire import LAST, Wire, exchange, request, wire

BREAKS = [
    "\r",
    "\n",
    "\r\n",
    "\u0085",
    "\u2028",
    "\u2029",
    "\0",
    "\x0b",
    "\x0c",
    "\x1c",
    "\ufeff",
    "\U000e0001",
    "\u202e",
]
"""Characters that some software takes for the end of a line or text, and invisible ones."""

texts = st.text() | st.lists(st.sampled_from([*BREAKS, "a", "-", "*", "/", "id:", "data: x", "event: drain"])).map(
    "".join
)
numbers = st.one_of(
    st.integers(), st.floats(), st.sampled_from([2**53, 2**63, -(2**63), 2**64, 10**400, 1e308, -0.0, 5e-324])
)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=10,
)
statuses = st.sampled_from(["idle", "generating", "complete", "error", "PROCESSING", "READY", "pending", "failed"])


def refused(error: Invalid, field: str = "") -> None:
    """Assert that the error names the field, or a part of it, and has a message."""
    assert error.field
    assert error.field.startswith(field)
    assert error.message


# Cursors, patterns, tokens


@seeded
@examples(500)
@given(text=texts | st.from_regex(r"[a-z0-9]{0,40}-?[0-9]{0,25}\n?") | st.from_regex(r"\A\w{1,9}-\d{1,20}\Z"))
def test_a_cursor_is_parsed_or_refused(text: str) -> None:
    """A parsed cursor is written as it was read, and any other text is refused."""
    try:
        cursor = Cursor.parse(text, field="f")
    except Invalid as error:
        refused(error, "f")
    else:
        assert str(cursor) == text
        assert 0 <= cursor.offset <= COUNTER_MAX
        assert text.isascii()


@seeded
@examples(300)
@given(patterns=st.lists(texts, max_size=5) | st.lists(st.text(alphabet="ab*/.", max_size=40), max_size=5), name=texts)
def test_patterns_match_or_are_refused(patterns: list[str], name: str) -> None:
    """Without a wildcard a pattern matches only itself; with one, no more than `**` does."""
    try:
        made = Patterns(patterns, "read")
    except Invalid as error:
        refused(error, "read")
        return
    if made.match(name):
        assert ALL.match(name)
        assert name in patterns or any("*" in pattern for pattern in patterns)


@pytest.mark.parametrize("pattern", ["*a" * 120 + "b", "**" + "a*" * 100 + "b**", "**a**" + "b*" * 100, "*/" * 127])
def test_every_pattern_matches_in_linear_time(pattern: str) -> None:
    """A pattern that backtracks would exceed the test's time limit."""
    for name in ("a" * 128, "ab" * 64, "/" * 128):
        for _ in range(100):
            Patterns([pattern]).match(name)


claims = st.dictionaries(
    st.sampled_from(
        ["exp", "tenant", "sub", "jti", "iat", "nbf", "read", "write", "revoke", "iss", "aud", "until", "within"]
    ),
    values | st.lists(texts, max_size=70) | st.sampled_from([9e9, float("inf"), float("nan"), "acme", [], True]),
)


@pytest.mark.anyio
@seeded
@examples(300)
@given(
    said=claims, head=st.dictionaries(st.sampled_from(["kid", "crit", "b64", "typ", "x", "zip"]), values, max_size=2)
)
async def test_signed_nonsense_is_an_identity_or_unauthorized(said: dict[str, Any], head: dict[str, Any]) -> None:
    """Claims and header may be anything, signed with the right key."""
    auth = authenticator()
    try:
        text = jwt.encode(said, SECRET, "HS256", headers=head)
    except (TypeError, ValueError, OverflowError, jwt.PyJWTError):
        return  # PyJWT cannot encode it
    try:
        identity = await auth.verify(text)
    except Unauthorized:
        return
    assert isinstance(identity, Identity)
    assert identity.tenant.isascii()


members = st.sampled_from([*jwks.Key.__struct_fields__, "d", "alg", "key_ops"])
words = st.sampled_from(["RSA", "EC", "OKP", "oct", "P-256", "P-384", "Ed25519", "X25519", "AQAB", "sig", "A" * 43])


@seeded
@examples(300)
@given(
    said=st.fixed_dictionaries({"keys": values | st.lists(st.dictionaries(members, words | values), max_size=5)}),
    noise=st.binary(max_size=4),
    cut=st.integers(0, 400),
)
def test_a_key_set_of_any_kind_has_keys_or_is_a_value_error(said: dict[str, Any], noise: bytes, cut: int) -> None:
    """Whatever a document says, and wherever it is damaged, reading it ends with keys or with one error."""
    document = json.dumps(said).encode()
    for text in (document, document[:cut] + noise + document[cut:], document[:cut], noise):
        try:
            assert jwks.read(text).used >= 0
        except ValueError:
            continue


@pytest.mark.anyio
@seeded
@examples(300)
@given(text=texts | st.binary().map(lambda data: data.decode("latin-1")), cut=st.integers(0, 400))
async def test_a_changed_token_or_ticket_is_unauthorized(text: str, cut: int) -> None:
    """Any text in place of it or of a part of it, or inserted into it, is refused."""
    auth = authenticator()
    ticket, _ = auth.tickets.give(Identity(tenant="acme", read=ALL), None)
    for good, read in ((token(), auth.verify), (ticket, _awaited(auth.tickets))):
        for spoiled in (text, good[:cut] + text + good[cut:], *(_replaced(good, part, text) for part in range(3))):
            if spoiled == good:
                continue
            with pytest.raises(Unauthorized):
                await read(spoiled)


def _awaited(tickets: Tickets) -> Any:
    async def read(text: str) -> Identity:
        return tickets.read(text)

    return read


def _replaced(good: str, part: int, text: str) -> str:
    parts = good.split(".")
    return ".".join([*parts[:part], text, *parts[part + 1 :]])


@pytest.mark.anyio
@pytest.mark.parametrize("failure", [ValueError, TypeError, RecursionError, jwt.DecodeError])
async def test_every_exception_of_the_jwt_library_is_unauthorized(
    monkeypatch: pytest.MonkeyPatch, failure: type[Exception]
) -> None:
    """Versions of PyJWT differ in what they raise for a header that is nested too deeply or of a wrong type."""

    def fail(*_arguments: object, **_options: object) -> None:
        raise failure

    auth = authenticator()
    ticket, _ = auth.tickets.give(Identity(tenant="acme", read=ALL), None)
    monkeypatch.setattr(jwt, "decode", fail)
    with pytest.raises(Unauthorized):
        auth.tickets.read(ticket)
    with pytest.raises(Unauthorized):
        await auth.verify(token())


# Publications and what is stored


@seeded
@examples(400)
@given(
    channel=texts | st.just("c"),
    content_id=texts | st.just("a"),
    data=st.dictionaries(
        st.sampled_from(["status", "progress", "timestamp", "content_id", "x", "error"]) | texts, values | statuses
    ),
    type=st.none() | texts | st.sampled_from(["processing_complete", "ready"]),
    attempt=st.none() | values,
    seq=st.none() | values,
    lease=st.none() | values,
)
def test_a_publication_is_valid_or_refused(**offer: Any) -> None:
    """Its data are one line of JSON that decodes to the same, and its names fit into a frame."""
    try:
        made = publication(**offer)
    except Invalid as error:
        refused(error)
        return
    said = decode(made.data)
    assert said["content_id"] == made.content_id == offer["content_id"]
    assert len(made.data.decode().splitlines()) == 1
    assert not any(mark in name for mark in BREAKS for name in (made.channel, made.content_id, made.type))
    event = Event(channel=made.channel, content_id=made.content_id, offset=1, type=made.type, data=made.data)
    check_frame(SSE.event("k3", event), event)


stored = st.one_of(
    st.binary(),
    values.map(lambda value: json.dumps(value).encode()),
    st.dictionaries(
        st.sampled_from(
            ["status", "progress", "step_index", "remaining_seconds", "duration", "timestamp", "estimated_completion"]
        ),
        values | statuses,
    ).map(lambda value: json.dumps(value, indent=1).encode()),
    st.sampled_from(
        [b'{"progress":1e999}', b'{"remaining_seconds":1e308}', b'{"step_index":1e300}', b"[" * 9_999, b'{"a":1,"a":2}']
    ),
)


@seeded
@examples(400)
@given(data=stored)
def test_every_stored_event_is_answered_as_valid_json(data: bytes) -> None:
    """A worker may store any bytes through the broker; every answer made of them is valid JSON."""
    event = Event(channel="c", content_id="a", offset=1, type="custom", data=data)
    msgspec.json.decode(msgspec.json.encode([status.whole(event), status.read(event).progress]))
    said = status.read(event)
    for name in ("step_index", "remaining_seconds", "duration"):
        msgspec.json.encode([said.count(name), said.number(name), said.text(name), said.estimated_completion])
    assert msgspec.json.decode(status.line(event))["id"] == "a"
    frame = SSE.event("k3", event)
    [unnamed] = Frames(chunked=False).feed(MESSAGE_SSE.event("k3", event))
    names = [name for name, _ in json.loads(unnamed.data, object_pairs_hook=list)]
    assert (names[0], names.count("type"), unnamed.json["type"]) == ("type", 1, "custom")
    assert frame.endswith(b"\n\n")
    assert len(frame.decode(errors="replace").splitlines()) == 4


def check_frame(frame: bytes, event: Event) -> None:
    """Assert that the standard's parser (HTML, section 9.2.6) reads one event from the frame, and this one."""
    text = frame.decode()
    assert text.endswith("\n\n")
    fields = [line.partition(": ")[::2] for line in text.replace("\r\n", "\n").replace("\r", "\n")[:-2].split("\n")]
    assert [name for name, _ in fields] == ["event", "data", "id"]
    assert fields[0][1] == event.type
    assert json.loads(fields[1][1]) == json.loads(event.data)


# Over the wire


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=10,
)


def test_published_data_arrive_unchanged(hub: LiveHub) -> None:
    """A live frame, a catch-up and a poll have the same JSON in one well-formed frame."""
    channel = "frames"
    with (
        open_stream(hub.base_url, f"/api/contents/{channel}/events") as stream,
        httpx.Client(base_url=hub.base_url) as client,
    ):
        stream.until("ready")
        sent: list[dict[str, Any]] = []

        @seeded
        @examples(150)
        @given(said=st.dictionaries(texts, plain, max_size=5), name=texts.filter(str.isprintable))
        def published(said: dict[str, Any], name: str) -> None:
            content_id = (name.replace("*", "") + f"x{len(sent)}")[-100:].strip(" /")
            said = {key: value for key, value in said.items() if key not in RESERVED} | {"status": "generating"}
            offer = {"channel": channel, "content_id": content_id, "data": said}
            answer = client.post("/api/publish", content=_encoded(offer), headers=JSON)
            assert answer.status_code == 200, answer.text
            frame = stream.event()
            assert frame.event == "content_status_update"
            assert frame.id == answer.json()["cursor"]
            assert said.items() <= _surely(frame.json, said).items()
            assert frame.json["content_id"] == content_id
            sent.append(frame.json)

        published()
        with open_stream(hub.base_url, f"/api/contents/{channel}/events") as late:
            frames = late.until("ready")
            assert [frame.json for frame in frames[:-1]] == sent
        polled = client.get(f"/api/contents/{channel}/changes").json()["events"]
        for content, event in zip(sent, polled, strict=True):
            assert content.items() <= event["data"].items()


RESERVED = {
    "content_id",
    "channel_id",
    "status",
    "processing_status",
    "timestamp",
    "progress",
    "estimated_completion",
    "cancel_requested",
    "id",
    "error_message",
}
"""Fields that the hub fills in, checks or sets itself. Hypothesis draws names from the code, so that these come up."""
JSON = {"Content-Type": "application/json"}


def _encoded(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=1).encode(errors="surrogatepass")


def _surely(told: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    return {key: told[key] for key in said}


BODIES: dict[str, bytes] = {
    "invalid UTF-8": b'{"K":["\xff\xfe"]}',
    "overlong UTF-8": b'{"K":["\xc0\xaf"]}',
    "a surrogate in UTF-8": b'{"K":["\xed\xa0\x80"]}',
    "a lone surrogate": b'{"K":["\\ud800"]}',
    "surrogates in the wrong order": b'{"K":["\\udc00\\ud800"]}',
    "UTF-16": '{"K":["a"]}'.encode("utf-16"),
    "a mark before it": b'\xef\xbb\xbf{"K":["a"]}',
    "NUL": b'{"K":["a\\u0000b"]}',
    "a bare NUL": b'{"K":["a\0b"]}',
    "a bare line break": b'{"K":["a\nb"]}',
    "a line break": b'{"K":["a\\nb"]}',
    "a carriage return": b'{"K":["a\\rb"]}',
    "U+0085": '{"K":["a\u0085b"]}'.encode(),
    "U+2028": '{"K":["a\u2028b"]}'.encode(),
    "U+2029": b'{"K":["a\\u2029b"]}',
    "a hidden character": '{"K":["a\u200bb"]}'.encode(),
    "a number too large for anything": b'{"K":[' + b"9" * 5_000 + b"]}",
    "a number with a large exponent": b'{"K":[1e99999]}',
    "a number with many decimals": b'{"K":[0.' + b"1" * 50_000 + b"]}",
    "no number": b'{"K":[NaN,Infinity,-Infinity]}',
    "a depth of 100,000": b'{"K":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a depth of 100,000 without an end": b'{"K":' + b'{"a":' * 20_000,
    "an unknown field of a depth of 100,000": b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a field of many names": b"{" + b",".join(b'"%d":1' % number for number in range(9_000)) + b"}",
    "a million spaces": b" " * 200_000 + b'{"x":1}',
    "nothing": b"",
    "a comment": b'{"K":["a"]/**/}',
    "two values": b'{"K":["a"]}{}',
}
ROUTES = [
    ("/api/contents/status/batch", "content_ids"),
    ("/v1/ai/jobs/batch-status", "job_ids"),
    ("/api/publish", "channel"),
    ("/api/tickets", "read"),
    ("/api/revoke", "sub"),
]


@pytest.mark.parametrize("body", BODIES.values(), ids=list(BODIES))
def test_malformed_bodies_are_refused(hub: LiveHub, body: bytes) -> None:
    """The answer is 4xx with an error in UTF-8, the connection stays open, and nothing is stored."""
    for path, key in ROUTES:
        sent = request("POST", path, body=body.replace(b"K", key.encode(), 1))
        answers = exchange(hub.base_url, sent + LAST)
        if path == "/api/tickets" and not body:
            continue
        assert [answer.status for answer in answers][-1] == 200, path
        assert answers[0].status in (400, 413, 422), (path, answers[0])
        assert set(answers[0].json["error"]) <= {"code", "message", "field"}


DATA: dict[str, tuple[bytes, Any]] = {
    "the same key twice": (b'{"status":"idle","x":1,"x":2}', 2),
    "a status twice": (b'{"status":"error","status":"idle","x":1}', 1),
    "a number as large as a double": (b'{"status":"idle","x":1e308}', 1e308),
    "more digits than a double": (b'{"status":"idle","x":12345678901234567890}', 12345678901234567890),
    "a surrogate pair": (b'{"status":"idle","x":"\\ud83d\\ude00"}', "\U0001f600"),
    "U+2028 and U+2029": ('{"status":"idle","x":"\u2028\u2029\u0085"}'.encode(), "\u2028\u2029\u0085"),
    "NUL": (b'{"status":"idle","x":"\\u0000"}', "\0"),
    "a frame": (b'{"status":"idle","x":"\\n\\ndata: {}\\r\\n\\r\\n0\\r\\n\\r\\n"}', "\n\ndata: {}\r\n\r\n0\r\n\r\n"),
    "a depth of 500": (b'{"status":"idle","x":%b%b}' % (b"[" * 500, b"]" * 500), json.loads("[" * 500 + "]" * 500)),
}


@pytest.mark.parametrize(("data", "expected"), DATA.values(), ids=list(DATA))
def test_ambiguous_json_has_one_meaning(hub: LiveHub, data: bytes, expected: Any) -> None:
    """Stream, poll and batch agree; of repeated keys the last counts."""
    with open_stream(hub.base_url, "/api/contents/odd/events") as stream:
        stream.until("ready")
        body = b'{"channel":"odd","content_id":"%d","data":%b}' % (random.Random(data).randrange(10**9), data)
        [answer, _] = exchange(hub.base_url, request("POST", "/api/publish", body=body) + LAST)
        assert answer.status == 200, answer
        told = stream.event().json
        assert told["x"] == expected
        assert told["status"] == "idle"
        batch = json.dumps({"content_ids": [told["content_id"]]}).encode()
        [answer, _] = exchange(hub.base_url, request("POST", "/api/contents/status/batch", body=batch) + LAST)
        assert json.loads(answer.body)["statuses"][0]["x"] == expected


header_values = st.one_of(
    st.text(
        alphabet=st.characters(max_codepoint=255, exclude_characters="\r\n\0", exclude_categories=["Cc"]), max_size=200
    ),
    st.from_regex(
        r'\A(W/)?"[a-z0-9]{1,9}-[0-9]{1,20}"(, ?(W/)?"[^"]{0,9}"?){0,3}\Z',
        alphabet=st.characters(max_codepoint=126, min_codepoint=32),
    ),
    st.sampled_from(["*", '"', '""', 'W/"', ",", '"' * 99, "k3-1\t", "k3-1,k3-2", "a" * 9_000]),
)


def test_every_header_value_is_answered(auth_required: LiveHub) -> None:
    """Any value of a header that the hub reads is answered below 500, and so is the next request."""
    connection = Wire(auth_required.base_url)
    good = f"Authorization: Bearer {token()}"

    @seeded
    @examples(400)
    @given(
        value=header_values,
        name=st.sampled_from(["If-None-Match", "Last-Event-ID", "Cookie", "Authorization", "Origin", "Range"]),
    )
    def answered(value: str, name: str) -> None:
        for fields in ((f"{name}: {value}",), (f"{name}: {value}", good), (good, f"{name}: {value}")):
            for method, path in (
                ("GET", "/api/contents/c/status"),
                ("HEAD", "/api/contents/c/events"),
                ("GET", "/assets/dashboard/dashboard.js"),
            ):
                connection.send(request(method, path, *fields))
                assert connection.answer(method).status in (200, 206, 304, 400, 401, 403, 416)

    answered()
    connection.socket.close()


def test_every_query_is_answered(auth_required: LiveHub) -> None:
    """Any query is answered below 500, on every route that reads one."""
    held = f"Authorization: Bearer {token()}"
    with wire(auth_required.base_url) as connection:

        @seeded
        @examples(300)
        @given(
            pairs=st.lists(
                st.tuples(
                    st.sampled_from(["since", "wait", "view", "channel", "ticket", "x", ""]),
                    texts
                    | st.sampled_from(["0", "-0", "1e-9", "0x1", "nan", "inf", "1_0", "\u0661", "list"])
                    | st.binary(),
                ),
                max_size=4,
            )
        )
        def answered(pairs: list[tuple[str, str | bytes]]) -> None:
            query = "&".join(f"{name}={_quoted(value)}" for name, value in pairs if not _waits(name, value))
            for method, path in (
                ("GET", "/api/contents/c/status"),
                ("GET", "/api/contents/c/changes"),
                ("HEAD", "/api/contents/c/events"),
                ("HEAD", "/api/events"),
                ("POST", "/api/tickets"),
            ):
                connection.send(request(method, f"{path}?{query}", held))
                assert connection.answer(method).status in (200, 400, 403, 413, 422)

        answered()


def _waits(name: str, value: str | bytes) -> bool:
    """Whether a poll would wait, which would only take the test's time."""
    try:
        return name == "wait" and float(value) > 0
    except ValueError:
        return False


def _quoted(value: str | bytes) -> str:
    data = value.encode(errors="surrogatepass") if isinstance(value, str) else value
    return "".join(f"%{byte:02x}" for byte in data[:400])
