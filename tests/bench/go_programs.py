"""Competitors in Go: built into the user's cache, once for each version."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from tests.bench.load import SOURCES, Missing

CENTRIFUGO: Final = "v6.9.1"
MERCURE: Final = "v0.21.11"
VERSIONS: Final = {"Centrifugo": CENTRIFUGO.removeprefix("v"), "Mercure": MERCURE.removeprefix("v")}


def centrifugo() -> Path:
    """The server of the module. Raises `Missing`."""
    return _built("centrifugo", CENTRIFUGO, [["install", f"github.com/centrifugal/centrifugo/v6@{CENTRIFUGO}"]])


def mercure() -> Path:
    """mercure.go, with the library of the module. Raises `Missing`."""
    source = (SOURCES / "mercure.go").read_bytes()
    version = f"{MERCURE}-{hashlib.sha256(source).hexdigest()[:8]}"
    words = [["get", f"github.com/dunglas/mercure@{MERCURE}"], ["build", "-o", "mercure", "main.go"]]
    return _built("mercure", version, words, {"main.go": source, "go.mod": b"module mercure\n"})


def _built(name: str, version: str, steps: list[list[str]], files: dict[str, bytes] | None = None) -> Path:
    if shutil.which("go") is None:
        raise Missing(f"Go, which builds {name}: https://go.dev/dl/")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "statushub-bench"
    folder = cache / f"{name}-{version}"
    if not (folder / name).exists():
        # Only a complete program gets the name.
        new = cache / f"{folder.name}.{os.getpid()}"
        new.mkdir(parents=True)
        for file, content in (files or {}).items():
            (new / file).write_bytes(content)
        env = {**os.environ, "GOBIN": str(new), "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"}
        for words in steps:
            said = subprocess.run(["go", *words], cwd=new, env=env, capture_output=True, text=True, check=False)
            if said.returncode:
                shutil.rmtree(new)
                raise Missing(f"{name} {version}, which Go cannot build here: {said.stderr.strip()[-200:]}")
        shutil.rmtree(folder, ignore_errors=True)
        new.rename(folder)
    return folder / name
