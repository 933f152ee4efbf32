"""Addresses in settings: origins, hosts, proxies and URLs. Each check raises `ValueError` with what is wrong, in words
that fit behind the address."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

ANY: Final = "*"
"""Every origin, every proxy."""

DEFAULT_PORTS: Final[Mapping[str, str]] = {"http": "80", "https": "443"}
"""Ports that an origin does not name (RFC 6454, section 6.2)."""

HOST_CHARACTERS: Final = 253
"""Longest host name (RFC 1035, section 2.3.4)."""

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_AUTHORITY: Final = re.compile(r"(\[.*\]|[^:]*)(?::(.*))?", re.DOTALL)
_NAME: Final = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?")


def check_origin(text: str) -> None:
    """An origin as browsers send it, `https://app.example.com`, perhaps with the port `*` for any; or `*`."""
    if text == ANY:
        return
    match = _SCHEME.fullmatch(text)
    if match is None:
        raise ValueError("has no scheme: an origin is like https://app.example.com")
    scheme, rest = match.groups()
    if set(rest) & set("/?#@\\"):
        raise ValueError("has more than a scheme, a host and a port: an origin is like https://app.example.com")
    host, port = _parts(rest)
    if not rest.isascii():
        raise ValueError("must be in ASCII, as browsers send it: a name like bücher.example is xn--bcher-kva.example")
    if "*" in host:
        raise ValueError("has a '*' in its host: list each host, or '*' alone for any origin")
    _check_name(host)
    if port not in (None, ANY) and not _is_port(port):
        raise ValueError("has an invalid port: it is from 1 to 65535, or '*' for any")
    if text != text.lower():
        raise ValueError(f"must be in small letters, as browsers send it: {text.lower()}")
    if port is not None and DEFAULT_PORTS.get(scheme) == port:
        raise ValueError(f"names the default port of {scheme}, which browsers leave out: {scheme}://{host}")


def check_listener(text: str) -> None:
    """An address to listen on, without a scheme, brackets or a port."""
    if not text.strip():
        raise ValueError("is empty: an address to listen on is like 127.0.0.1, or 0.0.0.0 for all")
    if ANY in text:
        raise ValueError("is no address: 0.0.0.0 listens on all of IPv4, :: on all")
    if "/" in text:
        raise ValueError("has a scheme or a path: an address to listen on is like 127.0.0.1")
    if text.startswith("["):
        raise ValueError("has brackets: an IPv6 address is given without them")
    if ":" in text:
        if not _is_address(text):
            raise ValueError("has a port, which is a setting of its own, or is no IPv6 address")
        return
    _check_name(text)


def check_proxy(text: str) -> None:
    """An address, a network such as 10.0.0.0/8, or `*`. Proxies are known by their addresses, never by names."""
    if text == ANY:
        return
    try:
        ipaddress.ip_network(text) if "/" in text else ipaddress.ip_address(text)
    except ValueError as error:
        raise ValueError("is neither an IP address, nor a network like 10.0.0.0/8, nor '*'") from error


def check_base(text: str) -> None:
    """A URL, or a path of the same origin, below which files are: `https://cdn.example.com/videos/` or `/videos/`."""
    try:
        url = urlsplit(text)
        usable = bool(url.hostname) and url.scheme in DEFAULT_PORTS if url.scheme else not url.netloc
        port = url.port
    except ValueError as error:
        raise ValueError("is malformed: expected https://host/path/ or /path/") from error
    if not usable or not url.path.startswith("/"[: not url.scheme]) or port == 0 or not _is_plain(text):
        raise ValueError("is neither a URL like https://cdn.example.com/videos/ nor a path like /videos/")
    if url.query or url.fragment or url.username is not None:
        raise ValueError("has a user, a query or a fragment, which no file below it would have")
    if url.hostname and ":" not in url.hostname:
        _check_name(url.hostname)


def check_key_address(text: str) -> None:
    """A URL to fetch keys from. An attacker who can change the answer could sign tokens, so it has TLS, or is local."""
    try:
        url = urlsplit(text)
        host, port = url.hostname, url.port
    except ValueError as error:
        raise ValueError("is malformed: expected https://host/path") from error
    if not host or port == 0 or not _is_plain(text):
        raise ValueError("is malformed: expected https://host/path")
    if url.scheme != "https" and not (url.scheme == "http" and is_loopback(host)):
        raise ValueError("must begin with https://, because an attacker who can change the answer could sign tokens")


def is_loopback(host: str) -> bool:
    """Whether `host` is a loopback address or its name, which other machines cannot reach."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _parts(authority: str) -> tuple[str, str | None]:
    match = _AUTHORITY.fullmatch(authority)
    return (match[1], match[2]) if match else (authority, None)


def _check_name(host: str) -> None:
    if host.startswith("["):
        if not _is_address(host[1:-1]):
            raise ValueError("has an invalid IPv6 address")
    elif not host:
        raise ValueError("has no host")
    elif _NAME.fullmatch(host) is None or len(host) > HOST_CHARACTERS:
        raise ValueError("has an invalid host: a name has only letters, digits, '.', '-' and '_'")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_port(text: str | None) -> bool:
    return text is not None and re.fullmatch("[1-9][0-9]{0,4}", text) is not None and int(text) <= 65_535


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text
