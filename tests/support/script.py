"""Programs as their authors write them: run in a process of their own, against a hub."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from collections.abc import Mapping
from typing import Any

import httpx
import msgspec

from tests.support.command import environment
from tests.support.waiting import eventually

LIMIT_SECONDS = 120.0
"""Longest run of a program, after which it counts as hung."""


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How a program ended; `seconds` is its own time, without the start of the interpreter where it prints it."""

    code: int
    out: str
    err: str
    seconds: float


def ran(script: str, url: str | None = None, *arguments: str, env: Mapping[str, str] | None = None) -> Ended:
    """Run a Python program until it ends; `url` is the hub of its environment."""
    there = {} if url is None else {"STATUSHUB_URL": url}
    began = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *arguments],
        env=environment({**there, **(env or {})}),
        capture_output=True,
        text=True,
        errors="replace",
        timeout=LIMIT_SECONDS,
        check=False,
    )
    return Ended(code=ended.returncode, out=ended.stdout, err=ended.stderr, seconds=time.monotonic() - began)


def held(url: str, channel: str = "jobs") -> dict[str, dict[str, Any]]:
    """The hub's statuses of a channel, by content."""
    contents = httpx.get(f"{url}/api/contents/{channel}").raise_for_status().json()["contents"]
    return {content["content_id"]: content for content in contents}


def becomes(url: str, content_id: str, channel: str = "jobs", **fields: Any) -> dict[str, Any]:
    """The hub's status of a content once it has these fields."""
    return eventually(lambda: _with(held(url, channel).get(content_id), fields))


def _with(status: dict[str, Any] | None, fields: Mapping[str, Any]) -> dict[str, Any]:
    return status if status is not None and fields.items() <= status.items() else {}
