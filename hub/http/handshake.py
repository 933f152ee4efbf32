"""The opening handshake of a WebSocket, as its server answers it (RFC 6455, section 4.2)."""

from __future__ import annotations

import binascii
import hashlib
from typing import Final

from starlette.datastructures import Headers

from statushub.hub.http.head import HeaderList
from statushub.hub.model.errors import BadHandshake, UpgradeRequired

SUBPROTOCOL: Final = "statushub"
"""The subprotocol that is spoken. A client that offers any must offer this one: no other is ever chosen."""

BEARER: Final = "bearer."
"""What precedes a token in the list of subprotocols, the only header that a page can set."""

KEY_BYTES: Final = 16

KEY_SUFFIX: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""What is hashed behind the key, to show that the server knows the protocol."""

SWITCH: Final = ((b"Upgrade", b"websocket"), (b"Connection", b"Upgrade"))


class Handshake:
    """What a client asks for when it opens a socket."""

    __slots__ = ("_said", "subprotocols")

    def __init__(self, headers: Headers) -> None:
        said = dict(headers.raw)
        if len(said) < len(headers.raw):
            # Fields that are there several times are one list (RFC 9110, section 5.2).
            said = {}
            for name, value in headers.raw:
                said[name] = b"%b,%b" % (said[name], value) if name in said else value
        self._said = said
        # What it offers.
        self.subprotocols = self._listed(b"sec-websocket-protocol")

    def offered_token(self) -> str | None:
        """The token among the subprotocols; None where there is none. Raises `BadHandshake` where there are several."""
        tokens = [offer.removeprefix(BEARER) for offer in self.subprotocols if offer.startswith(BEARER)]
        if len(tokens) > 1:
            raise BadHandshake(f"{BEARER}<token> is offered {len(tokens)} times", field="sec-websocket-protocol")
        return tokens[0] if tokens else None

    def chosen_subprotocol(self) -> str | None:
        """The subprotocol to answer with; None where the client offers none. Raises `BadHandshake`."""
        if self.subprotocols and SUBPROTOCOL not in self.subprotocols:
            # Browsers fail a socket for which they offered some and none was chosen.
            raise BadHandshake(f"the subprotocols must include {SUBPROTOCOL}", field="sec-websocket-protocol")
        return SUBPROTOCOL if self.subprotocols else None

    def accept(self) -> HeaderList:
        """The headers of the response that accepts the upgrade, which has no others.

        Raises `UpgradeRequired` where the request asks for none, `BadHandshake` where it is wrong.
        """
        said = self._said
        if not (self._has(b"upgrade", b"websocket") and self._has(b"connection", b"upgrade")):
            raise UpgradeRequired("this route speaks WebSocket: send an upgrade to it")
        if said.get(b"sec-websocket-version") != b"13":
            raise BadHandshake("the version of WebSocket must be 13", field="sec-websocket-version")
        if said.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in said:
            raise BadHandshake("a request to upgrade has no body", field="content-length")
        key = said.get(b"sec-websocket-key", b"")
        if not _is_key(key):
            raise BadHandshake(f"the key must be {KEY_BYTES} bytes in base64", field="sec-websocket-key")
        accepted = [*SWITCH, (b"Sec-WebSocket-Accept", _answer(key))]
        if (chosen := self.chosen_subprotocol()) is not None:
            accepted.append((b"Sec-WebSocket-Protocol", chosen.encode()))
        return accepted

    def _has(self, name: bytes, token: bytes) -> bool:
        said = self._said.get(name, b"").lower()
        # Most clients say nothing else.
        return said == token or token in [item.strip() for item in said.split(b",")]

    def _listed(self, name: bytes) -> list[str]:
        value = self._said.get(name)
        if value is None:
            return []
        return [stripped for item in value.decode("latin-1").split(",") if (stripped := item.strip())]


def _is_key(key: bytes) -> bool:
    try:
        return len(binascii.a2b_base64(key, strict_mode=True)) == KEY_BYTES
    except binascii.Error:
        return False


def _answer(key: bytes) -> bytes:
    # The function of the library `websockets` goes through text and back, for each viewer of a restarted hub.
    digest = hashlib.sha1(key + KEY_SUFFIX, usedforsecurity=False).digest()
    return binascii.b2a_base64(digest, newline=False)
