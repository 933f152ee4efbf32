"""`statushub bridge video-keys`: beside a hub, through it or straight into its Redis."""

from __future__ import annotations

import json
from pathlib import Path
from signal import SIGTERM

import pytest

from tests.support.command import command, ended, line_with, started
from tests.support.live import live_hub
from tests.support.redis_server import running_redis
from tests.support.sse_client import open_stream
from tests.support.tokens import SECRET, bearer, token

pytestmark = [pytest.mark.redis, pytest.mark.timeout(120)]


@pytest.mark.parametrize("through", ["hub", "broker"])
def test_the_bridge_publishes_what_changes(tmp_path: Path, through: str) -> None:
    """Each state once, and the ending, although two of them run; SIGTERM ends it with 0."""
    arguments = ("--notify-keyspace-events", "K$")
    with (
        running_redis(tmp_path, arguments=arguments) as redis,
        live_hub(redis.url, secret=SECRET) as hub,
        open_stream(hub.base_url, "/api/contents/videos/events", bearer(tenant="acme")) as viewer,
    ):
        viewer.until("ready")
        target = ["--hub", hub.base_url, "--token", token()] if through == "hub" else ["--broker", redis.url]
        line = ["bridge", "video-keys", "--video-keys", redis.url, "--video-tenant", "acme=4711", *target]
        with started(*line, cwd=tmp_path) as first, started(*line, cwd=tmp_path) as second:
            for process in (first, second):
                line_with(process, "followed by notifications", of="stderr")
            seen = []
            for status in ("PROCESSING", "FAILED", "PROCESSING", "READY"):
                redis.command("SET", "tenant:4711:video:v:status", json.dumps({"status": status, "title": status}))
                seen += viewer.until_content(content_id="v", title=status)
            assert [int(it.json["video_keys"].partition(":")[0]) for it in seen] == [1, 2, 3, 4]
            for process in (first, second):
                code, _, error = ended(process, SIGTERM)
                assert (code, "Traceback" in error) == (0, False), error


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("video-keys",), "--video-keys"),
        (("video-keys", "--video-keys", "memory:"), "--video-keys"),
        (("video-keys", "--video-keys", "redis://h", "--hub", "http://h", "--broker", "redis://h"), "--broker"),
        (("video-keys", "--video-keys", "redis://h", "--video-step", "x"), "--video-step"),
        (("other",), "video-keys"),
    ],
    ids=["missing", "address", "both", "step", "what"],
)
def test_a_mistake_is_one_line(tmp_path: Path, arguments: tuple[str, ...], named: str) -> None:
    """Exit code 2, and the line names the option."""
    result = command("bridge", *arguments, cwd=tmp_path)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1), result.stderr
    assert named in result.stderr
