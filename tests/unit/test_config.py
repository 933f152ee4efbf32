"""Settings: from the environment and from flags, and every mistake by its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from statushub.hub.config import LOCAL_ORIGINS, Config, load
from statushub.hub.model.errors import ConfigError
from tests.support.tokens import SECRET


def test_defaults_serve_loopback_with_a_file() -> None:
    """An empty environment is a sensible one."""
    config = load({"PATH": "/bin", "STATUSHUB_URL": "http://hub", "STATUSHUB_TOKEN": "t"})
    assert (config.host, config.port, config.broker) == ("127.0.0.1", 8000, "sqlite:///statushub.db")
    assert config.cors_origins == LOCAL_ORIGINS


def test_flags_stand_before_the_environment() -> None:
    """A flag that was given wins; one that was not leaves the environment's word."""
    environ = {"STATUSHUB_PORT": "9000", "STATUSHUB_HEARTBEAT": "2.5", "STATUSHUB_ACCESS_LOG": "yes"}
    config = load(environ, port=9001, host=None)
    assert (config.port, config.host, config.heartbeat, config.access_log) == (9001, "127.0.0.1", 2.5, True)


def test_origins_are_a_list_with_commas() -> None:
    """Blank places between commas are nothing."""
    assert load({"STATUSHUB_CORS_ORIGINS": "https://a, https://b:*,"}).cors_origins == ("https://a", "https://b:*")


@pytest.mark.parametrize(
    ("environ", "overrides", "field"),
    [
        ({"STATUSHUB_PROT": "1"}, {}, "prot"),
        ({"STATUSHUB_PORT": "eight"}, {}, "port"),
        ({"STATUSHUB_INSECURE": "maybe"}, {}, "insecure"),
        ({}, {"prot": 1}, "prot"),
        ({}, {"port": 70_000}, "port"),
        ({}, {"heartbeat": 0.0}, "heartbeat"),
        ({}, {"retention": 0.0}, "retention"),
        ({}, {"grace": -1.0}, "grace"),
        ({}, {"stall_timeout": 0.0}, "stall_timeout"),
        ({}, {"max_streams": 0}, "max_streams"),
        ({}, {"workers": 0}, "workers"),
        ({}, {"workers": 2}, "workers"),
        ({}, {"workers": 2, "broker": "memory:"}, "workers"),
        ({}, {"log_level": "loud"}, "log_level"),
        ({}, {"max_streams_tenant": 0}, "max_streams_tenant"),
        ({}, {"max_streams_sub": 0}, "max_streams_sub"),
        ({}, {"max_streams_address": 0}, "max_streams_address"),
        ({}, {"publish_rate": 0.0}, "publish_rate"),
        ({}, {"max_body": 0}, "max_body"),
        ({}, {"max_event": 100_000}, "max_event"),
        ({}, {"max_name": 129}, "max_name"),
        ({}, {"max_head": 10}, "max_head"),
        ({}, {"request_timeout": 0.0}, "request_timeout"),
        ({}, {"ticket_ttl": 0.0}, "ticket_ttl"),
        ({}, {"cookie": "a b"}, "cookie"),
        ({"STATUSHUB_SECRET": "x" * 31}, {}, "secret"),
        ({"STATUSHUB_TICKET_SECRET": "x" * 31}, {}, "ticket_secret"),
        ({"STATUSHUB_SECRET": SECRET}, {"secret_file": "/nowhere"}, "secret_file"),
        ({}, {"secret_file": "/nowhere"}, "secret_file"),
        ({}, {"public_key": "a.pem", "jwks_url": "https://a"}, "jwks_url"),
        ({}, {"jwks_url": "http://issuer.example.com/keys"}, "jwks_url"),
        ({}, {"jwks_url": "ftp://issuer.example.com/keys"}, "jwks_url"),
        ({}, {"public_key": "a.pem", "broker": "redis://localhost"}, "ticket_secret"),
        ({}, {"host": "0.0.0.0"}, "host"),
        ({}, {"host": "example.org"}, "host"),
    ],
)
def test_a_wrong_setting_is_named(environ: dict[str, str], overrides: dict[str, Any], field: str) -> None:
    """`ConfigError` says which."""
    with pytest.raises(ConfigError) as caught:
        load(environ, **overrides)
    assert caught.value.field == field
    assert field.upper() in caught.value.message.upper()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.3.2.1", "::1"])
def test_loopback_needs_no_permission(host: str) -> None:
    """Whatever its spelling."""
    assert load({}, host=host).host == host


def test_other_addresses_need_a_word() -> None:
    """`insecure` says that one knows."""
    assert load({}, host="0.0.0.0", insecure=True).host == "0.0.0.0"


def test_a_key_lets_others_in() -> None:
    """Whoever has to prove who they are may come from anywhere."""
    assert load({"STATUSHUB_SECRET": SECRET}, host="0.0.0.0").auth_required
    assert load({}, public_key="a.pem", host="0.0.0.0").auth_required
    assert load({}, jwks_url="https://issuer.example.com/keys", host="0.0.0.0").auth_required
    assert not load({}).auth_required


def test_what_refuses_a_weak_secret_says_how_to_make_a_strong_one() -> None:
    """And so does what refuses an address that others can reach."""
    for environ, overrides in (({"STATUSHUB_SECRET": "weak"}, {}), ({}, {"host": "0.0.0.0"})):
        with pytest.raises(ConfigError, match="openssl rand -hex 32"):
            load(environ, **overrides)


def test_a_secret_is_read_from_its_file(tmp_path: Path) -> None:
    """Without the line break that editors leave."""
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\n")
    assert load({"STATUSHUB_SECRET_FILE": str(file)}).secret == SECRET


def test_keys_are_fetched_from_this_machine_without_tls() -> None:
    """Nobody stands between."""
    assert load({}, jwks_url="http://127.0.0.1:9/keys").auth_required


def test_several_workers_need_redis() -> None:
    """They share nothing else."""
    assert load({}, workers=2, broker="redis://localhost").workers == 2
    assert Config().workers == 1
