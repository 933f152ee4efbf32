"""Publish to a hub over HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import httpx

Event = Mapping[str, Any]
"""One event, as `POST /api/publish` takes it: `channel`, `content_id`, `data`."""


class Served(Protocol):
    """A hub that serves, in this process or in another."""

    @property
    def base_url(self) -> str: ...


def publish(hub: Served | str, content_id: str, status: str, channel: str = "c", **data: Any) -> str:
    """Publish one event, which must be accepted; returns its cursor. `hub` may be a base URL."""
    [cursor] = publish_all(hub, [{"channel": channel, "content_id": content_id, "data": {"status": status, **data}}])
    return cursor


def publish_all(hub: Served | str, events: Sequence[Event], *, headers: Mapping[str, str] | None = None) -> list[str]:
    """Publish events in one request; returns their cursors in order. All of them must be accepted."""
    base_url = hub if isinstance(hub, str) else hub.base_url
    answer = httpx.post(f"{base_url}/api/publish", json={"events": events}, headers=headers).raise_for_status()
    return [str(result["cursor"]) for result in answer.json()["results"]]
