"""The address of a hub, checked."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from urllib.parse import quote, unquote_to_bytes, urlsplit

import httpx
import msgspec

from statushub.hub.model.errors import ConfigError
from statushub.hub.model.redaction import redacted


class HubAddress(msgspec.Struct, frozen=True, kw_only=True):
    """A hub's URL, with the path prefix of a proxy, if there is one; `name` is the URL without secrets."""

    url: str
    name: str

    def __repr__(self) -> str:
        return f"HubAddress({self.name!r})"

    def at(self, path: str, query: Iterable[tuple[str, str]] = ()) -> httpx.URL:
        """The URL of a route; `path` is percent-encoded, and `query` is not."""
        encoded = "&".join(f"{name}={quote(value, safe='')}" for name, value in query)
        return httpx.URL(f"{self.url}{path}{'?' if encoded else ''}{encoded}")

    @property
    def basic(self) -> str | None:
        """The `Authorization` for the user and password in the URL, None where it has none."""
        userinfo = httpx.URL(self.url).userinfo
        return f"Basic {b64encode(unquote_to_bytes(userinfo)).decode()}" if userinfo else None


def hub_address(url: str) -> HubAddress:
    """The address in `url`. Raises `ConfigError` where it can never be used, without a cause, which may quote a
    password."""
    name = redacted(url).rstrip("/")
    try:
        parts, parsed = urlsplit(url), httpx.URL(url.rstrip("/"))
        host, port = parts.hostname or "", parts.port
        host.encode("idna")
    except (ValueError, httpx.InvalidURL):
        host, port = "", 0
    if not host or port == 0:
        raise ConfigError(f"the address {name!r} is malformed: expected http://host:port", field="url")
    if parts.query or parts.fragment:
        raise ConfigError(f"the address {name!r} of a hub has no options: expected http://host:port", field="url")
    return HubAddress(url=str(parsed), name=name)
