"""The alerts and the dashboard, in the Prometheus that evaluates them."""

from __future__ import annotations

import json
import math
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import yaml

from tests.support.live import LiveHub, live_hub
from tests.support.prometheus_server import RULES, Prometheus, running_prometheus
from tests.support.publishing import publish
from tests.support.record import TeamDatabase, contents_table, row
from tests.support.redis_server import RedisServer
from tests.support.sse_client import stream
from tests.support.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.redis]

DASHBOARD: Final = json.loads((RULES.parent / "grafana.json").read_text())
CASES: Final = Path(__file__).parent / "prometheus/rules_test.yml"
EXPRESSIONS: Final = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]

VARIABLES: Final = {"$job": "statushub", "$instance": ".*", "$__rate_interval": "30s"}
"""Of the dashboard, as Grafana replaces them."""

RUN_SECONDS: Final = 60.0


def promtool(*words: str) -> str:
    """What promtool says; fails where it ends with an error."""
    said = subprocess.run(["promtool", *words], capture_output=True, text=True, check=False, timeout=RUN_SECONDS)
    assert said.returncode == 0, said.stdout + said.stderr
    return said.stdout


@pytest.fixture(scope="module")
def hub(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveHub]:
    """A hub with everything that has metrics."""
    file = tmp_path_factory.mktemp("record") / "team.db"
    file.touch()
    database = TeamDatabase(f"sqlite+aiosqlite:///{file}")
    database.create(contents_table(), [row("a")])
    settings: dict[str, Any] = {"video_keys": redis_server.url, "source": database.url, "record": "all"}
    with live_hub(redis_server.url, **settings) as hub:
        yield hub


@pytest.fixture(scope="module")
def prometheus(hub: LiveHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that scrapes the hub."""
    with running_prometheus(tmp_path_factory.mktemp("prometheus"), [hub.base_url]) as prometheus:
        yield prometheus


def test_the_rules_are_valid() -> None:
    """promtool accepts them."""
    alerts = [rule["alert"] for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    assert f"{len(alerts)} rules found" in promtool("check", "rules", str(RULES))


def test_alerts_fire_in_trouble_only() -> None:
    """Each alert is evaluated over hours of series in which it fires, and over others in which it does not."""
    alerts = [rule["alert"] for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    well, trouble = (
        {case["alertname"]: case["exp_alerts"] for case in test["alert_rule_test"]}
        for test in yaml.safe_load(CASES.read_text())["tests"]
    )
    assert list(well) == list(trouble) == alerts
    assert not any(well.values())
    assert all(trouble.values())
    promtool("test", "rules", str(CASES))


def test_prometheus_evaluates_the_rules_on_a_hub(prometheus: Prometheus) -> None:
    """Without an error, and no alert fires on a hub that is well."""

    def evaluated() -> list[Any]:
        rules = [rule for rule in prometheus.rules() if rule["health"] != "unknown"]
        return rules if len(rules) == len(prometheus.rules()) else []

    rules = eventually(evaluated)
    assert {rule["health"] for rule in rules} == {"ok"}, [rule.get("lastError") for rule in rules]
    # Its first scrape may not have come when the rules were first evaluated.
    eventually(lambda: prometheus.query("up == 1"))
    assert not prometheus.query('ALERTS{alertstate="firing"}')


def test_every_expression_of_the_dashboard_has_data(hub: LiveHub, prometheus: Prometheus) -> None:
    """In a real Prometheus that scrapes a real hub that is used."""
    with stream(hub) as viewer:
        viewer.until("ready")
        missing = EXPRESSIONS
        deadline = time.monotonic() + RUN_SECONDS
        while missing:
            use(hub)
            missing = [it for it in missing if not has_data(prometheus, it)]
            assert time.monotonic() < deadline, missing


def use(hub: LiveHub) -> None:
    """One of everything that makes rates."""
    publish(hub, "a", "generating")
    first = httpx.get(f"{hub.base_url}/api/contents/c")
    httpx.get(f"{hub.base_url}/api/contents/c", headers={"If-None-Match": first.headers["etag"]})
    httpx.get(f"{hub.base_url}/api/contents/c/changes", params={"polling": 3000, "failed": 1})
    httpx.get(f"{hub.base_url}/api/v1/media/videos/v/progress/")


def has_data(prometheus: Prometheus, expression: str) -> bool:
    """Whether the expression is correct, and has a number."""
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    return any(not math.isnan(float(it["value"][1])) for it in prometheus.query(expression))
