"""Today's worker of videos: it knows two keys in Redis, and nothing of a hub.

`python -m tests.support.video_worker PORT TENANT_ID VIDEO` encodes a video, as far as its keys tell: each line on stdin
lets it go on to the next state, and it prints a line when it has written that.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import redis

STATES: list[tuple[dict[str, Any] | None, dict[str, Any] | None]] = [
    ({"status": "PENDING", "hls_path": None, "duration": None, "error_reason": None}, None),
    ({"status": "PROCESSING"}, {"percent": None, "step": "probing", "remaining_seconds": None}),
    ({"status": "PROCESSING"}, {"percent": float("nan"), "step": "transcoding", "remaining_seconds": None}),
    ({"status": "PROCESSING"}, None),
    ({"status": "PROCESSING"}, {"percent": 61.5, "step": "transcoding", "remaining_seconds": 20}),
    (None, {"percent": 75, "step": "transcoding", "remaining_seconds": None}),
    ({"status": "READY", "hls_path": "v/master.m3u8", "duration": 12.5, "error_reason": None}, None),
]
"""What it writes, in order: the status and the progress, of which either may be None."""

TTL_SECONDS = 3600


def main(port: str, tenant_id: str, video: str) -> None:
    client = redis.Redis(port=int(port))
    for status, progress in STATES:
        sys.stdin.readline()
        # The progress first, so that a status never comes with the progress of the state before.
        client.set(f"tenant:{tenant_id}:video:{video}:progress", json.dumps(progress), ex=TTL_SECONDS)
        client.set(f"tenant:{tenant_id}:video:{video}:status", json.dumps(status), ex=TTL_SECONDS)
        print("written", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
