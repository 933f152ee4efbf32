"""The Python versions that are named in several places."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.requirements import project

ROOT = Path(__file__).parents[2]


def test_ci_runs_on_every_declared_version() -> None:
    """Classifiers, CI matrix and lower bound agree, and CI runs the script that developers run."""
    workflow = (ROOT / ".github/workflows/ci.yml").read_text()
    [matrix] = re.findall(r"python: \[(.*)\]", workflow)
    versions = re.findall(r'"(.*?)"', matrix)
    declared = re.findall(r"Python :: (3\.\d+)$", "\n".join(project()["classifiers"]), re.MULTILINE)
    assert versions == declared
    assert project()["requires-python"] == f">={versions[0]}"
    assert "run: .ci/run" in workflow
    assert "PYTHON: python${{ matrix.python }}" in workflow
