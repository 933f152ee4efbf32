"""Words of other systems for a status, over HTTP and in the SDK."""

from __future__ import annotations

import httpx
import pytest

from statushub import Producer
from statushub.hub.model.errors import Invalid
from tests.support.live import live_hub

pytestmark = pytest.mark.anyio


async def test_a_word_of_another_system_is_published() -> None:
    """Every poll answers in its own vocabulary."""
    with live_hub() as hub:
        async with Producer(hub.base_url) as producer:
            async with producer.work("celery-1", channel="jobs") as work:
                await work.update("STARTED", progress=10)
                await work.update("REVOKED")
            await producer.publish("rq-1", channel="jobs", status="queued")
        known = httpx.post(f"{hub.base_url}/v1/ai/jobs/batch-status", json={"job_ids": ["celery-1", "rq-1"]}).json()
        assert {name: job["status"] for name, job in known["jobs"].items()} == {
            "celery-1": "failed",
            "rq-1": "processing",
        }
        summary = httpx.get(f"{hub.base_url}/api/contents/jobs/status").json()
        assert (summary["total_failed"], summary["total_processing"]) == (1, 1)
        contents = httpx.get(f"{hub.base_url}/api/contents/jobs").json()["contents"]
        assert {content["content_id"]: content.get("error_code") for content in contents} == {
            "celery-1": "cancelled",
            "rq-1": None,
        }


def test_an_unknown_word_is_answered_with_a_suggestion() -> None:
    """The error names the event of the batch, and nothing is stored."""
    good = {"channel": "jobs", "content_id": "a", "data": {"status": "running"}}
    bad = {**good, "data": {"status": "runing"}}
    with live_hub() as hub:
        answer = httpx.post(f"{hub.base_url}/api/publish", json={"events": [good, bad]})
        assert answer.status_code == 422
        error = answer.json()["error"]
        assert error["field"] == "events[1].data.status"
        assert error["message"].startswith("events[1].data.status is 'runing', ")
        assert error["message"].endswith("Did you mean 'running'?")
        assert httpx.get(f"{hub.base_url}/api/contents/jobs").json()["contents"] == []


async def test_the_sdk_suggests_a_word() -> None:
    """Where the caller asks for it, the mistake raises at its line, and changes nothing."""
    with live_hub() as hub:
        async with Producer(hub.base_url, strict=True) as producer, producer.work("a", channel="jobs") as work:
            with pytest.raises(Invalid, match="Did you mean 'retrying'"):
                await work.update("retryng")
