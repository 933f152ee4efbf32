"""Connections to a hub, as the environment wants them: its proxy and its certificates, whatever their state."""

from __future__ import annotations

import ipaddress
import logging
import os
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Final, TypeVar
from urllib.request import getproxies, proxy_bypass

import httpx

from statushub.hub.model.errors import BrokerUnavailable

LOCAL_NAMES: Final = ("localhost", ".localhost")
"""Names of this machine (RFC 6761, 6.3)."""

T = TypeVar("T")

logger = logging.getLogger(__name__)


def open_connections(url: httpx.URL, name: str) -> httpx.AsyncBaseTransport:
    """Connections to `url`, called `name` in messages. Raises `BrokerUnavailable` where its proxy cannot be used."""
    return _opened(httpx.AsyncHTTPTransport, url, name)


def open_blocking_connections(url: httpx.URL, name: str) -> httpx.BaseTransport:
    """As `open_connections`, for ordinary code."""
    return _opened(httpx.HTTPTransport, url, name)


def reason(error: BaseException) -> str:
    """What has gone wrong, without the text of a library, which may quote a secret."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"has a certificate that is not trusted: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return f"cannot be reached by TLS: {cause.reason or type(cause).__name__}"
        if isinstance(cause, socket.gaierror | UnicodeError):
            return "cannot be found: its name is not resolved"
        if isinstance(cause, OSError) and cause.errno:
            return f"cannot be reached: {os.strerror(cause.errno)}"
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return "does not answer in time"
    if isinstance(error, httpx.ProxyError):
        return "cannot be reached: the proxy refuses"
    if isinstance(error, httpx.ConnectError):
        return "cannot be reached"
    return "closed the connection, or does not speak HTTP"


def _opened(kind: Callable[..., T], url: httpx.URL, name: str) -> T:
    proxy = _proxy(url)
    # Without TLS no certificates are read, which takes 50 ms, and may fail.
    verify = _certificates() if url.scheme == "https" else False
    try:
        return kind(verify=verify, proxy=proxy, trust_env=False)
    except ImportError:
        raise BrokerUnavailable(
            f"{name}: a SOCKS proxy of the environment leads there, which needs: pip install 'httpx[socks]'"
        ) from None
    except (ValueError, httpx.InvalidURL, OSError):
        raise BrokerUnavailable(f"{name}: the proxy of the environment is malformed") from None


def _proxy(url: httpx.URL) -> str | None:
    """The proxy of the environment for `url`; none for this machine's own addresses."""
    if _is_loopback(url.host):
        return None
    proxies = getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(url.netloc.decode("ascii")):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _certificates() -> ssl.SSLContext:
    try:
        return httpx.create_ssl_context()
    except (OSError, ValueError) as error:
        named = [it for it in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(it)]
        logger.warning("%s cannot be read (%s); using the usual certificates", named, type(error).__name__)
        return httpx.create_ssl_context(trust_env=False)


def _is_loopback(host: str) -> bool:
    name = host.rstrip(".").lower()
    if name == LOCAL_NAMES[0] or name.endswith(LOCAL_NAMES[1]):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        inner = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else None
        error = inner or error.__cause__ or error.__context__
