"""Centrifugo: its configuration, the paths of its streams, and their positions."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

import msgspec

HISTORY: Final = {"history_size": 1_000, "history_ttl": "600s", "force_recovery": True}
"""As many publications as nchan keeps of a channel. Deliveries cost as much without it: 15.3 and 15.4 µs in one run."""

OPEN: Final = {"allow_subscribe_for_client": True, "allow_subscribe_for_anonymous": True}

READY: Final = '"ping":15'
"""Near the end of the answer to a connect command, behind the publications that it recovers."""


def config(port: int) -> bytes:
    """Its configuration: the memory engine with a history, streams of events, and no tokens."""
    return msgspec.json.encode(
        {
            "http_server": {"address": "127.0.0.1", "port": port},
            "log": {"level": "error"},
            "client": {"allow_anonymous_connect_without_token": True, "ping_interval": "15s"},
            "uni_sse": {"enabled": True},
            "http_api": {"insecure": True},
            "channel": {"without_namespace": OPEN | HISTORY},
        }
    )


def path(sub: str) -> str:
    """The path of a stream of the channel `%s`, with this as its subscription, as a format of printf."""
    return "/connection/uni_sse?cf_connect=" + quote(f'{{"subs":{{"CHANNEL":{sub}}}}}').replace("%", "%%").replace(
        "CHANNEL", "%s"
    )


PATH: Final = path("{}")
RESUME: Final = path('{"recover":true,CURSOR}').replace("CURSOR", "%s")


def cursor(text: bytes) -> str | None:
    """Position of the last event of a stream, for `RESUME`; None where it has none yet."""
    epoch, offsets = re.search(rb'"epoch":"(\w+)"', text), re.findall(rb'"offset":(\d+)', text)
    return quote(f'"offset":{int(offsets[-1])},"epoch":"{epoch[1].decode()}"') if epoch and offsets else None
