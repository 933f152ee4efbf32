"""Addresses to publish to, and the transport for each.

A transport's client library is imported only when an address needs it: httpx and redis-py each take a quarter of a
second.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from statushub.hub.model import variables
from statushub.hub.model.errors import ConfigError
from statushub.hub.model.names import DEFAULT_TENANT
from statushub.hub.model.redaction import hides_authority, redacted

if TYPE_CHECKING:
    from statushub.producers.transports import Transport

HTTP_SCHEMES = ("http", "https")


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where states are sent, and how often; `rate` is in states a second of each content."""

    url: str
    tenant: str
    token: str | None
    rate: float

    def __repr__(self) -> str:
        return f"Target({redacted(self.url)!r}, tenant={self.tenant!r})"

    def open(self) -> Transport:
        """A transport. It connects when it sends. Raises `ConfigError` for an address that can never be used."""
        return open_transport(self.url, tenant=self.tenant, token=self.token)


def open_transport(url: str, *, tenant: str, token: str | None) -> Transport:
    """The transport for `url`. Raises `ConfigError` where there is none."""
    # Imported here, because who asks for `settings` parses no address.
    from urllib.parse import urlsplit

    if hides_authority(url):
        raise ConfigError(
            "the address to publish to is ambiguous: in a user name or a password, '/', '?' and '#' must be written "
            "as %2F, %3F and %23, and an '@' behind the host as %40",
            field="url",
        )
    try:
        scheme = urlsplit(url).scheme
    except ValueError:
        # Without the cause, which may quote a password.
        raise ConfigError("the address to publish to is malformed: expected http://host:port", field="url") from None
    if scheme in HTTP_SCHEMES:
        from statushub.producers.http_transport import HttpTransport

        return HttpTransport(url, token=token)
    if scheme in ("sqlite", "memory"):
        raise ConfigError(
            f"a {scheme}: broker belongs to its hub: publish to the hub's address, such as http://127.0.0.1:8000",
            field="url",
        )
    from statushub.hub.brokers.redis.url import SCHEMES

    if scheme in SCHEMES:
        from statushub.producers.redis_transport import RedisTransport

        return RedisTransport(url, tenant=tenant)
    if "://" not in url:
        # `localhost:8000` seems to have one.
        raise ConfigError(
            f"cannot publish to {scheme or 'this address'}: it has no scheme, such as http:// or redis://", field="url"
        )
    allowed = ", ".join((*SCHEMES, *HTTP_SCHEMES))
    raise ConfigError(f"cannot publish to {scheme or 'this address'}: the schemes are {allowed}", field="url")


def settings(environ: Mapping[str, str]) -> dict[str, str]:
    """The `url`, `tenant` and `token` that `environ` configures, or their defaults."""
    return {
        "url": environ.get(variables.URL) or variables.DEFAULT_URL,
        "tenant": environ.get(variables.TENANT) or DEFAULT_TENANT,
        "token": environ.get(variables.TOKEN, ""),
    }
