"""The JavaScript client: its own tests, which Node.js runs, and the package that npm makes of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "web/client"
TESTS = ROOT / "tests/client"
INSTALLED = ROOT / "node_modules/.installed"

LIMIT_SECONDS = 200

PEERS = ("@tanstack", "@types", "@vue", "csstype", "react", "vue")

pytestmark = pytest.mark.skipif(not INSTALLED.exists(), reason="needs Node.js 20 or newer with npm: make prepare")


def run(*command: str, cwd: Path = ROOT) -> str:
    """Run a program of Node's, which must succeed; returns what it printed."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("NODE_", "npm_"))}
    ran = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def tool(name: str) -> str:
    return str(ROOT / "node_modules/.bin" / name)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the package is installed as npm packs it."""
    folder = tmp_path_factory.mktemp("package")
    source = folder / "source"
    shutil.copytree(CLIENT, source, ignore=shutil.ignore_patterns("types"))
    run(tool("tsc"), "-p", "tsconfig.types.json", "--outDir", str(source / "types"))
    [packed] = json.loads(run("npm", "pack", "--json", "--pack-destination", str(folder), cwd=source))
    modules = folder / "node_modules"
    with tarfile.open(folder / packed["filename"]) as archive:
        archive.extractall(modules, filter="data")
    (modules / "package").rename(modules / "statushub")
    return folder


@pytest.mark.parametrize("module", sorted(path.name for path in TESTS.glob("*.test.js")))
def test_the_client_s_own_tests_pass(module: str) -> None:
    """Each module of them."""
    said = run("node", "--test", "--test-reporter", "tap", str(TESTS / module))
    assert "\n# fail 0" in said
    assert "\n# pass 0" not in said


def test_the_package_has_its_modules_and_their_types(package: Path) -> None:
    """And nothing else."""
    folders = (CLIENT, CLIENT / "react", CLIENT / "elements")
    modules = {str(path.relative_to(CLIENT)) for folder in folders for path in folder.glob("*.js")}
    installed = package / "node_modules/statushub"
    found = {str(path.relative_to(installed)) for path in installed.rglob("*") if path.is_file()}
    types = {f"types/{name.removesuffix('.js')}.d.ts" for name in modules}
    assert found == modules | types | {"package.json", "README.md", "LICENSE"}
    exports = json.loads((installed / "package.json").read_text())["exports"]
    for entry in exports.values():
        for path in [entry] if isinstance(entry, str) else entry.values():
            assert (installed / path).is_file(), path


@pytest.mark.parametrize("cases", ["types.ts", "types-hooks.ts"])
def test_the_package_s_types_are_those_that_are_documented(package: Path, cases: str) -> None:
    """TypeScript takes what is right, and refuses what is wrong."""
    shutil.copy(TESTS / cases, package)
    (package / "package.json").write_text('{"type": "module"}')
    # The peers of the package, which it does not bring.
    for name in PEERS:
        link = package / "node_modules" / name
        if not link.is_symlink():
            link.symlink_to(ROOT / "node_modules" / name)
    options = (
        "--strict",
        "--noEmit",
        "--target",
        "es2022",
        "--module",
        "nodenext",
        "--lib",
        "es2023,dom",
        "--types",
        "",
    )
    run(tool("tsc"), *options, cases, cwd=package)


def test_the_package_can_be_imported_where_there_is_no_page(package: Path) -> None:
    """As on a server that renders pages; nothing happens until `connect`."""
    script = """
        const { connect, HubError } = await import("statushub");
        const hub = connect({ url: "http://127.0.0.1:1", channels: ["c"] });
        console.log(hub.state, hub.contents().length, new HubError("no", 404).status);
        hub.close();
        console.log(hub.state);
    """
    said = run("node", "--input-type", "module", "--eval", script, cwd=package)
    assert said.split() == ["connecting", "0", "404", "closed"]


def test_the_package_has_the_hub_s_license() -> None:
    assert (CLIENT / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
