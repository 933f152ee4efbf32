"""Settings: from the environment and from flags, and every mistake by its name."""

from __future__ import annotations

from typing import Any

import pytest

from hub.config import LOCAL_ORIGINS, Config, load
from hub.errors import ConfigError


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


def test_several_workers_need_redis() -> None:
    """They share nothing else."""
    assert load({}, workers=2, broker="redis://localhost").workers == 2
    assert Config().workers == 1
