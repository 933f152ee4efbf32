"""What the pages contain of others."""

from __future__ import annotations

import shutil

import pytest

from tests.support.vendor import FILES, VENDOR, originals

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")]


def test_vendored_files_are_those_of_their_packages() -> None:
    """Byte for byte; the lock has the hashes of the packages."""
    for copy, original in originals():
        assert copy.read_bytes() == original.read_bytes(), copy.name
    assert {path.name for path in VENDOR.iterdir()} == {*FILES, "package.json", "package-lock.json"}
