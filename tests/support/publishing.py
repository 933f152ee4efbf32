"""Publish to a hub over HTTP."""

from __future__ import annotations

from typing import Any, Protocol

import httpx


class Served(Protocol):
    """A hub that serves, in this process or in another."""

    @property
    def base_url(self) -> str: ...


def publish(hub: Served, content_id: str, status: str, channel: str = "c", **data: Any) -> str:
    """Publish one event, which must be accepted; returns its cursor."""
    event = {"channel": channel, "content_id": content_id, "data": {"status": status, **data}}
    answer = httpx.post(f"{hub.base_url}/api/publish", json=event).raise_for_status().json()
    return str(answer["cursor"])
