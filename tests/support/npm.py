"""What npm installs for tests, outside of the repository: the examples, each in a copy, and single packages."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.support.ports import free_port, wait_for_port
from tests.support.snippets import ROOT

INSTALL_SECONDS: Final = 200.0
"""The time limit for an installation or a build: Next.js has 300 MB."""

NODE: Final = (20, 19)
"""What Vite asks for."""

OFFLINE: Final = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENOTCACHED", "EIDLETIMEOUT")
"""What npm says where it does not reach its registry, and does not have a package in its cache."""

MADE: Final = shutil.ignore_patterns("node_modules", "dist", ".next", "types")


class NpmProject:
    """An example's copy, beside one of the package that it installs."""

    def __init__(self, name: str, folder: Path) -> None:
        self.path = folder / "examples" / name
        shutil.copytree(ROOT / "examples" / name, self.path, ignore=MADE)
        shutil.copytree(ROOT / "web/client", folder / "web/client", ignore=MADE)

    def install(self) -> None:
        """Install what the lock file names. Skips the test where there is no such Node.js, or no registry."""
        _installs(self.path, "ci")

    def build(self, **environment: str) -> None:
        """Run its script `build`, which may say nothing that looks like a warning."""
        ran = _npm(self.path, "run", "build", **environment)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert "warn" not in (ran.stdout + ran.stderr).lower(), ran.stdout + ran.stderr

    @contextlib.contextmanager
    def running(self, script: str, *options: str, **environment: str) -> Iterator[str]:
        """Run a script that serves on the port which it is told, for the block; yields its URL."""
        port = free_port()
        log = self.path / "log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                ["npm", "run", script, "--", "--port", str(port), *options],
                cwd=self.path,
                env=_environment(environment),
                stdout=out,
                stderr=out,
                # Its children have its group.
                start_new_session=True,
            )
        try:
            wait_for_port(port, process)
            yield f"http://127.0.0.1:{port}"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def installed(name: str, folder: Path) -> NpmProject:
    """A copy of an example in this folder, with all that it needs."""
    project = NpmProject(name, folder)
    project.install()
    return project


def hooks_build(folder: Path, **environment: str) -> Path:
    """The built pages of tests/browser/hooks, with what the example for React has installed."""
    project = installed("react", folder)
    shutil.copytree(ROOT / "tests/browser/hooks", project.path, dirs_exist_ok=True)
    project.build(**environment)
    return project.path / "dist"


def packages(name: str, versions: Mapping[str, str]) -> Path:
    """A folder with packages in these versions, which is kept in the user's cache. Skips the test where they cannot be
    had."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "statushub-clients"
    wanted = json.dumps({"private": True, "dependencies": dict(versions)})
    folder = cache / f"{name}-{hashlib.sha256(wanted.encode()).hexdigest()[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        # One process at a time: pytest's workers share the cache.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "installed").exists():
            (folder / "package.json").write_text(wanted)
            _installs(folder, "install")
            (folder / "installed").touch()
    return folder


def _installs(folder: Path, *words: str) -> None:
    if shutil.which("npm") is None or _node() < NODE:
        pytest.skip(f"needs Node.js {NODE[0]}.{NODE[1]} or newer, with npm")
    ran = _npm(folder, *words, "--prefer-offline", "--no-audit", "--no-fund")
    if any(f"code {code}" in ran.stderr for code in OFFLINE):
        pytest.skip(f"npm does not reach its registry: {ran.stderr}")
    assert ran.returncode == 0, ran.stderr


def _node() -> tuple[int, ...]:
    """The version of Node.js, of which npm is a program."""
    said = subprocess.run(["node", "--version"], capture_output=True, text=True, timeout=INSTALL_SECONDS, check=True)
    return tuple(int(part) for part in said.stdout.strip().removeprefix("v").split(".")[:2])


def _npm(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["npm", *words],
        cwd=folder,
        env=_environment(environment),
        capture_output=True,
        text=True,
        timeout=INSTALL_SECONDS,
        check=False,
    )


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    # Tests trust no certificate authority (tests/conftest.py); an installer has to.
    kept = {name: value for name, value in os.environ.items() if name != "SSL_CERT_DIR"}
    return {**kept, "NEXT_TELEMETRY_DISABLED": "1", "CI": "1", **more}
