"""How the programs of each language are installed and built, outside of the repository.

Each client has a folder in the user's cache, named by its versions: what is there is neither installed nor built again.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from tests.live.clients.catalogue import Client

INSTALL_SECONDS: Final = 600.0
"""The time limit for an installation or a build: a hundred crates take two minutes on two cores."""

Packages = Mapping[str, str]


class Missing(Exception):
    """A language or a package cannot be had here; the message says which."""


class Language(msgspec.Struct, frozen=True, kw_only=True):
    """`programs` are those that must be installed. `install` installs packages into a folder, and `build` writes a
    program there and returns its command; for pages of a browser, the path of the script.
    """

    fence: str
    programs: tuple[str, ...]
    install: Callable[[Path, Packages], None]
    build: Callable[[Path, str], list[str]]


def prepared(client: Client, source: str) -> list[str]:
    """The command that runs the client's program; it is installed and built first where it is not yet. Raises
    `Missing`.
    """
    language = LANGUAGES[client.language]
    for program in language.programs:
        if shutil.which(program) is None:
            raise Missing(f"{client}: {program} is not installed")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "statushub-clients"
    name = client.name.replace("/", "-")
    folder = cache / f"{name}-{_digest(json.dumps([client.language, dict(client.packages)]))}"
    with _locked(folder):
        if not (folder / "installed").exists():
            language.install(folder, client.packages)
            (folder / "installed").touch()
        return language.build(folder, source)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process at a time: pytest's workers share the cache."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _run(words: Sequence[str | Path], folder: Path, **environment: str) -> str:
    """The output of a command. Raises `RuntimeError` with all that it said where it fails."""
    # The tests' clients trust no certificate authority (tests/conftest.py); an installer has to.
    kept = {name: value for name, value in os.environ.items() if name not in ("SSL_CERT_DIR", "PYTHONPATH")}
    ran = subprocess.run(
        [str(word) for word in words],
        cwd=folder,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        timeout=INSTALL_SECONDS,
        check=False,
    )
    if ran.returncode:
        raise RuntimeError(f"{' '.join(map(str, words))}\n{ran.stdout}{ran.stderr}")
    return ran.stdout


def _installed(words: Sequence[str | Path], folder: Path, **environment: str) -> None:
    """Run an installer. Raises `Missing` where it fails, as it does without its registry."""
    try:
        _run(words, folder, **environment)
    except RuntimeError as error:
        raise Missing(str(error)) from error


def _written(folder: Path, source: str, suffix: str) -> Path:
    """The file of a program; another program has another name."""
    path = folder / f"program-{_digest(source)}{suffix}"
    if not path.exists():
        path.write_text(source)
    return path


# JavaScript


def _install_npm(folder: Path, packages: Packages) -> None:
    # Without it npm looks for one in the folders above.
    (folder / "package.json").write_text(json.dumps({"private": True, "dependencies": dict(packages)}))
    if packages:
        _installed(["npm", "install", "--no-audit", "--no-fund", "--silent"], folder)


def _build_node(folder: Path, source: str) -> list[str]:
    return ["node", str(_written(folder, source, ".mjs"))]


def _build_browser(folder: Path, source: str) -> list[str]:
    """A script without imports, bundled if there are any."""
    path = _written(folder, source, ".mjs")
    esbuild = folder / "node_modules/.bin/esbuild"
    if not esbuild.exists():
        return [str(path)]
    bundle = path.with_suffix(".js")
    if not bundle.exists():
        _run([esbuild, path, "--bundle", "--format=esm", f"--outfile={bundle}"], folder)
    return [str(bundle)]


# Python


def _install_python(folder: Path, packages: Packages) -> None:
    if not packages:
        return
    names = [f"{name}=={version}" for name, version in packages.items()]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _installed([*pip, "--target", folder / "packages", *names], folder)


def _build_python(folder: Path, source: str) -> list[str]:
    path = _written(folder, source, ".py")
    return ["env", f"PYTHONPATH={folder / 'packages'}", sys.executable, "-P", str(path)]


# Go


def _install_go(folder: Path, packages: Packages) -> None:
    (folder / "go.mod").write_text("module program\n")
    for name, version in packages.items():
        _installed(["go", "get", f"{name}@{version}"], folder)


def _build_go(folder: Path, source: str) -> list[str]:
    path = _written(folder, source, ".go")
    program = path.with_suffix("")
    if not program.exists():
        _run(["go", "build", "-mod=mod", "-o", program, path], folder)
    return [str(program)]


# Rust


def _install_rust(folder: Path, packages: Packages) -> None:
    options = {"tokio": 'features = ["full"]', "reqwest": 'default-features = false, features = ["stream"]'}
    lines = [
        f'{name} = {{ version = "={version}"{", " + options[name] if name in options else ""} }}'
        for name, version in packages.items()
    ]
    (folder / "src").mkdir(exist_ok=True)
    (folder / "src/main.rs").write_text("fn main() {}\n")
    head = '[package]\nname = "program"\nversion = "0.0.0"\nedition = "2021"\n\n[dependencies]\n'
    (folder / "Cargo.toml").write_text(head + "\n".join(lines) + "\n")
    _installed(["cargo", "build", "--quiet"], folder)


def _build_rust(folder: Path, source: str) -> list[str]:
    program = folder / f"program-{_digest(source)}"
    if not program.exists():
        (folder / "src/main.rs").write_text(source)
        _run(["cargo", "build", "--quiet", "--offline"], folder)
        shutil.copy(folder / "target/debug/program", program)
    return [str(program)]


# Java

_POM: Final = """<project xmlns="http://maven.apache.org/POM/4.0.0">
<modelVersion>4.0.0</modelVersion><groupId>program</groupId><artifactId>program</artifactId><version>0</version>
<dependencies>{}</dependencies></project>
"""


def _install_java(folder: Path, packages: Packages) -> None:
    (folder / "libraries").mkdir(exist_ok=True)
    if not packages:
        return
    dependencies = [
        "<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency>".format(
            *name.split(":"), version
        )
        for name, version in packages.items()
    ]
    (folder / "pom.xml").write_text(_POM.format("".join(dependencies)))
    copy = ["mvn", "--batch-mode", "--quiet", "dependency:copy-dependencies", "-DoutputDirectory=libraries"]
    _installed(copy, folder)


def _build_java(folder: Path, source: str) -> list[str]:
    classes = folder / f"program-{_digest(source)}"
    path = f"{classes}:{folder / 'libraries'}/*"
    if not classes.exists():
        (folder / "Watch.java").write_text(source)
        _run(["javac", "-cp", path, "-d", classes, "Watch.java"], folder)
    return ["java", "-XX:TieredStopAtLevel=1", "-Xmx64m", "-cp", path, "Watch"]


# Shell


def _install_nothing(folder: Path, packages: Packages) -> None:
    pass


def _build_shell(folder: Path, source: str) -> list[str]:
    return ["sh", str(_written(folder, source, ".sh"))]


LANGUAGES: Final[Mapping[str, Language]] = {
    "browser": Language(fence="js", programs=("node", "npm"), install=_install_npm, build=_build_browser),
    "node": Language(fence="js", programs=("node", "npm"), install=_install_npm, build=_build_node),
    "python": Language(fence="python", programs=(), install=_install_python, build=_build_python),
    "go": Language(fence="go", programs=("go",), install=_install_go, build=_build_go),
    "rust": Language(fence="rust", programs=("cargo",), install=_install_rust, build=_build_rust),
    "java": Language(fence="java", programs=("java", "javac", "mvn"), install=_install_java, build=_build_java),
    "shell": Language(fence="sh", programs=("curl",), install=_install_nothing, build=_build_shell),
}
