"""Tickets, the session cookie, expiry and revocation."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import jwt
import msgspec
import pytest

from statushub.hub.auth import revocations
from statushub.hub.auth.identity import Identity
from statushub.hub.auth.revocations import TOKEN_SECONDS_MAX, Revocation, RevocationLimits, Revocations
from statushub.hub.auth.tickets import Tickets
from statushub.hub.http.handover import HandoverProtocol
from statushub.hub.model.errors import TooManyRequests, Unauthorized
from tests.support.command import ended, serving
from tests.support.live import LiveHub, live_hub
from tests.support.redis_server import RedisServer, running_redis
from tests.support.sse_client import StreamClient, open_stream
from tests.support.tokens import OTHER_SECRET, SECRET, authenticator, bearer, token
from tests.support.waiting import eventually

CHANNEL = "/api/contents/c"
PATHS = [pytest.param(HandoverProtocol, id="handover"), pytest.param("h11", id="portable")]


@pytest.fixture(scope="module")
def hub() -> Iterator[LiveHub]:
    """A hub with the key `SECRET`."""
    with live_hub(secret=SECRET) as hub:
        yield hub


@pytest.fixture
def client(hub: LiveHub) -> Iterator[httpx.Client]:
    """A client of this hub."""
    with httpx.Client(base_url=hub.base_url) as client:
        yield client


def ticket(client: httpx.Client, body: dict[str, Any] | None = None, **claims: Any) -> str:
    """A ticket for the bearer of a token with these claims."""
    answer = client.post("/api/tickets", headers=bearer(**claims), json=body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    given: str = answer.json()["ticket"]
    return given


def status(client: httpx.Client, path: str, ticket: str) -> int:
    """The status of the answer to a request with this ticket."""
    return client.get(path, params={"ticket": ticket}).status_code


def test_a_ticket_reads_what_its_bearer_reads(client: httpx.Client) -> None:
    """A ticket may be used repeatedly, on every route that reads."""
    given = ticket(client, read=["c", "d/*"])
    for _ in range(2):
        assert [status(client, path, given) for path in (CHANNEL, f"{CHANNEL}/status", "/api/contents/d/1")] == [
            200
        ] * 3
    assert status(client, "/api/contents/e", given) == 403
    with open_stream(str(client.base_url), f"{CHANNEL}/events?ticket={given}") as stream:
        assert stream.until("ready")
    assert client.post(f"/api/contents/status/batch?ticket={given}", json={"content_ids": ["x"]}).status_code == 200


def test_a_ticket_only_reads(client: httpx.Client) -> None:
    """A ticket does not write, even if its bearer's token does."""
    given = ticket(client, revoke=True)
    offer = {"channel": "c", "content_id": "a", "data": {"status": "idle"}}
    for path, body in (("/api/publish", offer), ("/api/tickets", {}), ("/api/revoke", {"sub": "x"})):
        assert client.post(f"{path}?ticket={given}", json=body).status_code == 403
    assert client.get(CHANNEL, headers={"Authorization": f"Bearer {given}"}).status_code == 401
    assert status(client, CHANNEL, token()) == 401


@pytest.mark.parametrize(
    ("asked", "reads", "does_not"),
    [
        (["c"], ["c"], ["d/1", "e"]),
        (["d/*"], ["d/1"], ["c", "e"]),
        (["**"], ["c", "d/1"], ["e"]),
        (["e/**", "c"], ["c"], ["e/1", "d/1"]),
    ],
)
def test_a_ticket_is_no_wider_than_its_bearer(
    client: httpx.Client, asked: list[str], reads: list[str], does_not: list[str]
) -> None:
    """A ticket covers the channels that both the token and the ticket request cover."""
    given = ticket(client, {"read": asked}, read=["c", "d/*"])
    assert [name for name in reads if status(client, f"/api/contents/{name}", given) != 200] == []
    assert [name for name in does_not if status(client, f"/api/contents/{name}", given) != 403] == []


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"read": ["e"]}, 403, "read[0]"),
        ({"read": []}, 422, "read"),
        ({"read": ["***"]}, 422, "read[0]"),
        ({"read": ["a"] * 17}, 422, "read"),
        ({"read": "c"}, 422, "read"),
        ({"reed": ["c"]}, 422, "reed"),
    ],
)
def test_a_wrong_ticket_request_is_named(client: httpx.Client, body: dict[str, Any], status: int, field: str) -> None:
    """The error names the field."""
    answer = client.post("/api/tickets", json=body, headers=bearer(read=["c", "d/*"]))
    assert (answer.status_code, answer.json()["error"]["field"]) == (status, field)


def test_a_ticket_that_would_be_too_long_is_refused(client: httpx.Client) -> None:
    """The ticket would not fit into a URL; a narrower one does."""
    many = [f"channel-{number}/" + "x" * 100 for number in range(30)]
    refused = client.post("/api/tickets", headers=bearer(read=many))
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, "read")
    assert ticket(client, {"read": many[:1]}, read=many)


def test_a_ticket_expires() -> None:
    """A ticket ends after its lifetime, and at the latest with its bearer's token."""
    now = time.time()
    tickets = Tickets(SECRET.encode(), 30)
    given, seconds = tickets.give(Identity(tenant="acme", expires=now + 3600), None)
    assert 29 < seconds <= 30
    assert tickets.read(given).expires == now + 3600
    assert tickets.give(Identity(tenant="acme", expires=now + 5), None)[1] <= 5
    late = jwt.encode(jwt.decode(given, options={"verify_signature": False}) | {"exp": now - 1}, tickets._key)
    with pytest.raises(Unauthorized, match="expired"):
        tickets.read(late)
    for bad in ("", "x", given[:-2], "x" * 3000, jwt.encode({"exp": now + 9}, tickets._key)):
        with pytest.raises(Unauthorized, match="invalid"):
            tickets.read(bad)
    with pytest.raises(Unauthorized):
        Tickets(OTHER_SECRET.encode(), 30).read(given)


def test_hubs_accept_each_others_tickets() -> None:
    """Hubs sign tickets with the secret that they share, or with the secret for tickets."""
    for ticket_secret in ("", OTHER_SECRET):
        one, other = authenticator(ticket_secret=ticket_secret), authenticator(ticket_secret=ticket_secret)
        given, _ = one.tickets.give(Identity(tenant="acme", expires=time.time() + 60), None)
        assert other.tickets.read(given).tenant == "acme"


def test_a_hub_without_a_key_accepts_tickets() -> None:
    """A page needs not know whether the hub has a key."""
    with live_hub() as hub, httpx.Client(base_url=hub.base_url) as client:
        given = client.post("/api/tickets").json()["ticket"]
        assert status(client, CHANNEL, given) == 200


def test_signing_in_sets_a_cookie(client: httpx.Client) -> None:
    """Scripts cannot read it, other sites cannot send it, and it lasts as long as the token or until sign-out."""
    answer = client.post("/api/session", headers=bearer())
    assert answer.status_code == 204
    cookie = answer.headers["set-cookie"].lower()
    assert all(word in cookie for word in ("statushub_token=", "httponly", "samesite=strict", "path=/"))
    assert "secure" not in cookie
    assert 3590 < int(cookie.partition("max-age=")[2].partition(";")[0]) <= 3600
    assert client.get(CHANNEL).status_code == 200
    assert client.delete("/api/session").status_code == 204
    assert client.get(CHANNEL).status_code == 401


def test_the_cookie_is_secure_over_https(client: httpx.Client) -> None:
    """The proxy's header tells the scheme."""
    answer = client.post("/api/session", headers=bearer() | {"X-Forwarded-Proto": "https"})
    assert "secure" in answer.headers["set-cookie"].lower()


def test_a_token_too_long_for_a_cookie_is_refused(client: httpx.Client) -> None:
    """Browsers would drop the cookie silently."""
    answer = client.post("/api/session", headers=bearer(read=["x" * 200] * 25))
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "token")
    assert client.post("/api/session", headers={"Cookie": f"statushub_token={token()}"}).status_code == 401


def test_a_page_learns_who_is_signed_in(client: httpx.Client) -> None:
    """And what they may do in a channel, which follows from the claims; cancelling is also allowed by writing."""
    read_only = bearer(sub="ann", read=["encodes"], write=[])
    said = client.get("/api/session", headers=read_only).json()
    assert (said["sub"], said["required"], said["may"]) == ("ann", True, None)
    assert 3500 < said["expires_in"] <= 3600

    def may(channel: str, **claims: Any) -> dict[str, bool]:
        answer = client.get("/api/session", params={"channel": channel}, headers=bearer(**claims))
        rights: dict[str, bool] = answer.json()["may"]
        return rights

    assert may("encodes", read=["encodes"], write=[]) == {"read": True, "write": False, "cancel": False}
    assert may("films", read=["encodes"], write=[]) == {"read": False, "write": False, "cancel": False}
    assert may("films", read=["films"], write=[], cancel=["films"]) == {"read": True, "write": False, "cancel": True}
    assert may("films", read=[], write=["films"]) == {"read": False, "write": True, "cancel": True}
    answer = client.get("/api/session", params={"channel": "all*"}, headers=bearer())
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "channel")
    assert client.get("/api/session").status_code == 401


def test_a_hub_without_keys_tells_so() -> None:
    """Everything may be done, and nothing expires."""
    with live_hub() as hub:
        said = httpx.get(f"{hub.base_url}/api/session?channel=c").json()
    assert (said["required"], said["expires_in"]) == (False, None)
    assert said["may"] == {"read": True, "write": True, "cancel": True}


# Expiry and revocation


def over(stream: StreamClient) -> bool:
    """Read to the end of the stream. Returns whether its last event was `drain`."""
    return stream.rest()[-1].event == "drain"


@pytest.mark.parametrize("http", PATHS)
def test_a_stream_ends_when_its_token_expires(http: Any) -> None:
    """The stream is sent `drain`, and its reconnect is answered 401."""
    with live_hub(secret=SECRET, http=http) as hub:
        head = bearer(exp=time.time() + 3)
        lasting = open_stream(hub.base_url, f"{CHANNEL}/events", bearer())
        with lasting as other, open_stream(hub.base_url, f"{CHANNEL}/events", head) as stream:
            stream.until("ready")
            other.until("ready")
            assert over(stream)
            assert httpx.get(f"{hub.base_url}{CHANNEL}/events", headers=head).status_code == 401
            eventually(lambda: len(hub.hub.viewers) == 1)
            assert hub.hub.counts.dismissals == 1


def test_a_stream_opened_with_a_ticket_ends_with_the_token() -> None:
    """The stream outlives the ticket, but not the token of its bearer."""
    with live_hub(secret=SECRET, ticket_ttl=1.0) as hub, httpx.Client(base_url=hub.base_url) as client:
        began = time.time()
        given = ticket(client, exp=began + 4)
        with open_stream(hub.base_url, f"{CHANNEL}/events?ticket={given}") as stream:
            stream.until("ready")
            eventually(lambda: status(client, CHANNEL, given) == 401)
            offer = {"channel": "c", "content_id": "a", "data": {"status": "idle"}}
            client.post("/api/publish", json=offer, headers=bearer()).raise_for_status()
            assert stream.event().json["content_id"] == "a"
            assert over(stream)
            assert time.time() >= began + 4


@pytest.mark.parametrize("http", PATHS)
@pytest.mark.parametrize("word", ["jti", "sub"])
def test_a_revocation_takes_effect_immediately(http: Any, word: str) -> None:
    """Streams, tickets and requests of the token end or are refused, and no others."""
    with live_hub(secret=SECRET, http=http, heartbeat=60) as hub, httpx.Client(base_url=hub.base_url) as client:
        revoked: dict[str, Any] = {"sub": "eve", "jti": "e1"}
        spared: list[dict[str, Any]] = [{"sub": "bob", "jti": "b1"}, revoked | {"tenant": "other"}, {}]
        given, head = ticket(client, **revoked), bearer(**revoked)
        path = f"{CHANNEL}/events"
        with open_stream(hub.base_url, path, head) as stream:
            stream.until("ready")
            with open_stream(hub.base_url, f"{path}?ticket={given}") as other:
                other.until("ready")
                answer = client.post("/api/revoke", json={word: revoked[word]}, headers=bearer(revoke=True))
                assert answer.status_code == 204
                assert over(stream)
                assert over(other)
        assert client.get(CHANNEL, headers=head).status_code == 401
        assert status(client, CHANNEL, given) == 401
        assert [client.get(CHANNEL, headers=bearer(**claims)).status_code for claims in spared] == [200] * 3


Ahead: TypeAlias = Callable[[float], float]
WHOLE = [pytest.param(float, id="fractions"), pytest.param(math.floor, id="whole seconds")]


@pytest.mark.parametrize("ahead", [0.0, 0.3, 1.0, 9.0, 9.6])
@pytest.mark.parametrize("rounded", WHOLE)
def test_the_answer_divides_the_tokens_of_a_subject(rounded: Ahead, ahead: float) -> None:
    """What was issued and used before the request is revoked, what is issued after the answer is valid, also within
    the same second, and by an issuer whose clock is ahead."""
    with live_hub(secret=SECRET) as hub, httpx.Client(base_url=hub.base_url) as client:
        before = [bearer(sub="eve", jti=str(n), iat=rounded(time.time() + ahead)) for n in range(3)]
        assert [client.get(CHANNEL, headers=head).status_code for head in before] == [200] * 3
        # The ticket is not the token: what it was made from counts.
        given = client.post("/api/tickets", headers=before[0]).json()["ticket"]
        assert status(client, CHANNEL, given) == 200
        client.post("/api/revoke", json={"sub": "eve"}, headers=bearer(revoke=True)).raise_for_status()
        after = bearer(sub="eve", jti="after", iat=rounded(time.time() + ahead))
        assert [client.get(CHANNEL, headers=head).status_code for head in before] == [401] * 3
        assert status(client, CHANNEL, given) == 401
        assert client.get(CHANNEL, headers=after).status_code == 200
        # A second revocation covers it.
        client.post("/api/revoke", json={"sub": "eve"}, headers=bearer(revoke=True)).raise_for_status()
        assert client.get(CHANNEL, headers=after).status_code == 401


def test_a_cutoff_is_exact(client: httpx.Client) -> None:
    """With `issued_before` a token is revoked where its `iat` is smaller, by however little."""
    cutoff = time.time() + 5.25
    asked = {"sub": "cut", "issued_before": cutoff}
    client.post("/api/revoke", json=asked, headers=bearer(revoke=True)).raise_for_status()
    edges = {math.nextafter(cutoff, 0): 401, math.floor(cutoff): 401, cutoff: 200, math.ceil(cutoff): 200, None: 401}
    edges |= {0: 401, -5: 401}
    for issued, expected in edges.items():
        assert client.get(CHANNEL, headers=bearer(sub="cut", iat=issued)).status_code == expected, issued


@pytest.mark.parametrize("cutoff", [-1e300, -1, 0, 1])
def test_a_token_without_iat_is_always_before(client: httpx.Client, cutoff: float) -> None:
    """Wherever the cut-off lies."""
    asked = {"sub": f"none{cutoff}", "issued_before": cutoff}
    client.post("/api/revoke", json=asked, headers=bearer(revoke=True)).raise_for_status()
    assert client.get(CHANNEL, headers=bearer(sub=f"none{cutoff}", iat=None)).status_code == 401
    assert client.get(CHANNEL, headers=bearer(sub=f"none{cutoff}")).status_code == 200


def test_a_cutoff_in_milliseconds_does_not_revoke_later_tokens(client: httpx.Client, hub: LiveHub) -> None:
    """No cut-off is further ahead than a clock may be, so that a mistake does not end all tokens to come."""
    asked = {"sub": "ms", "issued_before": time.time() * 1000}
    client.post("/api/revoke", json=asked, headers=bearer(revoke=True)).raise_for_status()
    assert client.get(CHANNEL, headers=bearer(sub="ms", iat=time.time() + 9)).status_code == 401
    assert hub.hub._expiry.revocations._subjects["acme", "ms"].at <= time.time() + 12


@pytest.mark.parametrize("second", [{"issued_before": 1}, {"issued_before": 1, "exp": 1}, {"exp": 1}])
def test_a_later_revocation_takes_nothing_back(tmp_path: Path, second: dict[str, Any]) -> None:
    """Of two revocations of a subject the cut-off and the end are the later ones, also after a restart."""
    broker = f"sqlite:///{tmp_path}/hub.db"
    before = bearer(sub="eve")
    with live_hub(broker, secret=SECRET) as hub:
        for asked in ({}, second):
            told = {"sub": "eve", **asked}
            httpx.post(f"{hub.base_url}/api/revoke", json=told, headers=bearer(revoke=True)).raise_for_status()
        assert httpx.get(hub.base_url + CHANNEL, headers=before).status_code == 401
    with live_hub(broker, secret=SECRET) as hub:
        eventually(lambda: httpx.get(hub.base_url + CHANNEL, headers=before).status_code == 401)
        [kept] = hub.hub._expiry.revocations._subjects.values()
        assert kept.until > time.time() + TOKEN_SECONDS_MAX - 100


def test_revocations_are_limited_by_tenant_and_in_all() -> None:
    """One more gets 429, which is counted; those in force stay, can be renewed, and leave room to other tenants."""
    with (
        live_hub(secret=SECRET, max_revocations=5, max_revocations_tenant=3) as hub,
        httpx.Client(base_url=hub.base_url) as client,
    ):

        def revoke(tenant: str, **asked: Any) -> httpx.Response:
            return client.post("/api/revoke", json=asked, headers=bearer(tenant=tenant, revoke=True))

        cut = {"issued_before": time.time() + 1}
        for number in range(3):
            assert revoke("one", jti=f"j{number}").status_code == 204
        full = revoke("one", sub="eve")
        assert (full.status_code, full.json()["error"]["code"]) == (429, "too_many_requests")
        assert int(full.headers["retry-after"]) > 0
        assert client.get(CHANNEL, headers=bearer(tenant="one", sub="eve")).status_code == 200
        assert client.get(CHANNEL, headers=bearer(tenant="one", jti="j2")).status_code == 401
        assert revoke("one", jti="j2").status_code == 204
        assert [revoke("two", sub=name, **cut).status_code for name in ("a", "b", "b", "c")] == [204, 204, 204, 429]
        assert client.get(CHANNEL, headers=bearer(tenant="two", sub="b")).status_code == 401
        assert 'statushub_refusals_total{limit="revocations"} 2.0' in client.get("/metrics").text


def test_a_revocation_ends_with_its_token(client: httpx.Client, hub: LiveHub) -> None:
    """Its `exp` says when, and how long the broker keeps it."""
    exp = time.time() + 3600
    client.post("/api/revoke", json={"jti": "short", "exp": exp}, headers=bearer(revoke=True)).raise_for_status()
    kept = hub.hub._expiry.revocations._tokens["acme", "short"]
    assert exp <= kept.until <= exp + 60


def test_the_longest_revocation_is_small() -> None:
    """Its key and its data have at most 3 KiB."""
    longest = Revocation(tenant="t" * 64, kind="sub", value="\U0001f600" * 256, at=1e9 / 3, until=1e9 / 7)
    stored = longest.publication()
    assert len(stored.content_id.encode()) + len(stored.data) <= 3 * 1024
    with pytest.raises(msgspec.ValidationError):
        revocations.read(msgspec.json.encode(msgspec.structs.replace(longest, value="x" * 257)))


def test_later_tokens_of_a_revoked_subject_are_valid() -> None:
    """A token without `iat` counts as issued before."""
    with live_hub(secret=SECRET) as hub, httpx.Client(base_url=hub.base_url) as client:
        before = bearer(sub="eve")
        client.post("/api/revoke", json={"sub": "eve"}, headers=bearer(revoke=True)).raise_for_status()
        eventually(lambda: client.get(CHANNEL, headers=before).status_code == 401)
        assert client.get(CHANNEL, headers=bearer(sub="eve", iat=time.time() + 2)).status_code == 200
        assert client.get(CHANNEL, headers=bearer(sub="eve", iat=None)).status_code == 401


@pytest.mark.parametrize(
    ("body", "claims", "status", "field"),
    [
        ({"sub": "x"}, {}, 403, "revoke"),
        ({}, {"revoke": True}, 422, "jti"),
        ({"sub": "x", "jti": "y"}, {"revoke": True}, 422, "sub"),
        ({"sub": ""}, {"revoke": True}, 422, "sub"),
        ({"sub": "a\nb"}, {"revoke": True}, 422, "sub"),
        ({"sub": "x" * 300}, {"revoke": True}, 422, "sub"),
        ({"subject": "x"}, {"revoke": True}, 422, "subject"),
        ({"jti": "x", "issued_before": 1}, {"revoke": True}, 422, "issued_before"),
        ({"sub": "x", "issued_before": "now"}, {"revoke": True}, 422, "issued_before"),
        ({"sub": "x", "exp": True}, {"revoke": True}, 422, "exp"),
    ],
)
def test_a_wrong_revocation_is_named(
    client: httpx.Client, body: dict[str, Any], claims: dict[str, Any], status: int, field: str
) -> None:
    """The error names the claim that is missing, or the field."""
    answer = client.post("/api/revoke", json=body, headers=bearer(**claims))
    assert (answer.status_code, answer.json()["error"].get("field")) == (status, field)


@pytest.mark.redis
def test_a_revocation_reaches_every_hub_and_is_kept(tmp_path: Path) -> None:
    """Other hubs apply it, including those that start later or were disconnected."""
    settings: dict[str, Any] = {"secret": SECRET, "heartbeat": 60}
    eve = bearer(sub="eve")
    with running_redis(tmp_path) as redis, live_hub(redis.url, **settings) as one:
        with live_hub(redis.url, **settings) as other:
            path = f"{CHANNEL}/events"
            with open_stream(other.base_url, path, eve) as stream:
                stream.until("ready")
                httpx.post(f"{one.base_url}/api/revoke", json={"sub": "eve"}, headers=bearer(revoke=True))
                assert over(stream)
        redis.kill()
        with live_hub(redis.url, **settings) as late, open_stream(late.base_url, path, bearer(jti="j")) as waiting:
            with open_stream(late.base_url, path, eve) as stream:
                redis.start()
                assert over(stream)
            waiting.until("ready")
            assert httpx.get(late.base_url + CHANNEL, headers=eve).status_code == 401
            # Hubs keep a revocation that the broker loses.
            redis.command("flushall")
            assert httpx.get(late.base_url + CHANNEL, headers=eve).status_code == 401


@pytest.mark.redis
def test_tenants_cannot_reach_revocations(redis_server: RedisServer) -> None:
    """No token reads their channel, and invalid data in it are skipped."""
    with live_hub(redis_server.url, secret=SECRET) as hub, httpx.Client(base_url=hub.base_url) as client:
        client.post("/api/revoke", json={"sub": "eve"}, headers=bearer(revoke=True)).raise_for_status()
        assert client.get("/api/contents/revoked", headers=bearer()).json()["contents"] == []
        junk = ("", "revoked", "sub/x", "t", "0", "", "", "", "no json")
        redis_server.command("fcall", "statushub_publish", "1", "hub:{.revoked}", *junk)
        mallory = bearer(sub="mallory")
        client.post("/api/revoke", json={"sub": "mallory"}, headers=bearer(revoke=True)).raise_for_status()
        eventually(lambda: client.get(CHANNEL, headers=mallory).status_code == 401)


def test_revocations_are_dropped_when_their_tokens_have_expired() -> None:
    """The latest revocation of a subject counts."""
    revocations = Revocations()
    for at, until in ((10.0, 100.0), (20.0, 100.0), (15.0, 100.0)):
        revocations.add(Revocation(tenant="t", kind="sub", value="s", at=at, until=until))
    revocations.add(Revocation(tenant="t", kind="jti", value="j", at=1.0, until=50.0))
    subject, one = Identity(tenant="t", sub="s", issued=20.0), Identity(tenant="t", jti="j")
    assert revocations.hold(subject)
    assert not revocations.hold(Identity(tenant="t", sub="s", issued=20.1))
    assert revocations.hold(one)
    revocations.tidy(60.0)
    assert (revocations.hold(subject), revocations.hold(one), len(revocations)) == (True, False, 1)
    revocations.tidy(100.5)
    assert len(revocations) == 0


def test_expired_revocations_make_room() -> None:
    """Those that ended no longer count, of the tenant and of all."""
    revocations = Revocations(RevocationLimits(hub=2, tenant=1))

    def one(tenant: str, value: str, until: float) -> Revocation:
        return Revocation(tenant=tenant, kind="jti", value=value, at=1.0, until=until)

    for revocation in (one("a", "x", 50.0), one("b", "x", 90.0)):
        revocations.add(revocations.merged(revocation))
    for refused in (one("a", "y", 99.0), one("c", "y", 99.0)):
        with pytest.raises(TooManyRequests):
            revocations.merged(refused)
    revocations.tidy(60.0)
    revocations.add(revocations.merged(one("a", "y", 99.0)))
    with pytest.raises(TooManyRequests):
        revocations.merged(one("b", "y", 99.0))
    # Another hub accepted it: it is in force here, too.
    revocations.add(one("b", "y", 99.0))
    assert revocations.hold(Identity(tenant="b", jti="y"))


def test_logs_hold_no_ticket_or_token(tmp_path: Path) -> None:
    """The access log has the path without its query, and no header."""
    environ = {"STATUSHUB_SECRET": SECRET, "STATUSHUB_ACCESS_LOG": "yes", "STATUSHUB_LOG_LEVEL": "debug"}
    with serving("--broker", "memory:", cwd=tmp_path, env=environ) as (process, url):
        with httpx.Client(base_url=url) as client:
            given, held = ticket(client), token()
            status(client, CHANNEL, given)
            status(client, CHANNEL, held)
            client.get(CHANNEL, headers={"Authorization": f"Bearer {held}", "Cookie": f"statushub_token={held}"})
            with open_stream(url, f"{CHANNEL}/events?ticket={given}") as stream:
                stream.until("ready")
        _, _, log = ended(process, signal.SIGTERM)
    assert f'"GET {CHANNEL} HTTP/1.1" 200' in log
    for secret in (given, held, SECRET, "ticket="):
        assert secret not in log
