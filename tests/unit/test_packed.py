"""Commands as hiredis packs them, and as redis-py does."""

from __future__ import annotations

from typing import Any

import pytest
from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection

from statushub.hub.brokers.redis.packed import packed
from statushub.hub.brokers.redis.topology import StandaloneTopology
from statushub.hub.brokers.redis.url import parse_redis_url

KINDS = (Connection, SSLConnection, UnixDomainSocketConnection)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "command",
    [
        ("PING",),
        ("SET", "größe", b"\x00\xff\r\n", 0, -1, 2**70, 1.5, ""),
        ("FUNCTION LOAD", "REPLACE", "x" * 100_000),
        (b"CONFIG GET", "maxmemory"),
        ("FCALL", "f", 1, "k", bytearray(b"a"), memoryview(b"b")),
    ],
)
def test_commands_are_packed_as_redis_py_packs_them(kind: type[AbstractConnection], command: tuple[Any, ...]) -> None:
    """Byte for byte, whatever they are made of."""
    assert b"".join(packed(kind)().pack_command(*command)) == b"".join(kind().pack_command(*command))


def test_what_is_no_text_raises() -> None:
    """Half of a surrogate pair cannot be sent."""
    with pytest.raises(UnicodeEncodeError):
        packed(Connection)().pack_command("SET", "\ud800")


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("redis://localhost", Connection),
        ("rediss://localhost", SSLConnection),
        ("unix:///tmp/redis.sock", UnixDomainSocketConnection),
    ],
)
def test_a_server_is_spoken_to_by_its_own_kind(url: str, kind: type[AbstractConnection]) -> None:
    """Each scheme has connections of its own, with hiredis and without."""
    topology = StandaloneTopology(parse_redis_url(url), 1.0)
    assert type(topology.connection("")) is packed(kind)
    assert issubclass(packed(kind), kind)
    assert packed(kind) is not kind


def test_without_hiredis_redis_py_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK is installed without it."""
    monkeypatch.setattr("statushub.hub.brokers.redis.packed.HIREDIS_AVAILABLE", False)
    assert [packed(kind) for kind in KINDS] == [*KINDS]
