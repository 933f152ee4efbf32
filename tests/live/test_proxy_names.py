"""The names that the proxies of deploy/ answer to, in front of a hub with the settings of docker-compose.yml."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import yaml

from statushub.hub.cli import cli
from tests.support import nginx_server
from tests.support.caddy_server import running_caddy
from tests.support.live import live_hub
from tests.support.nginx_server import running_nginx
from tests.support.sse_client import READ_SECONDS, open_stream

COMPOSE = yaml.safe_load((Path(__file__).parents[2] / "docker-compose.yml").read_text())
OFFER = {"channel": "c", "content_id": "a", "data": {"status": "generating"}}


RUNNING = {"nginx": running_nginx, "caddy": running_caddy}


@pytest.fixture(scope="module", params=["nginx", pytest.param("caddy", marks=pytest.mark.slow)])
def proxy_name(request: pytest.FixtureRequest) -> str:
    """Each of the proxies."""
    return str(request.param)


@pytest.fixture(scope="module")
def urls(proxy_name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The URLs of the proxy and of the hub behind it."""
    _, *arguments = COMPOSE["services"]["hub-1"]["command"]
    flags = cli.commands["serve"].make_context("serve", arguments).params
    chosen = {name: flags[name] for name in ("host", "insecure", "allowed_hosts")}
    with live_hub(**chosen) as hub, RUNNING[proxy_name](tmp_path_factory.mktemp("proxy"), hub.base_url) as proxy:
        yield proxy, hub.base_url


FOREIGN = ["evil.example.com", "evil.example.com:8080", "localhost.evil.com", "xlocalhost", "10.0.0.1", "hub-1", "_"]


@pytest.mark.parametrize("host", FOREIGN)
def test_the_proxy_refuses_other_names(urls: tuple[str, str], host: str) -> None:
    """A page whose name was pointed to this machine gets 421 and reaches no hub (DNS rebinding)."""
    proxy, hub = urls
    with httpx.Client(base_url=proxy, headers={"Host": host, "Origin": f"http://{host}"}) as client:
        answers = [client.get(path) for path in ("/", "/api/contents/c", "/readyz", "/metrics")]
        answers.append(client.post("/api/publish", json=OFFER))
        assert [answer.status_code for answer in answers] == [421] * 5
    assert httpx.get(f"{hub}/api/contents/c").json()["contents"] == []


SMUGGLED = {
    "no name": b"GET /healthz HTTP/1.0\r\n\r\n",
    "ours in its fields": b"GET http://evil.example.com/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "ours in its target": b"GET http://localhost/healthz HTTP/1.1\r\nHost: evil.example.com\r\n\r\n",
    "two names": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example.com\r\n\r\n",
}


@pytest.mark.parametrize("name", SMUGGLED)
def test_a_name_is_not_smuggled_past_the_proxy(urls: tuple[str, str], proxy_name: str, name: str) -> None:
    """A request without a host, or with two that differ, is refused by the proxy or by the hub behind it."""
    address = urlsplit(urls[0])
    with socket.create_connection((address.hostname, address.port), timeout=READ_SECONDS) as connection:
        connection.sendall(SMUGGLED[name])
        status = int(connection.recv(65536).split()[1])
    if (name, proxy_name) == ("ours in its target", "caddy"):
        # The target's name takes the place of the field, and is what the hub gets (RFC 9112, section 3.2.2).
        assert status == 200
    else:
        assert status in (400, 403, 421)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8080", "LOCALHOST:8080", "proxy:8080"])
def test_the_proxy_answers_to_its_own_names(urls: tuple[str, str], host: str) -> None:
    """Pages, polls and publishes pass under each of them."""
    with httpx.Client(base_url=urls[0], headers={"Host": host}) as client:
        assert [client.get(path).status_code for path in ("/", "/api/contents/none", "/readyz")] == [200] * 3
        assert client.post("/api/publish", json=OFFER | {"channel": "own"}).json()["accepted"] is True
        assert client.get("/metrics").status_code == 404


def test_names_pass_the_proxy_as_they_are_sent(urls: tuple[str, str]) -> None:
    """It decodes and normalizes no path."""
    offer = OFFER | {"channel": "as/../sent%", "content_id": "sent"}
    httpx.post(f"{urls[0]}/api/publish", json=offer).raise_for_status()
    found = httpx.get(f"{urls[0]}/api/contents/as%2F%2E%2E%2Fsent%25").json()["contents"]
    assert [content["content_id"] for content in found] == ["sent"]
    assert httpx.get(f"{urls[0]}/api/contents/as%2F%2E%2E%2Fsent%25%0A").status_code == 422


def test_a_stream_passes_the_proxy_unbuffered(urls: tuple[str, str]) -> None:
    """An event arrives while the response is open."""
    with open_stream(urls[0], "/api/contents/stream/events") as stream:
        stream.until("ready")
        offer = OFFER | {"channel": "stream", "content_id": "streamed"}
        httpx.post(f"{urls[0]}/api/publish", json=offer).raise_for_status()
        assert stream.event().json["content_id"] == "streamed"


def test_the_hub_behind_the_proxy_refuses_other_names(urls: tuple[str, str]) -> None:
    """Also where the proxy would let them pass, or a page reaches the hub without it."""
    for host in ("evil.example.com", "10.0.0.1"):
        assert httpx.get(f"{urls[1]}/api/contents/c", headers={"Host": host}).status_code == 403
    names = re.findall(r"^ +server_name (.*);$", nginx_server.CONFIG, re.MULTILINE)
    for name in " ".join(names).split():
        assert httpx.get(f"{urls[1]}/healthz", headers={"Host": name}).status_code == 200
