"""axe-core, which finds what keeps people from using a page, in the version that tests/browser locks."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.npm_lock import installed
from tests.support.snippets import ROOT


def axe_script() -> Path:
    """Its script. Skips the test where npm is not installed."""
    if shutil.which("npm") is None:
        pytest.skip("needs npm")
    return installed(ROOT / "tests/browser") / "axe-core/axe.min.js"
