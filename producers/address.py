"""Addresses to publish to, and the transport for each.

A transport's client library is imported only when an address needs it: httpx and redis-py each take a quarter of a
second.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from statushub.hub.model.errors import ConfigError
from statushub.producers.transports import Transport

HTTP_SCHEMES = ("http", "https")


def open_transport(url: str, *, tenant: str, token: str | None) -> Transport:
    """The transport for `url`. Raises `ConfigError` where there is none."""
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
    allowed = ", ".join((*SCHEMES, *HTTP_SCHEMES))
    raise ConfigError(
        f"cannot publish to {scheme or 'an address without a scheme'}: the schemes are {allowed}", field="url"
    )
