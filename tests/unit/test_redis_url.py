"""The broker's URL: what each form means, and the errors of invalid ones."""

from __future__ import annotations

import pytest
from redis.asyncio.connection import SSLConnection

from statushub.hub.brokers.redis.broker import RedisBroker
from statushub.hub.brokers.redis.url import Kind, parse_redis_url
from statushub.hub.model.errors import ConfigError


def test_a_server_defaults_to_this_machine() -> None:
    """Host, port and database have the defaults of Redis."""
    parsed = parse_redis_url("redis://")
    assert (parsed.kind, parsed.nodes, parsed.db, parsed.options) == (Kind.SINGLE, (("localhost", 6379),), 0, {})


def test_a_server_with_all_parts() -> None:
    """Credentials are decoded; the database may be in the path or in the query."""
    parsed = parse_redis_url("rediss://me:p%40ss@[::1]:7000/3?ssl_cert_reqs=none&client_name=hub")
    assert (parsed.nodes, parsed.db) == ((("::1", 7000),), 3)
    assert parsed.options == {
        "username": "me",
        "password": "p@ss",
        "connection_class": SSLConnection,
        "ssl_cert_reqs": "none",
        "client_name": "hub",
    }
    assert parse_redis_url("redis://host?db=4").db == 4


def test_a_unix_socket() -> None:
    """The path is the socket's, so the database is in the query."""
    parsed = parse_redis_url("unix://:pw@/run/redis%20x.sock?db=2")
    assert (parsed.nodes, parsed.db, parsed.options["path"]) == ((), 2, "/run/redis x.sock")
    assert parsed.options["password"] == "pw"


def test_sentinels_of_a_service() -> None:
    """The password before the @ is the servers'; the Sentinels' password is in the query."""
    parsed = parse_redis_url("redis+sentinel://:pw@a,b:7000/main/2?sentinel_password=own")
    assert (parsed.kind, parsed.service, parsed.db) == (Kind.SENTINEL, "main", 2)
    assert parsed.nodes == (("a", 26379), ("b", 7000))
    assert parsed.options == {"password": "pw"}
    assert parsed.sentinel_options == {"username": None, "password": "own"}


def test_nodes_of_a_cluster() -> None:
    """Nodes without a port have the default port; database 0 may be named."""
    parsed = parse_redis_url("rediss+cluster://a:1,b/0")
    assert (parsed.kind, parsed.nodes, parsed.db) == (Kind.CLUSTER, (("a", 1), ("b", 6379)), 0)


def test_messages_name_the_server_without_credentials() -> None:
    """Messages and logs locate the server and show no credentials."""
    assert parse_redis_url("redis://me:s3cret@host:7000/1").where == "redis://host:7000/1"
    assert parse_redis_url("redis+cluster://me:s3cret@a,b").where == "redis+cluster://a,b"
    assert parse_redis_url("unix://me:s3cret@/run/redis.sock").where == "unix:///run/redis.sock"


@pytest.mark.parametrize(
    "url",
    [
        "http://host",
        "redis",
        "redis+nothing://s3cret@host",
        "unix+cluster:///run/redis.sock",
        "unix://",
        "redis://:s3cret@host:port",
        "redis://:s3cret@host:99999",
        "redis://:s3cret@host:0",
        "redis://:s3cret@:6379",
        "redis://:s3cret/x@host",
        "redis://:s3#cret@host",
        "redis://host/one",
        "redis://host/1/2",
        "redis://host?db=-1",
        "redis://host?db",
        "redis://host?retry_on_timeout=yes",
        "redis://host?ssl_check_hostname=s3cret",
        "redis://one,two",
        "redis://[::1",
        "redis+sentinel://host",
        "redis+sentinel://a,,b/main",
        "redis+cluster://host/1",
    ],
)
def test_the_error_of_a_malformed_url_shows_no_password(url: str) -> None:
    """The error names the setting, and neither it nor its causes quote a secret."""
    with pytest.raises(ConfigError) as caught:
        RedisBroker(url)
    error: BaseException | None = caught.value
    assert caught.value.field == "broker"
    while error is not None:
        assert "s3" not in str(error)
        assert "cret" not in str(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
