"""The opening handshake of a WebSocket, as its server answers it (RFC 6455, section 4.2)."""

from __future__ import annotations

import binascii
from base64 import b64decode
from typing import Final

from starlette.datastructures import Headers
from websockets.utils import accept_key

from statushub.hub.model.errors import BadHandshake, UpgradeRequired

SUBPROTOCOL: Final = "statushub"
"""The subprotocol that is spoken. A client that offers any must offer this one: no other is ever chosen."""

BEARER: Final = "bearer."
"""What precedes a token in the list of subprotocols, the only header that a page can set."""

KEY_BYTES: Final = 16


def subprotocols(headers: Headers) -> list[str]:
    """What a client offers."""
    lines = headers.getlist("sec-websocket-protocol")
    return [offer.strip() for line in lines for offer in line.split(",") if offer.strip()]


def offered_token(headers: Headers) -> str | None:
    """The token among the subprotocols; None where there is none. Raises `BadHandshake` where there are several."""
    tokens = [offer.removeprefix(BEARER) for offer in subprotocols(headers) if offer.startswith(BEARER)]
    if len(tokens) > 1:
        raise BadHandshake(f"{BEARER}<token> is offered {len(tokens)} times", field="sec-websocket-protocol")
    return tokens[0] if tokens else None


def chosen_subprotocol(headers: Headers) -> str | None:
    """The subprotocol to answer with; None where the client offers none. Raises `BadHandshake`."""
    offers = subprotocols(headers)
    if offers and SUBPROTOCOL not in offers:
        # Browsers fail a socket for which they offered some and none was chosen.
        raise BadHandshake(f"the subprotocols must include {SUBPROTOCOL}", field="sec-websocket-protocol")
    return SUBPROTOCOL if offers else None


def switching(headers: Headers) -> bytes:
    """The head of the response that accepts the upgrade.

    Raises `UpgradeRequired` where the request asks for none, `BadHandshake` where it is wrong.
    """
    if "websocket" not in _tokens(headers, "upgrade") or "upgrade" not in _tokens(headers, "connection"):
        raise UpgradeRequired("this route speaks WebSocket: send an upgrade to it")
    if headers.get("sec-websocket-version") != "13":
        raise BadHandshake("the version of WebSocket must be 13", field="sec-websocket-version")
    if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
        raise BadHandshake("a request to upgrade has no body", field="content-length")
    keys = headers.getlist("sec-websocket-key")
    if len(keys) != 1 or not _is_key(keys[0]):
        raise BadHandshake(f"the key must be {KEY_BYTES} bytes in base64", field="sec-websocket-key")
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept_key(keys[0])}",
    ]
    if (chosen := chosen_subprotocol(headers)) is not None:
        lines.append(f"Sec-WebSocket-Protocol: {chosen}")
    return "\r\n".join([*lines, "", ""]).encode()


def _tokens(headers: Headers, name: str) -> list[str]:
    return [token.strip().lower() for line in headers.getlist(name) for token in line.split(",")]


def _is_key(text: str) -> bool:
    try:
        return len(b64decode(text, validate=True)) == KEY_BYTES
    except (binascii.Error, ValueError):
        return False
