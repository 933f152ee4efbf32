"""npm packages of tests, in the versions of a package-lock.json, installed into the user's cache."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

INSTALL_SECONDS: Final = 300.0
"""The time limit for an installation."""


def installed(folder: Path) -> Path:
    """The `node_modules` of what the lock in this folder names. Scripts of packages are not run.

    The cache is named by the lock, so that what is there is not installed again.
    """
    lock = (folder / "package-lock.json").read_bytes()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "statushub-npm"
    place = cache / f"{folder.name}-{hashlib.sha256(lock).hexdigest()[:16]}"
    place.mkdir(parents=True, exist_ok=True)
    with (place / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not (place / "installed").exists():
            for name in ("package.json", "package-lock.json"):
                shutil.copyfile(folder / name, place / name)
            command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
            subprocess.run(command, cwd=place, check=True, timeout=INSTALL_SECONDS)
            (place / "installed").touch()
    return place / "node_modules"
