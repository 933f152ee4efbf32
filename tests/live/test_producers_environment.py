"""Environments that would kill a careless client: the work runs, and the log has one line. Each in a process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.live import LiveHub, live_hub
from tests.support.ports import free_port
from tests.support.script import held, ran


@pytest.fixture(scope="module")
def hub() -> Iterator[LiveHub]:
    with live_hub() as hub:
        yield hub


WORK = """
import sys, statushub
with statushub.work(sys.argv[1], channel="jobs") as work:
    work.update(progress=40)
print("worked")
"""

BUSY_SECONDS = 12.0
"""For what takes two seconds, on a machine that is busy with other tests."""

DEAD = "127.0.0.1:9"

LOOPBACK = {
    "a SOCKS proxy": {"ALL_PROXY": f"socks5://{DEAD}", "HTTP_PROXY": f"socks5://{DEAD}"},
    "an HTTP proxy": {"HTTP_PROXY": f"http://{DEAD}", "http_proxy": f"http://{DEAD}", "ALL_PROXY": f"http://{DEAD}"},
    "a malformed proxy": {"HTTP_PROXY": "socks://[::1", "ALL_PROXY": "no proxy at all"},
    "an unreadable NO_PROXY": {"NO_PROXY": "[::1,fe80::/10,*,http://[", "HTTP_PROXY": f"http://{DEAD}"},
    "a dangling SSL_CERT_FILE": {"SSL_CERT_FILE": "/nowhere/ca.pem"},
    "a dangling SSL_CERT_DIR": {"SSL_CERT_DIR": "/nowhere"},
}


@pytest.mark.parametrize("case", LOOPBACK)
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_hub_of_this_machine_is_reached_in_any_environment(hub: LiveHub, case: str, host: str) -> None:
    """Loopback goes through no proxy, and plain HTTP needs no certificates."""
    ended = ran(WORK, hub.base_url.replace("127.0.0.1", host), f"{case} {host}", env=LOOPBACK[case])
    assert (ended.code, ended.out, ended.err) == (0, "worked\n", "")
    assert held(hub.base_url)[f"{case} {host}"]["status"] == "complete"


UNREACHABLE = {
    "a SOCKS proxy": ("http://hub.example", {"ALL_PROXY": f"socks5://{DEAD}"}, "pip install 'httpx[socks]'"),
    "a dead proxy": ("http://hub.example", {"HTTP_PROXY": f"http://u:s3cret@{DEAD}"}, "Connection refused"),
    "a malformed proxy": ("http://hub.example", {"HTTP_PROXY": "socks://u:s3cret@[::1"}, "proxy of the environment"),
    "a dangling SSL_CERT_FILE": (
        f"https://127.0.0.1:{free_port()}",
        {"SSL_CERT_FILE": "/nowhere/ca.pem"},
        "SSL_CERT_FILE",
    ),
    "a name that does not exist": ("http://no-such-host.invalid", {}, "name is not resolved"),
    "a host without a proxy, in a list that is malformed": (
        "http://no-such-host.invalid",
        {"HTTP_PROXY": f"http://{DEAD}", "NO_PROXY": "[::1,http://[,.invalid"},
        "name is not resolved",
    ),
    "nothing at the port": (f"http://127.0.0.1:{free_port()}", {}, "Connection refused"),
}


@pytest.mark.parametrize("case", UNREACHABLE)
def test_an_environment_without_a_way_to_the_hub_costs_one_warning(case: str) -> None:
    """The work runs to its end, and the log says what is wrong, without a traceback and without a secret."""
    url, env, words = UNREACHABLE[case]
    ended = ran(WORK, url, "c", env=env)
    assert (ended.code, ended.out) == (0, "worked\n")
    assert words in ended.err
    assert ended.err.count("states are kept") == 1
    assert "Traceback" not in ended.err
    assert "s3cret" not in ended.err


NEVER = [
    "http://127.0.0.1:99999",
    "http://127.0.0.1:0",
    "http://",
    "http://host:port",
    f"http://{'a' * 64}.example",
    "http://127.0.0.1:8000?timeout=5",
    "http://127.0.0.1:8000/#part",
    "http://user:s3cret#word@host",
    "http://user:12/s3cret@host",
    "http://user:12?s3cret@host",
    "redis://127.0.0.1:99999",
    "redis://:s3cret#word@host",
    "redis://user:12/s3cret@host",
    "redis+sentinel://user:12/s3cret@host",
    "redis+cluster://user:12/s3cret@host",
    "redis://host?retry_on_timeout=s3cret",
    "redis://host?db=s3cret",
    "rediss://host?ssl_cert_reqs=s3cret",
    "rediss://host?ssl_check_hostname=s3cret",
    "redis://host?prefix={s3cret}",
    f"redis://{'a' * 64}.example",
]


@pytest.mark.parametrize("url", NEVER)
def test_an_address_that_can_never_work_is_one_error_at_construction(url: str) -> None:
    """It is a `ConfigError` of the producer, which quotes no secret; nothing is looked up."""
    script = """
    import socket, sys
    def refuse(*_, **__):
        raise SystemExit("looked up")
    socket.getaddrinfo = refuse
    from statushub import ConfigError, SyncProducer
    try:
        SyncProducer(sys.argv[1])
    except ConfigError as error:
        import traceback
        print(error.field, "".join(traceback.format_exception(error)))
    else:
        raise SystemExit("accepted")
    """
    ended = ran(script, None, url)
    assert (ended.code, ended.err) == (0, ""), ended
    assert ended.out.startswith("url ")
    assert "s3cret" not in ended.out.replace("unknown option 's3cret'", "")


def test_a_token_with_a_blank_is_stripped(hub: LiveHub) -> None:
    """A token from a file with a line break at its end is used without it."""
    ended = ran(WORK, hub.base_url, "token", env={"STATUSHUB_TOKEN": " s3cret-token \n"})
    assert (ended.code, ended.err) == (0, "")
    assert held(hub.base_url)["token"]["status"] == "complete"


@pytest.mark.parametrize("library", ["gevent", "eventlet"])
def test_greenlets_are_refused_at_construction(library: str) -> None:
    """Where threads are replaced by greenlets, constructing a producer says so."""
    patches = {
        "gevent": "from gevent import monkey\nmonkey.patch_all()",
        "eventlet": "import eventlet\neventlet.monkey_patch()",
    }
    attempt = "try:\n    statushub.SyncProducer()\nexcept statushub.ConfigError as error:\n    print(error)"
    script = f"{patches[library]}\nimport statushub\n{attempt}"
    ended = ran(script, "http://127.0.0.1:8000")
    assert ended.code == 0, ended
    assert f"{library} has replaced threads" in ended.out


STALLED_HUB = """
import socket, statushub, sys, time
listener = socket.create_server(("127.0.0.1", 0), backlog=100)
url = f"http://127.0.0.1:{listener.getsockname()[1]}"
began = time.monotonic()
for n in range(50):
    with statushub.work(f"c{n}", channel="jobs", url=url) as work:
        work.update(progress=50)
for n in range(10):
    with statushub.SyncProducer(url) as producer, producer.work(f"d{n}", channel="jobs"):
        pass
print(time.monotonic() - began)
"""


def test_a_hub_that_never_answers_costs_patience_once() -> None:
    """Sixty works, ten with producers of their own, wait for two seconds all together."""
    ended = ran(STALLED_HUB)
    assert ended.code == 0
    assert 1.9 < float(ended.out) < BUSY_SECONDS, ended
    assert ended.err.count("the final state of 50 contents could not be delivered") == 1


SLOW_HUB = """
import statushub, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import json
class Slow(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        events = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["events"]
        threading.Event().wait(0.6)
        body = json.dumps({"results": [{"accepted": True, "cursor": "a-1", "attempt": 1} for _ in events]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_address[1]}"
began = time.monotonic()
for n in range(40):
    with statushub.work(f"c{n}", channel="jobs", url=url):
        pass
print(time.monotonic() - began)
"""


def test_a_slow_hub_costs_patience_once() -> None:
    """Forty works at a hub that takes 0.6 s for each answer wait for two seconds all together."""
    ended = ran(SLOW_HUB)
    assert ended.code == 0
    assert float(ended.out) < BUSY_SECONDS, ended
