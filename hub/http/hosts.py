"""The names that a hub answers to: the defence against DNS rebinding."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from statushub.hub.model.addresses import is_loopback

ANY: Final = "*"
"""Listed, it stands for every name."""

HOSTS_CACHED: Final = 64
"""Host fields whose answer is remembered: a machine has few names."""

_FIELD = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^:\[\]]*))(?::[0-9]*)?")
"""A Host field (RFC 9110, section 7.2): an IPv6 address in brackets or another host, and perhaps a port."""


class Hosts:
    """The names by which requests may call the hub.

    A page of any site can point its own name to the hub's address, and then is of the same origin as the hub (DNS
    rebinding); its requests have its name as their host. Where no token is required, it could read and publish
    everything.
    """

    def __init__(self, listed: Sequence[str], *, address: str, auth_required: bool) -> None:
        """`listed` are further names, `address` is the one that the hub listens on.

        Loopback names are always answered. Where none is listed: with a key every name is; without one, and off
        loopback, every IP address is, because an address cannot be rebound.
        """
        self._listed = frozenset(_normal(name.strip("[]")) for name in listed)
        self._all = ANY in listed or (not listed and auth_required)
        self._addresses = not listed and not is_loopback(address)
        self._known = lru_cache(HOSTS_CACHED)(self._answer)

    def answer(self, field: bytes) -> bool:
        """Whether a request with this Host field is answered; it is empty where the request has none."""
        return self._all or self._known(field)

    def _answer(self, field: bytes) -> bool:
        name = _name(field)
        return is_loopback(name) or name in self._listed or (self._addresses and _is_address(name))


def _name(field: bytes) -> str:
    """The name in a Host field; empty where the field is not one."""
    match = _FIELD.fullmatch(field.decode("latin-1"))
    return _normal(match[1] or match[2]) if match else ""


def _normal(name: str) -> str:
    # A name may end in a dot, the root.
    return name.removesuffix(".").lower()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
