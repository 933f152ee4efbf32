"""What the pages contain of others, copied from npm packages whose lock has their hashes: `make vendor`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.support.npm_lock import installed

VENDOR: Final = Path(__file__).parents[2] / "web" / "vendor"

FILES: Final = {"hls.light.min.mjs": "hls.js/dist/hls.light.min.mjs", "LICENSE-hls.js": "hls.js/LICENSE"}
"""The files of the folder, and where each is in `node_modules`."""


def originals() -> Iterator[tuple[Path, Path]]:
    """Each file, and the one that it is a copy of."""
    packages = installed(VENDOR)
    for name, path in FILES.items():
        yield VENDOR / name, packages / path


if __name__ == "__main__":
    for copy, original in originals():
        shutil.copyfile(original, copy)
