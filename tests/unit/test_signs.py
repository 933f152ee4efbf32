"""The alerts and the dashboard use metrics that there are, and the operator is told what to do."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from statushub.hub.app import KINDS, WAITING
from statushub.hub.exposition import exposition
from statushub.hub.http.observer import Observed
from statushub.hub.metrics import Answers, Counts, Measures
from tests.support.snippets import ROOT

RULES = [
    rule
    for group in yaml.safe_load((ROOT / "deploy/prometheus-rules.yml").read_text())["groups"]
    for rule in group["rules"]
]
DASHBOARD: dict[str, Any] = json.loads((ROOT / "deploy/grafana.json").read_text())
TARGETS = [target for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]
EXPRESSIONS = [rule["expr"] for rule in RULES] + [target["expr"] for target in TARGETS]
OPERATIONS = (ROOT / "docs/operations.md").read_text()


def names() -> set[str]:
    """The names of a hub's samples."""
    counts = Counts()
    routes = [*Observed(KINDS, WAITING)]
    counts.answers[routes[0]] = Answers()
    counts.answers[routes[0]].count(200, 0.1)
    measures = Measures(counts=counts, streams=0, replicas=0, contents=0, skipped=0, evicting=False, lost_seconds=0.0)
    families = text_string_to_metric_families(exposition(measures, routes).decode())
    return {sample.name for family in families for sample in family.samples}


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_alerts_and_dashboard_use_metrics_that_there_are(expression: str) -> None:
    """Every name of a metric in an expression is one that a hub exports."""
    used = set(re.findall(r"\b(?:statushub|process)_\w+", expression))
    assert used | {"up"} <= names() | {"up"}
    assert used or "up" in expression


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_the_operations_page_says_what_to_do(rule: dict[str, Any]) -> None:
    """It has a row for each alert, which has a severity and words for those who are called."""
    assert f"| `{rule['alert']}` |" in OPERATIONS
    assert rule["labels"]["severity"] in ("warning", "critical")
    assert set(rule["annotations"]) == {"summary", "description"}


def test_panels_of_the_dashboard_do_not_overlap() -> None:
    """Each has a place of its own on the grid of 24 columns, and a title."""
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert panel["title"]
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        taken |= cells
