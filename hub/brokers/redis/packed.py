"""Connections whose commands are packed by hiredis, where it is installed: redis-py does so only for its synchronous
ones, and packing in Python is a fifth of what publishing costs. Those to the master that Sentinel names, and to a
cluster's nodes, stay redis-py's: their pools choose the classes.

Public but undocumented parts of redis-py used here: `pack_command` of a connection, which is replaced, and
`HiredisRespSerializer`, which packs as it does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection
from redis.connection import HiredisRespSerializer
from redis.utils import HIREDIS_AVAILABLE

_pack = HiredisRespSerializer().pack


class _Packed(AbstractConnection):
    def pack_command(self, *args: Any) -> list[bytes]:
        pieces: list[bytes] = _pack(*args)
        return pieces


class PackedConnection(_Packed, Connection):
    """Over TCP."""


class PackedSSLConnection(_Packed, SSLConnection):
    """Over TLS."""


class PackedUnixConnection(_Packed, UnixDomainSocketConnection):
    """Over a Unix socket."""


_KINDS: Final[Mapping[type[AbstractConnection], type[AbstractConnection]]] = {
    Connection: PackedConnection,
    SSLConnection: PackedSSLConnection,
    UnixDomainSocketConnection: PackedUnixConnection,
}


def packed(kind: type[AbstractConnection]) -> type[AbstractConnection]:
    """What takes the place of this class of redis-py's."""
    return _KINDS[kind] if HIREDIS_AVAILABLE else kind
