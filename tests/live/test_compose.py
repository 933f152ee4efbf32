"""The compose file, the image and the proxy, as far as they can be checked without containers."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import uvicorn
import yaml

from statushub.hub.api.events import OVERLOAD_RETRY_MS
from statushub.hub.cli import cli
from statushub.hub.config import BODY_BYTES, HEARTBEAT_SECONDS, Config
from statushub.hub.environment import load

ROOT = Path(__file__).parents[2]
COMPOSE = (ROOT / "docker-compose.yml").read_text()
NGINX = (ROOT / "deploy" / "nginx.conf").read_text()
CADDY = (ROOT / "deploy" / "Caddyfile").read_text()
PARSED = yaml.safe_load(COMPOSE)
SERVICES = PARSED["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def section(name: str) -> str:
    """The lines of the compose file under the key of a service or an anchor."""
    found = re.search(rf"^(|  ){name}:[^\n]*\n(?:(?:\1 +[^\n]*)?\n)*", COMPOSE, re.MULTILINE)
    assert found, name
    return found[0]


def directive(name: str) -> str:
    """The value of a directive that occurs once in the proxy's configuration."""
    [value] = re.findall(rf"^ *{name} ([^;]*);", NGINX, re.MULTILINE)
    return str(value)


def has_compose() -> bool:
    """Whether docker with compose is installed. Checking a file needs no engine."""
    return (
        shutil.which("docker") is not None
        and not subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode
    )


def test_the_compose_file_is_valid() -> None:
    """Docker, where it is installed, accepts the file; every service, network and volume in use is defined."""
    if has_compose():
        command = [
            "docker",
            "compose",
            "--file",
            str(ROOT / "docker-compose.yml"),
            "--profile",
            "encode",
            "config",
            "-q",
        ]
        subprocess.run(command, check=True)
    assert "\t" not in COMPOSE
    services = re.findall(r"^  ([\w-]+):", section("services"), re.MULTILINE)
    assert services == ["redis", "hub-1", "hub-2", "proxy", "encode"]
    for awaited in re.findall(r"^ +([\w-]+):\n +condition: service_healthy$", COMPOSE, re.MULTILINE):
        assert "healthcheck:" in (section("x-hub") if awaited.startswith("hub") else section(awaited))
    assert set(re.findall(r"^  ([\w-]+):", COMPOSE.partition("\nnetworks:")[2], re.MULTILINE)) == {
        *{"store", "inner", "work", "outer"},
        *{"redis", "results"},
    }


def test_only_one_port_is_published_and_on_loopback() -> None:
    """The hubs have no authentication, so only this machine may reach them."""
    assert {name: service["ports"] for name, service in SERVICES.items() if "ports" in service} == {
        "proxy": ["127.0.0.1:8080:8080"]
    }


def test_each_service_reaches_only_what_it_needs() -> None:
    """Redis, which has no password, is on a network with the hubs only; the worker reaches only the proxy."""
    members = {
        network: {name for name, service in SERVICES.items() if network in service["networks"]}
        for network in PARSED["networks"]
    }
    assert members == {
        "store": {"redis", "hub-1", "hub-2"},
        "inner": {"hub-1", "hub-2", "proxy"},
        "work": {"proxy", "encode"},
        "outer": {"proxy"},
    }
    assert {name for name, network in PARSED["networks"].items() if network and network["internal"]} == {
        *("store", "inner", "work")
    }


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_is_confined(name: str) -> None:
    """It has no capability and gains no rights, its root is read-only, and its memory and processes are limited."""
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert not service.get("privileged")
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp:size=64m"]
    assert re.fullmatch(r"[12]g", service["mem_limit"])
    assert 0 < service["pids_limit"] <= 256
    # The image of the hub and of the worker names its user itself.
    assert service["image"] == "statushub" or service["user"] in ("redis", "nginx")


def test_the_hubs_start_with_their_command() -> None:
    """`statushub` accepts the command line in the compose file."""
    words = re.search(r'command: \["serve", (.*)\]', section("x-hub"))
    assert words
    arguments = re.findall(r'"([^"]*)"', words[1])
    flags = cli.commands["serve"].make_context("serve", arguments).params
    settings = load({}, **{name: value or None for name, value in flags.items()})
    assert (settings.host, settings.insecure, settings.port) == ("0.0.0.0", True, Config().port)
    assert settings.broker == "redis://redis:6379/0"
    # Loopback names are answered anyway.
    assert set(directive("server_name").split()) - {"localhost", "127.0.0.1"} <= set(settings.allowed_hosts)
    assert "*" not in settings.allowed_hosts
    assert f"http://127.0.0.1:{settings.port}/readyz" in section("x-hub")
    grace = re.search(r"stop_grace_period: (\d+)s", section("x-hub"))
    assert grace
    assert int(grace[1]) > settings.grace


def test_the_encoder_starts_with_its_command() -> None:
    """`statushub` accepts both of the worker's command lines."""
    lines = re.findall(r"statushub encode (.*)", section("encode"))
    assert len(lines) == 2
    for line in lines:
        given = cli.commands["encode"].make_context("encode", line.split()).params
        assert (given["hub"], given["broker"]) == ("http://proxy:8080", None)
    assert "proxy" in directive("server_name").split()
    assert directive("listen 8080") == "default_server"
    # The results pass through its volume, as the rest of its file system is read-only or memory.
    assert SERVICES["encode"]["environment"] == {"TMPDIR": "/data"}


def test_redis_persists_accepted_events() -> None:
    """Redis appends to disk and evicts nothing."""
    assert '"--appendonly", "yes", "--maxmemory-policy", "noeviction"' in section("redis")
    assert "redis:/data" in section("redis")
    assert '"--maxmemory", "512mb"' in section("redis")
    assert SERVICES["redis"]["mem_limit"] == "1g"


def test_the_proxy_does_not_delay_streams() -> None:
    """The proxy keeps connections open and neither buffers, caches nor compresses responses."""
    assert directive("proxy_buffering") == "off"
    assert directive("proxy_cache") == "off"
    assert directive("gzip") == "off"
    assert directive("proxy_http_version") == "1.1"
    assert directive("proxy_set_header Connection") == "$upgrade_connection"
    assert "'' '';" in NGINX


def test_the_proxy_timeout_exceeds_two_heartbeats() -> None:
    """The proxy closes a stream only after more than two heartbeats are missing."""
    seconds = int(directive("proxy_read_timeout").removesuffix("s"))
    assert seconds > 2 * HEARTBEAT_SECONDS
    assert int(directive("proxy_send_timeout").removesuffix("s")) == seconds
    assert seconds > OVERLOAD_RETRY_MS[1] / 1000


def test_the_proxy_accepts_the_largest_body_of_a_hub() -> None:
    """The hub, not the proxy, refuses bodies that are too large."""
    assert directive("client_max_body_size") == f"{BODY_BYTES // 1024**2}m"


def test_the_proxy_balances_over_every_hub() -> None:
    """Its upstreams are the hubs of the compose file, on the default port."""
    assert set(re.findall(r"server (hub-\d):(\d+)", NGINX)) == {
        ("hub-1", str(Config().port)),
        ("hub-2", str(Config().port)),
    }
    assert set(re.findall(r"^  (hub-\d):", COMPOSE, re.MULTILINE)) == {"hub-1", "hub-2"}


def test_the_proxies_are_alike() -> None:
    """Caddy has the names, the hubs and the time limits of nginx."""
    assert re.findall(r"http://(\S+):8080", CADDY)[-3:] == directive("server_name").split()
    assert re.findall(r"hub-\d:\d+", CADDY) == re.findall(r"hub-\d:\d+", NGINX)
    limits = {"read_timeout": "proxy_read_timeout", "write_timeout": "proxy_send_timeout"}
    limits |= {"dial_timeout": "proxy_connect_timeout", "keepalive": "keepalive_timeout"}
    for ours, name in limits.items():
        assert re.findall(rf"^\t+{ours} (\S+)$", CADDY, re.MULTILINE) == [directive(name)]


def test_the_proxy_keeps_a_connection_for_less_than_a_hub_does() -> None:
    """A publish that meets the hub's close would be 502."""
    hub = uvicorn.Config("", log_config=None).timeout_keep_alive
    assert int(directive("keepalive_timeout").removesuffix("s")) < hub


def test_the_proxy_logs_no_query() -> None:
    """Access logs hold the path only, since a query may hold a ticket."""
    log_format = directive("log_format plain")
    assert "$uri" in log_format
    assert "$request " not in log_format
    assert "$request_uri" not in log_format
    assert "$args" not in log_format


def test_the_image_is_slim_and_unprivileged() -> None:
    """The image has a slim base, the wheel, the locked libraries of every extra, and an unprivileged user."""
    assert DOCKERFILE.count("FROM python:3.11-slim") == 2
    last = DOCKERFILE.rpartition("FROM ")[2]
    assert re.search(r"^USER statushub$", last, re.MULTILINE)
    assert "--require-hashes --requirement /requirements.lock" in last
    assert "--no-deps /wheels/statushub-*.whl" in last
    assert "python -m compileall" in last
    assert 'ENTRYPOINT ["statushub"]' in last
    for source in re.findall(r"^COPY (.*) \S+$", DOCKERFILE, re.MULTILINE):
        assert all((ROOT / name).exists() for name in source.split())
