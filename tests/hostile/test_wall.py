"""Isolation of tenants, and within a tenant of the channels that a token may not read.

Two tenants use the same names. All data of one of them hold a canary, and so do the names that only it uses. The others
know these names: they request them tens of thousands of times, by every route, with its cursors, tags and tickets, and
have streams open meanwhile. No answer holds a canary, except where it repeats the request.
"""

from __future__ import annotations

import base64
import contextlib
import json
import random
import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
import pytest

from tests.hostile.seed import SEED
from tests.support.effort import part
from tests.support.hub_process import hub_process
from tests.support.publishing import publish_all
from tests.support.redis_server import RedisServer
from tests.support.sse_client import open_stream
from tests.support.tokens import SECRET, bearer, token
from tests.support.wire import Answer, Wire, request, wire

REQUESTS: Final = part(20_000)
"""Requests of the stranger; a colleague, who reads other channels, sends half as many."""

PIPELINED: Final = 40
"""Requests sent together: fewer than fill the buffer of a connection."""

WORDS: Final = [f"shared-{number}" for number in range(6)]
"""Names that both tenants use, each for contents of its own."""


BATCHES: Final = (("/api/contents/status/batch", "content_ids"), ("/v1/ai/jobs/batch-status", "job_ids"))


class Owner(msgspec.Struct, frozen=True):
    """The owner of the secret data, with all that others could know of it. `epoch` is that of its clock."""

    canary: str
    places: list[tuple[str, str]]
    """The channel and id of each content that it keeps publishing."""
    channels: list[str]
    contents: list[str]
    cursors: list[str]
    epoch: str
    tickets: list[str]

    def events(self, draw: random.Random) -> list[dict[str, Any]]:
        """Events to publish: every text in their data holds the canary."""
        return [
            {
                "channel": channel,
                "content_id": content,
                "type": draw.choice((None, f"{self.canary}.type")),
                "data": {
                    "status": status,
                    "processing_status": self.canary if status == "generating" else None,
                    "title": f"{self.canary} title",
                    "error_message": f"{self.canary} failed",
                    "step": f"{self.canary} step",
                    "result_url": f"https://{self.canary}.example/r",
                    "hls_path": f"/{self.canary}",
                    self.canary: [self.canary, {self.canary: draw.random()}],
                },
            }
            for channel, content in self.places
            for status in [draw.choice(("generating", "idle"))]
        ]


def settle(base_url: str, prefix: str, draw: random.Random, tenant: str) -> Owner:
    """Publish a tenant's contents: with own and shared names, in own and shared channels, in all phases."""
    canary = f"canary{secrets.token_hex(6)}"
    names = [*WORDS, *(f"{canary}-{number}" for number in range(6))]
    owner = Owner(
        canary=canary,
        places=[(f"{prefix}{name}", f"{prefix}{other}") for name, other in zip(names, reversed(names), strict=True)],
        channels=[f"{prefix}{name}" for name in (*names, "ended")],
        contents=[f"{prefix}{name}" for name in (*names, f"{canary}-complete", f"{canary}-error")],
        cursors=[],
        epoch="",
        tickets=[],
    )
    head = bearer(tenant=tenant, sub="owner")
    cursors = publish_all(base_url, owner.events(draw), headers=head)
    ended = [
        {
            "channel": f"{prefix}ended",
            "content_id": f"{prefix}{canary}-{status}",
            "data": {"status": status, "error_message": canary},
        }
        for status in ("complete", "error")
    ]
    cursors += publish_all(base_url, ended, headers=head)
    tickets = [
        httpx.post(f"{base_url}/api/tickets", json=body, headers=head).json()["ticket"]
        for body in ({}, {"read": [f"{prefix}ended"]}, {"read": ["**"]})
    ]
    return msgspec.structs.replace(
        owner,
        cursors=cursors,
        epoch=cursors[0].partition("-")[0],
        tickets=tickets,
    )


class Snoop:
    """Sends random requests for another owner's data."""

    def __init__(self, draw: random.Random, owner: Owner, held: str) -> None:
        self.draw = draw
        self.owner = owner
        self.held = held
        """A token that does not read the owner's data."""

    def name(self) -> str:
        draw = self.draw
        return draw.choice(
            (
                *self.owner.channels,
                *self.owner.contents,
                *WORDS,
                "unknown",
                f"unknown/{draw.randrange(9)}",
                "ended",
                "revoked",
            )
        )

    def cursor(self) -> str:
        draw = self.draw
        return draw.choice(
            (*self.owner.cursors, f"{self.owner.epoch}-0", f"{self.owner.epoch}-{2**53 - 1}", "zz-1", "")
        )

    def ticket(self) -> str:
        """A forged ticket, made of parts of the owner's tickets and of `held`."""
        draw = self.draw
        head, claims, signature = draw.choice(self.owner.tickets).split(".")
        own = self.held.split(".")
        widened = base64.urlsafe_b64encode(json.dumps({"exp": 9e9, "tenant": "acme", "read": ["**"]}).encode()).decode()
        return draw.choice(
            (f"{head}.{claims}.{own[2]}", f"{head}.{own[1]}.{signature}", f"{head}.{claims}.{signature[::-1]}",
             f"{head}.{widened.rstrip('=')}.{signature}", f"{head}.{claims}.", f"{claims}.{signature}", self.held)
        )  # fmt: skip

    def credentials(self) -> tuple[str, list[str]]:
        """A part of the query, and the header fields: the own token, with or without another's ticket, or a forgery."""
        draw = self.draw
        chance = draw.random()
        if chance < 0.7:
            return "", [f"Authorization: Bearer {self.held}"]
        if chance < 0.8:
            return f"ticket={draw.choice(self.owner.tickets)}", [f"Authorization: Bearer {self.held}"]
        if chance < 0.85:
            return "", [f"Cookie: statushub_token={self.held}", "Sec-Fetch-Site: same-origin"]
        if chance < 0.95:
            return f"ticket={self.ticket()}", []
        return "", [f"Authorization: Bearer {self.ticket()}"]

    def request(self) -> tuple[str, bytes, list[str]]:
        """A method, a request, and the owner's names in it, which an answer may repeat."""
        draw = self.draw
        names = [self.name() for _ in range(draw.randint(1, 5))]
        name, cursor = names[0], self.cursor()
        query, fields = self.credentials()
        if draw.random() < 0.3:
            fields.append(f'If-None-Match: {draw.choice(("", "W/"))}"{cursor}"')
        if draw.random() < 0.1:
            fields.append("If-None-Match: *")
        method, path, body = "GET", "", b""
        match draw.randrange(15):
            case 0 | 1:
                path = f"/api/contents/{name}"
            case 2:
                path, query = f"/api/contents/{name}/status", f"{draw.choice(('view=list&', ''))}{query}"
            case 3 | 4:
                path, query = f"/api/contents/{name}/changes", f"since={cursor}&wait=0&{query}"
            case 5 | 6:
                method, path, body = "POST", "/api/contents/status/batch", json.dumps({"content_ids": names}).encode()
            case 7:
                method, path, body = "POST", "/v1/ai/jobs/batch-status", json.dumps({"job_ids": names}).encode()
            case 8:
                path = f"/api/v1/media/videos/{name}/progress{draw.choice(('', '/'))}"
            case 9:
                method, path = "HEAD", f"/api/contents/{name}/{draw.choice(('events', 'status', 'changes', ''))}"
            case 10:
                method, path, query = "HEAD", "/api/events", f"channel={name}&since={cursor}&{query}"
            case 11:
                # To channels that this token may not write, and of contents of the other tenant.
                offer = {"channel": name, "content_id": draw.choice(WORDS), "data": {"status": "idle", "title": "own"}}
                method, path, body = "POST", "/api/publish", json.dumps(offer).encode()
            case 12:
                # Of this tenant's subject: the same subject of another tenant stays valid.
                path, asked = draw.choice(
                    (
                        ("/api/tickets", {"read": [draw.choice((*names, "**", f"{name}*"))]}),
                        ("/api/revoke", {"sub": "owner", "issued_before": time.time()}),
                    )
                )
                method, body = "POST", json.dumps(asked).encode()
            case 13:
                # Prefixes and places of the other tenant's names.
                text = base64.urlsafe_b64encode(name.encode()).decode().rstrip("=")
                after = draw.choice(("", f"n{text}", "o1", f"o{cursor.partition('-')[2] or 1}"))
                path = "/api/channels"
                query = f"prefix={draw.choice(('', name[:3], name))}&limit={draw.randint(1, 9)}&after={after}&{query}"
            case _:
                method, path = draw.choice(
                    (("GET", "/metrics"), ("GET", "/healthz"), ("GET", "/"), ("POST", "/api/session"),
                     ("GET", "/readyz"), ("DELETE", "/api/session"), ("GET", "/assets/dashboard/dashboard.js"),
                     ("OPTIONS", f"/api/contents/{name}"),
                     ("GET", f"/{name}"), ("GET", f"/assets/{name}"), ("PUT", f"/api/contents/{name}"))
                )  # fmt: skip
        return method, request(method, f"{path}?{query}", *fields, body=body), [*names, cursor]


def check_silent(answer: Answer, said: Sequence[str], secret: Sequence[str], sent: bytes) -> None:
    """Assert that the answer is below 500 and holds no secret, except for what the request said."""
    assert answer.status < 500, sent
    raw = answer.raw
    for word in secret:
        if word.encode() in raw:
            for spoken in sorted(said, key=len, reverse=True):
                raw = raw.replace(spoken.encode(), b"") if spoken else raw
            assert word.encode() not in raw, (sent, answer)


def snoop(base_url: str, spy: Snoop, count: int, secret: Sequence[str]) -> Counter[int]:
    """Send `count` requests and check that no answer holds a secret. Returns the number of answers by status."""
    statuses: Counter[int] = Counter()
    with contextlib.ExitStack() as stack:
        connection: Wire | None = None
        for _ in range(count // PIPELINED):
            connection = connection or stack.enter_context(wire(base_url))
            asked = [spy.request() for _ in range(PIPELINED)]
            connection.send(b"".join(sent for _, sent, _ in asked))
            for method, sent, said in asked:
                answer = connection.answer(method)
                check_silent(answer, said, secret, sent)
                statuses[answer.status] += 1
    return statuses


def listen(base_url: str, channels: Sequence[str], head: dict[str, str], stack: contextlib.ExitStack) -> Any:
    """An open stream over channels of these names."""
    query = "&".join(f"channel={channel}" for channel in channels)
    return stack.enter_context(open_stream(base_url, f"/api/events?{query}", head))


@contextlib.contextmanager
def publishing(base_url: str, owner: Owner, tenant: str) -> Iterator[None]:
    """The owner publishes for the time of the block."""
    done = threading.Event()
    draw = random.Random(SEED)

    def run() -> None:
        with httpx.Client(base_url=base_url, headers=bearer(tenant=tenant, sub="owner")) as client:
            while not done.wait(0.05):
                events = owner.events(draw)[:4]
                client.post("/api/publish", json={"events": events}).raise_for_status()

    with ThreadPoolExecutor(1) as pool:
        publisher = pool.submit(run)
        try:
            yield
        finally:
            done.set()
        publisher.result()


@pytest.fixture(params=["embedded", pytest.param("redis", marks=pytest.mark.redis)])
def broker(request: pytest.FixtureRequest) -> str:
    """The broker's URL."""
    if request.param == "embedded":
        return "sqlite:///hub.db"
    server: RedisServer = request.getfixturevalue("redis_server")
    return server.url.replace("/0", "/7")


def test_no_answer_holds_data_of_others(broker: str, tmp_path: Path) -> None:
    """The data reach neither another tenant nor a token of the same tenant that covers other channels."""
    draw = random.Random(SEED)
    acme, rival = f"acme-{secrets.token_hex(4)}", f"rival-{secrets.token_hex(4)}"
    settings = {
        "broker": broker,
        "secret": SECRET,
        "ticket_secret": SECRET,
        "publish_rate": 1_000_000,
        # Streams are not read while the requests are sent.
        "stall_timeout": 600,
        "log_level": "error",
    }
    with hub_process(tmp_path, **settings) as hub, contextlib.ExitStack() as stack:
        owner = settle(hub.base_url, "", draw, acme)
        hidden = settle(hub.base_url, "closed/", draw, acme)
        stranger: dict[str, Any] = {"tenant": rival, "sub": "stranger", "write": WORDS, "revoke": True}
        colleague: dict[str, Any] = {"tenant": acme, "sub": "colleague", "read": ["open/**", *WORDS], "write": []}
        own = [
            {"channel": channel, "content_id": content, "data": {"status": "idle", "title": "own"}}
            for channel, content in zip(WORDS, WORDS, strict=True)
        ]
        publish_all(hub.base_url, own, headers=bearer(tenant=rival))
        # The stranger streams channels with the owner's names, the colleague those that its token reads.
        pried = listen(hub.base_url, owner.channels + hidden.channels, bearer(**stranger), stack)
        looked = listen(hub.base_url, WORDS, bearer(**colleague), stack)
        # The owner's stream brings the secret data into the hub's memory.
        listen(hub.base_url, owner.channels + hidden.channels, bearer(tenant=acme, sub="owner"), stack).until("ready")
        for channel in hidden.channels:
            with open_stream(hub.base_url, f"/api/contents/{channel}/events", bearer(**colleague)) as refused:
                assert refused.status == 403
        with publishing(hub.base_url, owner, acme), publishing(hub.base_url, hidden, acme):
            for claims, target, secret, count in (
                (stranger, owner, (owner.canary, hidden.canary, owner.epoch), REQUESTS // 2),
                (stranger, hidden, (owner.canary, hidden.canary, owner.epoch), REQUESTS // 2),
                (colleague, hidden, (hidden.canary,), REQUESTS // 2),
            ):
                statuses = snoop(hub.base_url, Snoop(draw, target, token(**claims)), count, secret)
                print(f"{claims['sub']}: {statuses.total()} requests, {sorted(statuses.items())}")
                # Answers of every kind: otherwise the test would prove little.
                assert statuses.keys() >= {200, 204, 304, 401, 403, 404, 405, 422}
        # All earlier events arrive on the streams before this one.
        for tenant, stream in ((rival, pried), (acme, looked)):
            last = {"channel": WORDS[0], "content_id": f"last of {tenant}", "data": {"status": "complete"}}
            publish_all(hub.base_url, [last], headers=bearer(tenant=tenant))
            frames = [stream.event()]
            while frames[-1].json.get("content_id") != last["content_id"]:
                frames.append(stream.event())
            told = "".join(f"{frame.event} {frame.id} {frame.data}" for frame in frames)
            assert hidden.canary not in told
            assert (owner.canary in told) == (tenant == acme)
            assert (owner.epoch in told) == (tenant == acme)
        # The stranger's revocations have not reached the owner, whose data are still there.
        owned = httpx.get(f"{hub.base_url}/api/contents/{owner.channels[-2]}", headers=bearer(tenant=acme, sub="owner"))
        assert owner.canary in owned.text
        assert hidden.canary in httpx.get(f"{hub.base_url}/api/contents/closed/ended", headers=bearer(tenant=acme)).text


@pytest.mark.parametrize("in_memory", [False, True], ids=["in the broker", "in memory"])
def test_unreadable_contents_look_like_missing_ones(broker: str, tmp_path: Path, in_memory: bool) -> None:
    """In batches and for players the answers are equal, byte for byte, beside any other ids."""
    draw = random.Random(SEED)
    acme = f"acme-{secrets.token_hex(4)}"
    with hub_process(tmp_path, broker=broker, secret=SECRET, ticket_secret=SECRET, log_level="error") as hub:
        owner = settle(hub.base_url, "closed/", draw, acme)
        seen = [{"channel": f"open/{name}", "content_id": name, "data": {"status": "idle"}} for name in WORDS]
        publish_all(hub.base_url, seen, headers=bearer(tenant=acme))
        with wire(hub.base_url) as opened, contextlib.ExitStack() as stack:
            if in_memory:
                listen(hub.base_url, owner.channels, bearer(tenant=acme), stack).until("ready")
            for held in (
                f"Authorization: Bearer {token(tenant=acme, read=['open/**'])}",
                f"Authorization: Bearer {token(tenant=acme, read=[])}",
                f"Authorization: Bearer {token(tenant='stranger')}",
            ):
                for _ in range(part(150)):
                    known, real = draw.sample(WORDS, draw.randint(0, 3)), draw.choice(owner.contents)
                    path, key = draw.choice(BATCHES)
                    told = []
                    for name in (real, "closed/" + "x" * (len(real) - len("closed/"))):
                        opened.send(request("POST", path, held, body=json.dumps({key: [*known, name]}).encode()))
                        opened.send(request("GET", f"/api/v1/media/videos/{name}/progress/", held))
                        answers = opened.answer(), opened.answer()
                        assert [answer.status for answer in answers] == [200, 200]
                        told.append([_undated(answer, name) for answer in answers])
                    assert told[0] == told[1]


def _undated(answer: Answer, name: str) -> bytes:
    """The answer without its date and the requested name."""
    date = (answer.header("date") or "").encode()
    return answer.raw.replace(date, b"").replace(name.encode(), b"NAME")
