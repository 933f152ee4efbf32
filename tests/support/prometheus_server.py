"""A Prometheus on a free port, with deploy/prometheus-rules.yml, that scrapes hubs of the test."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import httpx

from tests.support.ports import START_SECONDS, free_port, wait_for_port
from tests.support.waiting import eventually

RULES: Final = Path(__file__).parents[2] / "deploy/prometheus-rules.yml"

SCRAPE_SECONDS: Final = 1
"""Between two scrapes: a rate needs two."""


class Prometheus:
    """A running Prometheus."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url

    def query(self, expression: str) -> list[Mapping[str, Any]]:
        """The series of an instant query, each with its `metric` and `value`; raises `ValueError` where it is wrong."""
        answer = httpx.get(f"{self.base_url}/api/v1/query", params={"query": expression}, timeout=START_SECONDS).json()
        if answer["status"] != "success":
            raise ValueError(f"{expression}: {answer['error']}")
        series: list[Mapping[str, Any]] = answer["data"]["result"]
        return series

    def rules(self) -> list[Mapping[str, Any]]:
        """The alerts, each with its `name`, its `health` and the `lastError` of its evaluation."""
        groups = httpx.get(f"{self.base_url}/api/v1/rules", timeout=START_SECONDS).json()["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]


@contextlib.contextmanager
def running_prometheus(folder: Path, hubs: Sequence[str]) -> Iterator[Prometheus]:
    """A Prometheus that scrapes the hubs at these URLs each second, for the block."""
    port = free_port()
    interval = f"{SCRAPE_SECONDS}s"
    targets = [hub.removeprefix("http://") for hub in hubs]
    config = {
        "global": {"scrape_interval": interval, "evaluation_interval": interval},
        "rule_files": [str(RULES)],
        "scrape_configs": [{"job_name": "statushub", "static_configs": [{"targets": targets}]}],
    }
    # JSON is YAML.
    (folder / "prometheus.yml").write_text(json.dumps(config))
    command = [
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_for_port(port, process)
        base_url = f"http://127.0.0.1:{port}"
        # It listens before it answers queries.
        eventually(lambda: httpx.get(f"{base_url}/-/ready").status_code == 200)
        yield Prometheus(base_url)
    finally:
        process.kill()
        process.wait(START_SECONDS)
