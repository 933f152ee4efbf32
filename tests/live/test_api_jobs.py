from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.live import live_hub


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with live_hub() as hub, httpx.Client(base_url=hub.base_url) as client:
        yield client


@pytest.mark.parametrize(
    ("data", "job"),
    [
        ({"status": "pending"}, {"status": "processing", "progress": 0, "result_url": None, "error": None}),
        (
            {"status": "processing", "progress": 45},
            {"status": "processing", "progress": 45, "result_url": None, "error": None},
        ),
        (
            {"status": "completed", "result_url": "https://example.org/r"},
            {"status": "completed", "progress": 100, "result_url": "https://example.org/r", "error": None},
        ),
        (
            {"status": "complete", "progress": 99.5},
            {"status": "completed", "progress": 99.5, "result_url": None, "error": None},
        ),
        (
            {"status": "failed", "progress": 45, "error_message": "It broke.", "result_url": "https://example.org/r"},
            {"status": "failed", "progress": 0, "result_url": None, "error": "It broke."},
        ),
    ],
)
def test_a_job_is_answered_in_the_job_vocabulary(
    client: httpx.Client, data: dict[str, Any], job: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    """Pending jobs are processing, completed ones have progress 100, failed ones 0 and an error."""
    name = request.node.callspec.id
    client.post("/api/publish", json={"channel": "jobs", "content_id": name, "data": data}).raise_for_status()
    answer = client.post("/v1/ai/jobs/batch-status", json={"job_ids": [name]})
    assert answer.json() == {"jobs": {name: job}}


def test_unknown_jobs_are_not_found(client: httpx.Client) -> None:
    """Each id has an answer, also a repeated one."""
    missing = {"status": "not_found", "progress": 0, "result_url": None, "error": None}
    answer = client.post("/v1/ai/jobs/batch-status", json={"job_ids": ["x", "y", "x"]})
    assert answer.json() == {"jobs": {"x": missing, "y": missing}}


def test_a_request_may_have_fifty_jobs(client: httpx.Client) -> None:
    """The limit is inclusive."""
    answer = client.post("/v1/ai/jobs/batch-status", json={"job_ids": [str(place) for place in range(50)]})
    assert len(answer.json()["jobs"]) == 50
