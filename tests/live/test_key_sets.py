"""Key sets at a URL that is slow, large, wrong or away, and keys that are odd."""

from __future__ import annotations

import gzip
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from statushub.hub.auth import jwks, key_set, tokens
from tests.live.test_auth import CHANNEL, jwk, private_key
from tests.support.live import LiveHub, live_hub
from tests.support.tokens import bearer
from tests.support.waiting import eventually

WAIT_SECONDS = 20.0

Answer: TypeAlias = Callable[[BaseHTTPRequestHandler], None]


class Issuer:
    """A server of a key set. `answer` may be replaced while it runs; `release` ends answers that wait for it."""

    def __init__(self) -> None:
        self.answer: Answer = sends(b"{}")
        self.asked = threading.Semaphore(0)
        self.release = threading.Event()
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked.release()
                # The hub may close the connection.
                with suppress(BrokenPipeError, ConnectionResetError):
                    issuer.answer(self)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_address[1]}"

    def wait(self) -> None:
        """Return once another fetch has begun."""
        assert self.asked.acquire(timeout=WAIT_SECONDS)


@contextmanager
def issuing() -> Iterator[Issuer]:
    """An issuer for the block."""
    issuer = Issuer()
    thread = threading.Thread(target=issuer.server.serve_forever)
    thread.start()
    try:
        yield issuer
    finally:
        issuer.release.set()
        issuer.server.shutdown()
        issuer.server.server_close()
        thread.join(WAIT_SECONDS)


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with issuing() as issuer:
        yield issuer


def sends(body: bytes, status: int = 200, **headers: str) -> Answer:
    """An answer with this body."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def a_set(*entries: Any) -> Answer:
    """An answer with a set of these keys."""
    return sends(json.dumps({"keys": entries}).encode())


@contextmanager
def hub_of(issuer: Issuer, url: str = "http://{}/keys") -> Iterator[tuple[LiveHub, httpx.Client]]:
    """A hub with the issuer's keys, and a client of it."""
    with (
        live_hub(jwks_url=url.format(issuer.address)) as hub,
        httpx.Client(base_url=hub.base_url, timeout=WAIT_SECONDS) as client,
    ):
        yield hub, client


def signed(algorithm: str, key_id: str | None = None, **claims: Any) -> dict[str, str]:
    """The header with a token that is signed with the test's key for this algorithm."""
    return bearer(private_key(algorithm), algorithm, head={"kid": key_id} if key_id else None, **claims)


def drips(issuer: Issuer) -> Answer:
    """An answer that sends a space every few milliseconds, and never ends."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while not issuer.release.wait(0.01):
            handler.wfile.write(b" ")

    return answer


def floods(issuer: Issuer) -> Answer:
    """An answer that never ends, as fast as it is read."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while not issuer.release.is_set():
            handler.wfile.write(b" " * 65_536)

    return answer


def test_a_dripping_answer_ends_at_the_deadline(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadline is one of the whole fetch, not of each byte; the request that waited gets 503."""
    monkeypatch.setattr(key_set, "FETCH_SECONDS", 0.5)
    issuer.answer = drips(issuer)
    with hub_of(issuer) as (_, client):
        began = time.monotonic()
        assert client.get(CHANNEL, headers=signed("EdDSA")).status_code == 503
        assert time.monotonic() - began < 5


def test_an_answer_without_end_is_cut_off(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """No more than the limit is read, whether it is sent as it is or compressed."""
    monkeypatch.setattr(key_set, "FETCH_SECONDS", WAIT_SECONDS)
    monkeypatch.setattr(key_set, "KEYS_PAUSE_SECONDS", 0.0)
    issuer.answer = floods(issuer)
    with hub_of(issuer) as (_, client):
        assert client.get(CHANNEL, headers=signed("EdDSA")).status_code == 503
        assert f"more than {jwks.DOCUMENT_BYTES} bytes" in caplog.text
        small = json.dumps({"keys": [jwk("EdDSA", "one")]}).encode() + b" " * 10_000_000
        issuer.answer = sends(gzip.compress(small), Content_Encoding="gzip")
        eventually(lambda: "is compressed" in caplog.text)
        assert client.get(CHANNEL, headers=signed("EdDSA")).status_code == 503
        issuer.answer = a_set(jwk("EdDSA", "one"))
        eventually(lambda: client.get(CHANNEL, headers=signed("EdDSA", "one")).status_code == 200)


def test_a_fetch_holds_no_request_whose_key_is_known(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the issuer does not answer, such requests are answered; one with an unknown key waits for the fetch."""
    monkeypatch.setattr(key_set, "KEYS_SECONDS", 0.05)
    monkeypatch.setattr(key_set, "FETCH_SECONDS", WAIT_SECONDS)
    monkeypatch.setattr(tokens, "KNOWN_SECONDS", 0.0)
    held = threading.Event()

    def hold(handler: BaseHTTPRequestHandler) -> None:
        held.set()
        issuer.release.wait(WAIT_SECONDS)
        a_set(jwk("EdDSA", "one"), jwk("ES256", "two"))(handler)

    issuer.answer = a_set(jwk("EdDSA", "one"))
    with hub_of(issuer) as (_, client), ThreadPoolExecutor() as pool:
        assert client.get(CHANNEL, headers=signed("EdDSA", "one")).status_code == 200
        issuer.answer = hold
        assert held.wait(WAIT_SECONDS)
        unknown = pool.submit(httpx.get, str(client.base_url) + CHANNEL, headers=signed("ES256", "two"), timeout=60)
        for number in range(20):
            assert client.get(CHANNEL, headers=signed("EdDSA", "one", sub=str(number))).status_code == 200
        assert not unknown.done()
        issuer.release.set()
        assert unknown.result(WAIT_SECONDS).status_code == 200


def test_a_withdrawn_key_is_noticed_by_an_idle_hub(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The set is fetched periodically, not only for a request; an empty set withdraws all keys."""
    monkeypatch.setattr(key_set, "KEYS_SECONDS", 0.05)
    monkeypatch.setattr(tokens, "KNOWN_SECONDS", 0.0)
    issuer.answer = a_set(jwk("EdDSA", "one"), jwk("ES256", "two"))
    with hub_of(issuer) as (_, client):
        assert client.get(CHANNEL, headers=signed("EdDSA", "one")).status_code == 200
        issuer.answer = a_set(jwk("ES256", "two"))
        for _ in range(2):
            while issuer.asked.acquire(blocking=False):
                pass
            issuer.wait()
        issuer.wait()
        assert client.get(CHANNEL, headers=signed("EdDSA", "one")).status_code == 401
        assert client.get(CHANNEL, headers=signed("ES256", "two")).status_code == 200
        issuer.answer = a_set()
        eventually(lambda: client.get(CHANNEL, headers=signed("ES256", "two")).status_code == 401)


ODD = [
    {"kid": 7},
    {"kid": None},
    {"kid": ["one"]},
    {"kid": {"a": 1}},
    {"kid": ""},
    {"kid": "x" * 100_000},
    {"kid": "good"},
    {"kid": "odd", "kty": ["OKP"]},
    {"kid": "odd", "x": 7},
    {"kid": "odd", "x": "é"},
    {"kid": "odd", "x": ""},
    {"kid": "odd", "use": {}},
    {"kid": "odd", "crv": None},
    {"kid": "odd", "d": "A" * 43},
]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: str(odd)[:40])
def test_an_odd_key_is_skipped(issuer: Issuer, odd: dict[str, Any]) -> None:
    """Its neighbours verify tokens; the odd one does not."""
    good, other = jwk("ES256", "good"), jwk("RS256", "other")
    spoiled = jwk("EdDSA", "odd") | odd
    if spoiled["kid"] == "good":
        # Of two keys of one algorithm and id the first counts.
        another = ec.generate_private_key(ec.SECP256R1()).public_key()
        spoiled = json.loads(ECAlgorithm.to_jwk(another)) | odd
    issuer.answer = a_set(good, spoiled, other, "no key", 7, None, [])
    with hub_of(issuer) as (_, client):
        assert client.get(CHANNEL, headers=signed("ES256", "good")).status_code == 200
        assert client.get(CHANNEL, headers=signed("RS256", "other")).status_code == 200
        for key_id in ("odd", "7", "x" * 1000, None):
            assert client.get(CHANNEL, headers=signed("EdDSA", key_id)).status_code == 401


@pytest.mark.parametrize("depth", [20, 100_000])
@pytest.mark.parametrize("bracket", ["[]", "{}"])
@pytest.mark.parametrize("where", ["in a key", "as a key", "beside the keys", "in a key id"])
def test_deep_json_is_skipped(issuer: Issuer, depth: int, bracket: str, where: str) -> None:
    """A key that is nested too deeply is skipped, and does not spoil the set."""
    opening = "[" if bracket == "[]" else '{"a":'
    deep = opening * depth + "1" + bracket[1] * depth
    key = json.dumps(jwk("EdDSA", "deep"))
    entries = {
        "in a key": key[:-1] + f', "x5c": {deep}}}',
        "as a key": deep,
        "beside the keys": "null",
        "in a key id": f'{{"kid": {deep}, {key[1:]}',
    }
    good = json.dumps(jwk("ES256", "good") | {"note": 'a "quoted" ]}]} text \\'})
    document = f'{{"keys": [{entries[where]}, {good}], "more": {deep if where == "beside the keys" else 1}}}'
    issuer.answer = sends(document.encode())
    with hub_of(issuer) as (_, client):
        # Deeper than any list of certificates, and larger than a set may be.
        expected = 200 if len(document) <= jwks.DOCUMENT_BYTES else 503
        assert client.get(CHANNEL, headers=signed("ES256", "good")).status_code == expected
        assert client.get(CHANNEL, headers=signed("EdDSA", "deep")).status_code in (401, 503)


def test_a_wrong_document_keeps_the_keys_fetched_last(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the URL answers, the hub serves on with the keys that it knows."""
    monkeypatch.setattr(key_set, "KEYS_SECONDS", 0.01)
    monkeypatch.setattr(key_set, "KEYS_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(tokens, "KNOWN_SECONDS", 0.0)
    with hub_of(issuer) as (_, client):
        issuer.answer = a_set(jwk("EdDSA", "one"))
        eventually(lambda: client.get(CHANNEL, headers=signed("EdDSA", "one")).status_code == 200)
        for body in (b"", b"\xff", b"{", b"[]", b"7", b'"\\', b'{"keys": 7}', b"[" * 200_000, b'"\\"' * 60_000):
            issuer.answer = sends(body)
            for _ in range(3):
                issuer.wait()
            while issuer.asked.acquire(blocking=False):
                pass
            issuer.wait()
            assert client.get(CHANNEL, headers=signed("EdDSA", "one")).status_code == 200


URL = "http://issuer:hunter2@{}/keys?code=hush"


@pytest.mark.parametrize(
    "answer",
    [
        sends(b"", 404),
        sends(b"", 500),
        sends(b"", 302, Location="http://issuer:hunter2@127.0.0.1:9/elsewhere?code=hush"),
        sends(b"no keys"),
        sends(b'{"keys": [7]}'),
        sends(b"x", Content_Length="10"),
        sends(b"x", Transfer_Encoding="chunked"),
    ],
    ids=["404", "500", "redirect", "nonsense", "odd key", "short", "broken"],
)
def test_the_log_has_the_address_without_password_and_query(
    issuer: Issuer, answer: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    """The line says which URL, and why, and no more; a redirect is not followed."""
    caplog.set_level(logging.DEBUG, "statushub")
    issuer.answer = answer
    with hub_of(issuer, URL) as (_, client):
        assert client.get(CHANNEL, headers=signed("EdDSA")).status_code in (401, 503)
        eventually(lambda: f"the keys at http://{issuer.address}/keys" in caplog.text)
    ours = "".join(record.getMessage() for record in caplog.records if record.name.startswith("statushub"))
    assert "hunter2" not in ours
    assert "hush" not in ours
    assert "elsewhere" not in ours


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/keys", "http://u:hunter2@localhost:x/", "http://u:hun/ter2@h/"])
def test_an_address_that_cannot_be_asked_is_logged_the_same(url: str, caplog: pytest.LogCaptureFixture) -> None:
    """A refused connection and an invalid URL are a line without a password, and 503."""
    with live_hub(jwks_url=url) as hub:
        assert httpx.get(hub.base_url + CHANNEL, headers=signed("EdDSA")).status_code == 503
    assert "cannot be fetched" in caplog.text
    assert not any(part in caplog.text for part in ("hunter2", "hun", "ter2"))
