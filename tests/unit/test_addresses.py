"""Addresses in settings: which are taken, and what is said of the others."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from statushub.hub.config import LOCAL_ORIGINS, LOCAL_PROXIES
from statushub.hub.model.addresses import check_base, check_key_address, check_listener, check_origin, check_proxy

Check = Callable[[str], None]

GOOD: dict[Check, tuple[str, ...]] = {
    check_origin: (
        *LOCAL_ORIGINS,
        "*",
        "https://app.example.com",
        "https://app.example.com:8443",
        "https://app.example.com:*",
        "http://localhost:3000",
        "http://[::1]:3000",
        "http://10.0.0.7",
        "https://xn--bcher-kva.example",
        "http://my_service.internal",
        "capacitor://localhost",
        "chrome-extension://abcdefghijklmnop",
    ),
    check_listener: ("127.0.0.1", "0.0.0.0", "::", "::1", "fe80::1%eth0", "localhost", "hub.example.com", "hub_1"),
    check_proxy: (*LOCAL_PROXIES, "*", "10.0.0.0/8", "fd00::/8"),
    check_base: ("https://cdn.example.com/videos/", "https://cdn.example.com", "http://[::1]:9000/a", "/", "/videos/"),
    check_key_address: (
        "https://issuer.example.com/keys",
        "http://127.0.0.1:9/keys",
        "http://localhost/k",
        "https://a:1/",
    ),
}

BAD: dict[Check, dict[str, str]] = {
    check_origin: {
        "example.com": "no scheme",
        "": "no scheme",
        "null": "no scheme",
        "//example.com": "no scheme",
        " https://a.example": "no scheme",
        "https://a.example ": "invalid host",
        "https://a.example\n": "invalid host",
        "https://": "no host",
        "https://:8443": "no host",
        "https://a.example/": "more than",
        "https://a.example/app": "more than",
        "https://a.example?x=1": "more than",
        "https://a.example#x": "more than",
        "https://user@a.example": "more than",
        "https://user:secret@a.example": "more than",
        "https://*.example.com": "'*' in its host",
        "https://*": "'*' in its host",
        "https://a b": "invalid host",
        "https://-a.example": "invalid host",
        f"https://{'x' * 64}.example": "invalid host",
        "https://[::1": "IPv6",
        "https://[1.2.3]": "IPv6",
        "https://bücher.example": "ASCII",
        "https://App.example.com": "https://app.example.com",
        "HTTPS://app.example.com": "https://app.example.com",
        "https://a.example:443": "default port",
        "http://a.example:80": "default port",
        "https://a.example:0": "port",
        "https://a.example:70000": "port",
        "https://a.example:x": "port",
        "https://a.example:": "port",
    },
    check_listener: {
        "": "empty",
        " ": "empty",
        "*": "0.0.0.0",
        "http://0.0.0.0": "scheme",
        "[::1]": "brackets",
        "127.0.0.1:8000": "port",
        "localhost:8000": "port",
        "a b": "invalid host",
        "x" * 64: "invalid host",
        "a..b": "invalid host",
        "ü": "invalid host",
    },
    check_proxy: {
        "nginx": "neither",
        "": "neither",
        "10.0.0.1/8": "neither",
        "10.0.0.0/33": "neither",
        "http://a": "neither",
    },
    check_base: {
        "videos/": "neither",
        "//cdn.example.com/": "neither",
        "ftp://cdn.example.com/": "neither",
        "https:///videos": "neither",
        "javascript:alert(1)": "neither",
        "https://cdn example.com/": "neither",
        "https://cdn.example.com:99999/": "malformed",
        "https://[::1/": "malformed",
        "https://user:secret@cdn.example.com/": "user",
        "https://cdn.example.com/?a=b": "query",
        "/videos#a": "fragment",
        "https://a;b/": "invalid host",
    },
    check_key_address: {
        "issuer.example.com": "malformed",
        "https://": "malformed",
        "https://[::1": "malformed",
        "https://a:99999/": "malformed",
        "https://a b/": "malformed",
        "http://issuer.example.com/keys": "https://",
        "ftp://issuer.example.com/keys": "https://",
    },
}


@pytest.mark.parametrize(
    ("check", "text"),
    [(check, text) for check, texts in GOOD.items() for text in texts],
    ids=lambda part: part if isinstance(part, str) else part.__name__,
)
def test_a_valid_address_is_taken(check: Check, text: str) -> None:
    """Nothing is raised."""
    check(text)


@pytest.mark.parametrize(
    ("check", "text", "reason"),
    [(check, text, reason) for check, texts in BAD.items() for text, reason in texts.items()],
    ids=lambda part: ascii(part) if isinstance(part, str) else part.__name__,
)
def test_an_invalid_address_is_explained(check: Check, text: str, reason: str) -> None:
    """The sentence says what is wrong, and quotes nothing that may be a password."""
    with pytest.raises(ValueError, match=r"^(is|has|must|names) ") as caught:
        check(text)
    assert reason in str(caught.value)
    assert "secret" not in str(caught.value)
