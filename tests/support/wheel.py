"""The built distributions, and clean environments with only them and their requirements."""

from __future__ import annotations

import subprocess
import sys
import venv
import zipfile
from importlib import metadata
from pathlib import Path

from tests.support.command import environment
from tests.support.requirements import brought

ROOT = Path(__file__).parents[2]

BUILD_SECONDS = 60


def build(target: str, source: Path, folder: Path) -> Path:
    """The path of the `wheel` or `sdist` that is built from `source` in `folder`."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(folder)]
    subprocess.run(command, cwd=source, capture_output=True, timeout=BUILD_SECONDS, check=True)
    [built] = folder.glob("*.whl" if target == "wheel" else "*.tar.gz")
    return built


class CleanEnvironment:
    """A virtual environment with the wheel and the libraries of its `extras`, linked instead of downloaded."""

    def __init__(self, folder: Path, wheel: Path, *extras: str) -> None:
        venv.EnvBuilder(symlinks=True, with_pip=False).create(folder)
        self.python = folder / "bin" / "python"
        [site] = folder.glob("lib/python*/site-packages")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)
        [info] = site.glob("statushub-*.dist-info")
        own = tuple(metadata.PathDistribution(info).requires or ())
        for name in sorted(brought(own, *extras)):
            _link(metadata.distribution(name), site)

    @property
    def environ(self) -> dict[str, str]:
        """The environment variables of its processes, without those of this checkout."""
        return {name: value for name, value in environment().items() if not name.startswith(("PYTHON", "COVERAGE"))}

    def run(self, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run its Python until it ends."""
        command = [str(self.python), *arguments]
        return subprocess.run(
            command, cwd=cwd, env=self.environ, capture_output=True, text=True, timeout=30, check=False
        )


def _link(distribution: metadata.Distribution, site: Path) -> None:
    """Link the top-level files and folders of an installed distribution into `site`."""
    names = {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}
    for name in names:
        if not (site / name).exists():
            (site / name).symlink_to(Path(str(distribution.locate_file(name))).resolve())
