"""A hub at a plain address, for a program that publishes one event and ends.

A command is a process, whose time is that of its imports: a socket and h11 take a fifth of what httpx, asyncio and TLS
take. Whatever needs those (https, a proxy, a user in the address) is not plain, and goes through a producer.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

import h11

from statushub.hub.model.errors import BrokerUnavailable
from statushub.hub.model.publication import Publication
from statushub.hub.model.receipt import Receipt
from statushub.producers import publish_call

READ_BYTES: Final = 64 * 1024

HTTP_PORT: Final = 80

_LABEL: Final = "[A-Za-z0-9-]{1,63}"
_PLAIN: Final = re.compile(
    rf"http://(?P<host>{_LABEL}(?:\.{_LABEL})*)(?::(?P<port>[1-9][0-9]{{0,4}}))?(?P<path>(?:/[\w~-][\w~.-]*)*)/*",
    re.ASCII,
)
"""An address without a user, options, or an escape: it means the same to each parser."""

_LOOPBACK: Final = re.compile(r"localhost|127\.[0-9.]+")

PROXIES: Final = frozenset({"http_proxy", "all_proxy"})
"""Variables, in either case, that name a proxy for plain addresses."""


class PlainHub:
    """Publishes one event with `POST /api/publish`; the token says the tenant."""

    def __init__(self, host: str, port: int, path: str, token: str | None) -> None:
        """`path` is the prefix of the hub's routes. Raises `ConfigError` for a token that no header can hold."""
        # As bytes: a name that is text would load the tables of international names.
        self._address = host.encode(), port
        self._path = path
        authority = host if port == HTTP_PORT else f"{host}:{port}"
        self._name = f"http://{authority}{path}"
        self._headers = {
            "Host": authority,
            "Connection": "close",
            **publish_call.HEADERS,
            **({} if token is None else publish_call.bearer(token)),
        }

    def publish(self, publication: Publication) -> Receipt:
        """Publish immediately and once. Raises as `Producer.publish`."""
        try:
            answer, content = self._exchange(publish_call.body([publication]))
        except (OSError, h11.ProtocolError) as error:
            # The words for it need httpx and TLS, which only a failure has to wait for.
            from statushub.producers.connections import reason

            raise BrokerUnavailable(f"{self._name} {reason(error)}") from None
        if answer.status_code != 200:
            from statushub.producers.failed_call import failed

            pause = next(
                (value.decode("ascii", "replace") for name, value in answer.headers if name == b"retry-after"), None
            )
            raise failed(self._name, answer.status_code, answer.reason.decode("ascii", "replace"), content, pause)
        return publish_call.receipts(content, 1, self._name)[0]

    def _exchange(self, body: bytes) -> tuple[h11.Response, bytes]:
        """The answer to the call, and its body. Raises `OSError` and `h11.ProtocolError`."""
        until = time.monotonic() + publish_call.CALL_SECONDS
        http = h11.Connection(h11.CLIENT)
        headers = [*self._headers.items(), ("Content-Length", str(len(body)))]
        call = h11.Request(method="POST", target=f"{self._path}{publish_call.PATH}", headers=headers)
        said = [http.send(it) for it in (call, h11.Data(body), h11.EndOfMessage())]
        # The lookup of a name takes as long as the system's resolver lets it.
        with socket.create_connection(self._address, publish_call.ANSWER_SECONDS) as connection:  # type: ignore[arg-type]
            # A server that refuses the call may close before it has read it, and its answer says why.
            with suppress(ConnectionError):
                connection.sendall(b"".join(it for it in said if it))
            answer: h11.Response | None = None
            content = bytearray()
            while True:
                event = http.next_event()
                if event is h11.NEED_DATA:
                    left = until - time.monotonic()
                    if left <= 0:
                        raise TimeoutError
                    connection.settimeout(min(left, publish_call.ANSWER_SECONDS))
                    http.receive_data(connection.recv(READ_BYTES))
                elif isinstance(event, h11.Response):
                    answer = event
                elif isinstance(event, h11.Data):
                    content += event.data
                elif isinstance(event, h11.EndOfMessage) and answer is not None:
                    return answer, bytes(content)
                elif not isinstance(event, h11.InformationalResponse):
                    raise h11.RemoteProtocolError("the connection was closed")


def plain_hub(url: str, token: str | None, environ: Mapping[str, str]) -> PlainHub | None:
    """The hub at a plain address; None for any other address, and where `environ` names a proxy. Raises `ConfigError`
    for a token that no header can hold."""
    match = _PLAIN.fullmatch(url)
    if match is None:
        return None
    host, port = match["host"], int(match["port"] or HTTP_PORT)
    proxied = any(value and name.lower() in PROXIES for name, value in environ.items())
    if port > 65_535 or (proxied and not _LOOPBACK.fullmatch(host)):
        return None
    return PlainHub(host, port, match["path"], token)
