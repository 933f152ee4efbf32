"""What a page loads of each client: `python -m tests.bench.client_sizes`.

Each entry is bundled by esbuild as a page would have it, minified, and compressed by gzip. What a framework brings
itself (React, Vue) is not counted; what is loaded only when it is needed is counted apart.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.support.npm import packages
from tests.support.snippets import ROOT

ESBUILD: Final = {"esbuild": "0.28.2"}

OTHERS: Final = {
    "@microsoft/fetch-event-source": "2.0.1",
    "centrifuge": "5.8.0",
    "@trigger.dev/react-hooks": "4.8.3",
    "socket.io-client": "4.8.4",
}

OWN: Final = ("index", "react", "query", "vue", "elements")

EXTERNAL: Final = ("react", "react-dom", "react/jsx-runtime", "vue", "@tanstack/react-query")


class Size(msgspec.Struct, frozen=True):
    """Bytes, minified and compressed: what a page begins with, and all that it may load."""

    first: int
    all: int


def size(entry: str, folder: Path, esbuild: Path) -> Size:
    """That of a module, which `folder` can import."""
    with tempfile.TemporaryDirectory() as out:
        options = ["--bundle", "--minify", "--splitting", "--format=esm", "--platform=browser", f"--outdir={out}"]
        externals = [f"--external:{name}" for name in (*EXTERNAL, "node:*")]
        meta = Path(out) / "meta.json"
        subprocess.run(
            [esbuild, *options, *externals, f"--metafile={meta}", "--log-level=error"],
            cwd=folder,
            input=f'export * from "{entry}"',
            text=True,
            check=True,
        )
        outputs: dict[str, dict[str, Any]] = json.loads(meta.read_text())["outputs"]
        paths = {name: (folder / name).resolve() for name in outputs}
        sizes = {name: len(gzip.compress(path.read_bytes(), 9, mtime=0)) for name, path in paths.items()}
    [first] = [name for name, output in outputs.items() if output.get("entryPoint") == "<stdin>"]
    return Size(sum(sizes[name] for name in _static(first, outputs)), sum(sizes.values()))


def _static(name: str, outputs: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """The chunks that come with one, itself included."""
    found = {name}
    for each in outputs[name]["imports"]:
        if each["kind"] == "import-statement" and not each.get("external") and each["path"] not in found:
            found |= _static(each["path"], outputs)
    return found


def measure() -> dict[str, Size]:
    """The sizes of all entries of the package, and of other clients."""
    folder = packages("client-sizes", {**ESBUILD, **OTHERS})
    esbuild = folder / "node_modules/.bin/esbuild"
    own = {
        "statushub" if name == "index" else f"statushub/{name}": size(
            str(ROOT / f"web/client/{name}.js"), folder, esbuild
        )
        for name in OWN
    }
    return {**own, **{f"{name} {version}": size(name, folder, esbuild) for name, version in OTHERS.items()}}


def main() -> int:
    """Measure, and print a table."""
    for name, found in measure().items():
        print(f"| {name} | {found.first / 1000:.1f} KB | {found.all / 1000:.1f} KB |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
