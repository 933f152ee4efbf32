"""Authentication: tokens of every kind, valid and invalid, in header and cookie."""

from __future__ import annotations

import base64
import hmac
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from statushub.hub.auth import key_set
from statushub.hub.model.errors import ConfigError
from tests.support.live import live_hub
from tests.support.sse_client import open_stream
from tests.support.tokens import OTHER_SECRET, SECRET, authenticator, bearer, token
from tests.support.wire import wire

CHANNEL = "/api/contents/c"
OFFER = {"channel": "c", "content_id": "a", "data": {"status": "generating"}}


@cache
def private_key(algorithm: str) -> Any:
    """A private key for this algorithm."""
    if algorithm == "RS256":
        return rsa.generate_private_key(65537, 2048)
    return ec.generate_private_key(ec.SECP256R1()) if algorithm == "ES256" else ed25519.Ed25519PrivateKey.generate()


def public_pem(algorithm: str) -> bytes:
    """The public key for this algorithm, as PEM."""
    pem: bytes = private_key(algorithm).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    """A client of a hub with the key `SECRET`."""
    with live_hub(secret=SECRET) as hub, httpx.Client(base_url=hub.base_url) as client:
        yield client


def error(answer: httpx.Response) -> tuple[int, str]:
    """The status and code of an error."""
    return answer.status_code, answer.json()["error"]["code"]


def test_a_token_allows_what_its_claims_say(client: httpx.Client) -> None:
    """A token reads what `read` covers, writes what `write` covers, and no more."""
    writer, reader = bearer(read=[], write=["c"]), bearer(read=["c"], write=[])
    assert client.post("/api/publish", json=OFFER, headers=writer).json()["accepted"] is True
    assert client.get(CHANNEL, headers=reader).json()["contents"][0]["content_id"] == "a"
    assert error(client.get(CHANNEL, headers=writer)) == (403, "forbidden")
    assert error(client.post("/api/publish", json=OFFER, headers=reader)) == (403, "forbidden")


READING = ["", "/status", "/status?view=list", "/changes", "/events", "/ws"]


@pytest.mark.parametrize("end", READING)
def test_every_reading_route_checks_the_channel(client: httpx.Client, end: str) -> None:
    """The answer is 401 without a token, and 403 with one that does not cover the channel."""
    assert error(client.get(CHANNEL + end)) == (401, "unauthorized")
    other = client.get(CHANNEL + end, headers=bearer(read=["d", "c/*"]))
    assert error(other) == (403, "forbidden")
    assert other.json()["error"]["field"] == "channel_id"


def test_a_stream_needs_all_of_its_channels(client: httpx.Client) -> None:
    """One unreadable channel refuses the stream."""
    refused = client.get("/api/events?channel=a&channel=b", headers=bearer(read=["a"]))
    assert error(refused) == (403, "forbidden")
    assert client.head("/api/events?channel=a&channel=b", headers=bearer(read=["a", "b"])).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/contents/status/batch"),
        ("POST", "/v1/ai/jobs/batch-status"),
        ("GET", "/api/v1/media/videos/v/progress/"),
        ("GET", "/api/v1/media/videos/v/progress"),
        ("GET", "/api/events?channel=c"),
        ("GET", "/api/ws"),
        ("POST", "/api/publish"),
        ("POST", "/api/tickets"),
        ("POST", "/api/session"),
        ("POST", "/api/revoke"),
    ],
)
def test_other_routes_refuse_requests_without_a_token(client: httpx.Client, method: str, path: str) -> None:
    """The answer is 401 with the required scheme, before anything else is checked."""
    answer = client.request(method, path)
    assert error(answer) == (401, "unauthorized")
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_unreadable_contents_look_like_missing_ones(client: httpx.Client) -> None:
    """Body, tag and headers are the same, in batches and for players."""
    acme = bearer(sub="writer")
    for channel, content in (("open", "seen"), ("closed", "hidden")):
        offer = {"channel": channel, "content_id": content, "data": {"status": "complete"}}
        client.post("/api/publish", json=offer, headers=acme).raise_for_status()
    reader, stranger = bearer(read=["open"]), bearer(tenant="other")
    for followed in (False, True):
        if followed:
            # These polls bring both channels into the hub's memory.
            for channel in ("open", "closed"):
                assert client.get(f"/api/contents/{channel}", headers=acme).json()["contents"]
        for path, key in (("/api/contents/status/batch", "content_ids"), ("/v1/ai/jobs/batch-status", "job_ids")):
            both = [client.post(path, json={key: ["seen", hidden]}, headers=reader) for hidden in ("hidden", "absent")]
            assert both[0].text.replace("hidden", "absent") == both[1].text
            assert both[0].headers["etag"] == both[1].headers["etag"]
            assert "not_found" in client.post(path, json={key: ["seen"]}, headers=stranger).text
        videos = [client.get(f"/api/v1/media/videos/{id}/progress/", headers=reader) for id in ("hidden", "absent")]
        assert videos[0].text.replace("hidden", "absent") == videos[1].text
        assert videos[0].json()["status"] == "PENDING"
        assert {*videos[0].headers} == {*videos[1].headers}
    known = client.post("/api/contents/status/batch", json={"content_ids": ["hidden"]}, headers=acme)
    assert known.json()["statuses"][0]["status"] == "complete"


def test_tenants_are_isolated(client: httpx.Client) -> None:
    """The same names are other channels and contents in another tenant."""
    one, other = bearer(tenant="one"), bearer(tenant="two")
    offer = {"channel": "t", "content_id": "x", "data": {"status": "complete", "of": "one"}}
    client.post("/api/publish", json=offer, headers=one).raise_for_status()
    assert client.get("/api/contents/t", headers=other).json()["contents"] == []
    assert client.get("/api/contents/t", headers=one).json()["contents"][0]["of"] == "one"


def test_one_unwritable_channel_refuses_the_whole_batch(client: httpx.Client) -> None:
    """The error names the event's index, and nothing is stored."""
    events = [OFFER | {"channel": "w/1", "content_id": "w1"}, OFFER | {"channel": "x", "content_id": "x1"}]
    answer = client.post("/api/publish", json={"events": events}, headers=bearer(write=["w/*"]))
    assert error(answer) == (403, "forbidden")
    assert answer.json()["error"]["field"] == "events[1].channel"
    assert client.get("/api/contents/w/1", headers=bearer()).json()["contents"] == []


def unsigned(claims: dict[str, Any], algorithm: str) -> str:
    """A token without a signature."""
    parts = [json.dumps(part).encode() for part in ({"alg": algorithm, "typ": "JWT"}, claims)]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts) + "."


FOREVER = {"exp": 2_000_000_000, "tenant": "acme", "read": ["**"]}


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "a.b.c",
        "é.é.é",
        "." * 20,
        "x" * 9_000,
        unsigned(FOREVER, "none"),
        unsigned(FOREVER, "HS256"),
        unsigned(FOREVER, "RS256"),
        pytest.param(lambda: token(OTHER_SECRET), id="another secret"),
        pytest.param(lambda: token(algorithm="HS512"), id="another algorithm"),
        pytest.param(lambda: token(exp=time.time() - 1), id="expired"),
        pytest.param(lambda: token(exp=None), id="no end"),
        pytest.param(lambda: token(exp=time.time() + 400 * 86_400), id="a far end"),
        pytest.param(lambda: token(exp=float("nan")), id="no number"),
        pytest.param(lambda: token(exp="soon"), id="a word for an end"),
        pytest.param(lambda: token(nbf=time.time() + 60), id="not yet"),
        pytest.param(lambda: token(iat=time.time() + 60), id="from the future"),
        pytest.param(lambda: token(tenant="a/b"), id="no tenant"),
        pytest.param(lambda: token(tenant=".revoked"), id="the hub's own tenant"),
        pytest.param(lambda: token(read="**"), id="no list"),
        pytest.param(lambda: token(read=["***"]), id="no pattern"),
        pytest.param(lambda: token(write=[7]), id="no text"),
        pytest.param(lambda: token(sub=7), id="no name"),
        pytest.param(lambda: token(sub="a\nb"), id="a name of two lines"),
        pytest.param(lambda: token(jti="x" * 300), id="a long name"),
    ],
)
def test_invalid_tokens_are_unauthorized(client: httpx.Client, text: Any) -> None:
    """The answer is 401 with a reason."""
    said = (text() if callable(text) else text).encode()
    answer = client.get(CHANNEL, headers={b"Authorization": b"Bearer " + said})
    assert error(answer) == (401, "unauthorized")
    assert SECRET not in answer.text


@pytest.mark.parametrize("header", ["Basic dXNlcjpwYXNz", "Basic TOKEN", "Bearer", "nonsense"])
def test_another_scheme_is_unauthorized(client: httpx.Client, header: str) -> None:
    """A header without a bearer token is an error, also beside a valid cookie."""
    sent = {"Authorization": header.replace("TOKEN", token()), "Cookie": f"statushub_token={token()}"}
    answer = client.get(CHANNEL, headers=sent)
    assert error(answer) == (401, "unauthorized")


def test_issuer_and_audience_are_checked_where_they_are_set() -> None:
    """A token of another issuer or for another audience is refused."""
    with live_hub(secret=SECRET, issuer="app", audience="hub") as hub, httpx.Client(base_url=hub.base_url) as client:
        assert client.get(CHANNEL, headers=bearer(iss="app", aud="hub")).status_code == 200
        assert client.get(CHANNEL, headers=bearer(iss="app", aud=["x", "hub"])).status_code == 200
        for claims in ({"iss": "app"}, {"aud": "hub"}, {"iss": "x", "aud": "hub"}, {"iss": "app", "aud": "x"}):
            assert client.get(CHANNEL, headers=bearer(**claims)).status_code == 401


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_public_key_verifies_tokens_of_its_private_key(tmp_path: Path, algorithm: str) -> None:
    """The key accepts only its own algorithm (algorithm confusion)."""
    file = tmp_path / "key.pem"
    file.write_bytes(public_pem(algorithm))
    with live_hub(public_key=str(file)) as hub, httpx.Client(base_url=hub.base_url) as client:
        assert client.get(CHANNEL, headers=bearer(private_key(algorithm), algorithm)).status_code == 200
        for other in {"RS256", "ES256", "EdDSA"} - {algorithm}:
            assert client.get(CHANNEL, headers=bearer(private_key(other), other)).status_code == 401
        assert client.get(CHANNEL, headers=bearer()).status_code == 401
        assert client.post("/api/tickets", headers=bearer(private_key(algorithm), algorithm)).status_code == 200


def test_a_public_key_is_not_used_as_a_secret(tmp_path: Path) -> None:
    """An HS256 token signed with the text of the public key is refused (algorithm confusion, RFC 8725, section 2.1)."""
    file = tmp_path / "key.pem"
    file.write_bytes(public_pem("RS256"))
    signed = unsigned(FOREVER | {"exp": time.time() + 60}, "HS256").rstrip(".")
    signature = hmac.digest(public_pem("RS256"), signed.encode(), "sha256")
    forged = f"{signed}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"
    with live_hub(public_key=str(file)) as hub:
        answer = httpx.get(hub.base_url + CHANNEL, headers={"Authorization": f"Bearer {forged}"})
    assert error(answer) == (401, "unauthorized")


@contextmanager
def key_address(answer: dict[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """A URL that answers with `answer`, which may change, and a list of the requests it got."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = json.dumps(answer).encode()
            self.send_response(answer.get("status", 200))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/keys", asked
        finally:
            server.shutdown()


def jwk(algorithm: str, key_id: str) -> dict[str, Any]:
    """A public key as a JSON Web Key."""
    told: dict[str, Any] = json.loads(
        jwt.algorithms.get_default_algorithms()[algorithm].to_jwk(private_key(algorithm).public_key())
    )
    return told | {"kid": key_id, "use": "sig"}


def test_key_sets_are_cached_and_fetched_again_for_an_unknown_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key set serves many requests; an unknown key id fetches it again, but only after a pause."""
    monkeypatch.setattr(key_set, "KEYS_PAUSE_SECONDS", 0.0)
    answer: dict[str, Any] = {"keys": [jwk("RS256", "one"), {"kty": "oct", "kid": "secret", "k": "c2VjcmV0"}]}
    first = bearer(private_key("RS256"), "RS256", head={"kid": "one"})
    second = bearer(private_key("ES256"), "ES256", head={"kid": "two"})
    with (
        key_address(answer) as (url, asked),
        live_hub(jwks_url=url) as hub,
        httpx.Client(base_url=hub.base_url) as client,
    ):
        assert [client.get(CHANNEL, headers=first).status_code for _ in range(3)] == [200] * 3
        assert len(asked) == 1
        # The only usable key also verifies tokens without a key id; other entries do not count.
        assert client.get(CHANNEL, headers=bearer(private_key("RS256"), "RS256", sub="b")).status_code == 200
        assert client.get(CHANNEL, headers=second).status_code == 401
        answer["keys"].append(jwk("ES256", "two"))
        assert client.get(CHANNEL, headers=second).status_code == 200
        before = len(asked)
        monkeypatch.setattr(key_set, "KEYS_PAUSE_SECONDS", 60.0)
        for number in range(5):
            guess = bearer(private_key("RS256"), "RS256", head={"kid": f"guess-{number}"})
            assert client.get(CHANNEL, headers=guess).status_code == 401
        assert len(asked) == before


def test_fetched_keys_are_used_while_their_url_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first fetch, requests are answered 503; afterwards an outage of the issuer has no effect."""
    monkeypatch.setattr(key_set, "KEYS_SECONDS", 0.0)
    monkeypatch.setattr(key_set, "KEYS_PAUSE_SECONDS", 0.0)
    answer: dict[str, Any] = {"keys": [jwk("EdDSA", "one")], "status": 500}
    head = bearer(private_key("EdDSA"), "EdDSA")
    with key_address(answer) as (url, _), live_hub(jwks_url=url) as hub, httpx.Client(base_url=hub.base_url) as client:
        unavailable = client.get(CHANNEL, headers=head)
        assert error(unavailable) == (503, "keys_unavailable")
        assert int(unavailable.headers["retry-after"]) > 0
        with open_stream(hub.base_url, f"{CHANNEL}/events", head) as stream:
            # Any status but 200 would end an EventSource permanently.
            assert stream.event().event == "drain"
        answer["status"] = 200
        assert client.get(CHANNEL, headers=head).status_code == 200
        answer["status"] = 500
        assert client.get(CHANNEL, headers=bearer(private_key("EdDSA"), "EdDSA", sub="b")).status_code == 200


@pytest.mark.parametrize(
    ("content", "said"), [(b"nonsense", "holds no public key"), (None, "cannot be read"), ("small", "not RSA")]
)
def test_a_file_without_a_public_key_is_a_config_error(tmp_path: Path, content: Any, said: str) -> None:
    """The error says what is wrong and names the setting."""
    file = tmp_path / "key.pem"
    if content == "small":
        key = ec.generate_private_key(ec.SECP384R1()).public_key()
        file.write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    elif content:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=said) as caught:
        authenticator(secret="", public_key=str(file))
    assert caught.value.field == "public_key"


ORIGIN = "https://app.example.com"


@pytest.mark.parametrize(
    ("headers", "read", "write"),
    [
        ({}, 200, 403),
        ({"Origin": ORIGIN}, 200, 200),
        ({"Origin": "SELF"}, 200, 200),
        ({"Origin": "https://evil.example.com"}, 403, 403),
        ({"Origin": "null"}, 403, 403),
        ({"Origin": "ftp://HOST"}, 403, 403),
        ({"Origin": "file://HOST"}, 403, 403),
        ({"Origin": "://HOST"}, 403, 403),
        ({"Origin": "HTTP://HOST"}, 403, 403),
        ({"Origin": "http://HOST/"}, 403, 403),
        ({"Origin": "http://x@HOST"}, 403, 403),
        # A proxy may terminate TLS without telling the hub.
        ({"Origin": "https://HOST"}, 200, 200),
        ({"Origin": "https://HOST", "X-Forwarded-Proto": "https"}, 200, 200),
        ({"Origin": "http://HOST", "X-Forwarded-Proto": "https"}, 403, 403),
        ({"Origin": "http://["}, 403, 403),
        ({"Origin": "http://[::1"}, 403, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200, 403),
        ({"Sec-Fetch-Site": "none"}, 200, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403, 403),
    ],
)
def test_a_cookie_is_accepted_only_from_trusted_origins(headers: dict[str, str], read: int, write: int) -> None:
    """Browsers send it with the requests of every page (CSRF); the origin tells which page it is."""
    with live_hub(secret=SECRET, cors_origins=(ORIGIN,)) as hub:
        host = hub.base_url.removeprefix("http://")
        sent = {
            name: hub.base_url if value == "SELF" else value.replace("HOST", host) for name, value in headers.items()
        }
        with httpx.Client(base_url=hub.base_url, cookies={"statushub_token": token()}, headers=sent) as client:
            assert client.get(CHANNEL).status_code == read
            assert client.post("/api/publish", json=OFFER).status_code == write


def test_a_cookie_needs_listed_origins_for_foreign_pages() -> None:
    """With `*` no foreign page may send it; pages of listed origins may, and CORS tells them so."""
    for origins, allowed in (((ORIGIN,), "true"), (("*",), None)):
        with live_hub(secret=SECRET, cors_origins=origins) as hub:
            answer = httpx.get(hub.base_url + CHANNEL, headers={"Origin": ORIGIN, **bearer()})
            assert answer.headers.get("access-control-allow-credentials") == allowed
            cookie = httpx.get(
                hub.base_url + CHANNEL, headers={"Origin": ORIGIN, "Cookie": f"statushub_token={token()}"}
            )
            assert cookie.status_code == (200 if allowed else 403)


def test_without_a_key_only_loopback_names_are_answered() -> None:
    """Otherwise a foreign page could point its name to 127.0.0.1 (DNS rebinding)."""
    with live_hub() as hub, httpx.Client(base_url=hub.base_url) as client:
        for host in ("localhost", "localhost:8000", "127.0.0.1:1", "[::1]:8000", "127.1.2.3", "LOCALHOST."):
            assert client.get(CHANNEL, headers={"Host": host}).status_code == 200, host
        for host in ("evil.example.com", "192.168.0.1", "localhost.evil.com", "x", "", "[::2]"):
            assert client.get(CHANNEL, headers={"Host": host}).status_code == 403, host
    with live_hub(secret=SECRET) as hub:
        assert httpx.get(hub.base_url + CHANNEL, headers={"Host": "hub.example.com", **bearer()}).status_code == 200


LOOPBACK = ["localhost:8000", "127.0.0.1", "[::1]:8000"]
FOREIGN = ["evil.example.com", "hub.example.com.evil.com", "x.hub.example.com", "", "hub.example.com:evil", "[hub]"]
FOREIGN += ["10.0.0.1.evil.com", "localhost:80@evil.com", "localhost evil.com", "[::1].evil.com", "hub.example.com..:1"]


@pytest.mark.parametrize(
    ("settings", "answered", "refused"),
    [
        pytest.param(
            {"insecure": True, "host": "0.0.0.0"},
            [*LOOPBACK, "10.0.0.1:8000", "[2001:db8::1]:8000"],
            [*FOREIGN, "hub.example.com", "hub-1:8000"],
            id="exposed without a key",
        ),
        pytest.param(
            {"insecure": True, "host": "0.0.0.0", "allowed_hosts": ("Hub.example.com", "hub-1", "[2001:db8::1]")},
            [*LOOPBACK, "hub.example.com", "HUB.example.com.:443", "hub-1:8000", "[2001:DB8::1]:1"],
            [*FOREIGN, "10.0.0.1", "[2001:db8::2]", "hub-2"],
            id="names without a key",
        ),
        pytest.param(
            {"allowed_hosts": ("hub.example.com",)},
            [*LOOPBACK, "hub.example.com"],
            [*FOREIGN, "10.0.0.1"],
            id="behind a proxy of this machine",
        ),
        pytest.param(
            {"secret": SECRET, "allowed_hosts": ("hub.example.com",)},
            [*LOOPBACK, "hub.example.com"],
            [*FOREIGN, "10.0.0.1"],
            id="names with a key",
        ),
        pytest.param({"allowed_hosts": ("*",)}, [*LOOPBACK, "evil.example.com", ""], [], id="any name"),
    ],
)
def test_a_hub_answers_to_its_own_names(settings: dict[str, Any], answered: list[str], refused: list[str]) -> None:
    """A page of another name, which its site pointed to the hub's address, gets nothing (DNS rebinding)."""
    with live_hub(**settings) as hub, httpx.Client(base_url=hub.base_url, headers=bearer()) as client:
        for path in (CHANNEL, "/healthz", "/metrics", "/"):
            assert [host for host in answered if client.get(path, headers={"Host": host}).status_code != 200] == []
            assert [host for host in refused if client.get(path, headers={"Host": host}).status_code != 403] == []
        if refused:
            with wire(hub.base_url) as connection:
                connection.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example.com\r\n\r\n")
                assert connection.answer().status == 403
