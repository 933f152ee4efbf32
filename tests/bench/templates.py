"""Requests of the load generator: bytes with placeholders that it fills in, for any protocol.

The placeholders are described in load.c. Every server gets the same data, of the same length.
"""

from __future__ import annotations

from typing import Final

import hiredis

from statushub.hub.brokers.redis import commands
from statushub.hub.model.names import DEFAULT_TENANT

EVENT_TYPE: Final = "content_status_update"
CHANNEL: Final = "ch-%%%%%%"
CONTENT: Final = "c-&&&&&&"

DATA: Final = (
    f'{{"content_id":"{CONTENT}","channel_id":"{CHANNEL}","status":"generating","processing_status":"summarizing",'
    '"progress":45,"timestamp":"2025-07-31T13:00:00.000Z","n":@@@@@@@@@@,"t":~~~~~~~~~~~~~~~~~~~%s}'
)


def data(padding: int = 0) -> str:
    """An event's data, with about `padding` additional bytes."""
    return DATA.replace("%s", f',"text":"{"x" * padding}"' if padding else "")


def post(path: str, body: str, *headers: str) -> bytes:
    """An HTTP/1.1 request."""
    lines = (f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}", *headers, "", body)
    return "\r\n".join(lines).encode()


def get(path: str) -> bytes:
    """An HTTP/1.1 request."""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


def hub_post(padding: int = 0, *, batch: int = 1) -> bytes:
    """A request to the hub's API that publishes one event, or a batch of them."""
    one = f'{{"channel":"{CHANNEL}","content_id":"{CONTENT}","data":{data(padding)}}}'
    body = one if batch == 1 else f'{{"events":[{",".join([one] * batch)}]}}'
    return post("/api/publish", body, "Content-Type: application/json")


def redis_call(padding: int = 0) -> bytes:
    """A function call that publishes into Redis, as a worker with access to it does."""
    key = commands.prefix(commands.root(0), DEFAULT_TENANT)
    event = (CHANNEL, CONTENT, EVENT_TYPE, "0", "", "", "", data(padding))
    words = ("FCALL", "statushub_publish", "1", key, "", *event)
    # hiredis annotates only commands of one word.
    packed: bytes = hiredis.pack_command(words)  # type: ignore[arg-type]
    return packed
