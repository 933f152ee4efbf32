"""The lock files agree with pyproject.toml, and hold no address."""

from __future__ import annotations

import re
import tomllib
from functools import cache

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.support.requirements import PYPROJECT, brought, declared, project

ROOT = PYPROJECT.parent
TABLES = tomllib.loads(PYPROJECT.read_text())
RUNTIME = [line for lines in project()["optional-dependencies"].values() for line in lines] + project()["dependencies"]
DEVELOPMENT = [*TABLES["dependency-groups"]["dev"], *TABLES["build-system"]["requires"]]
LOCKS = {"requirements.lock": RUNTIME, "requirements-dev.lock": DEVELOPMENT}
LINES = [(lock, line) for lock, lines in LOCKS.items() for line in lines if not line.startswith("statushub[")]


@cache
def locked(lock: str) -> list[tuple[Requirement, list[str]]]:
    """Each requirement of a lock file, with its hashes. Fails where a line is anything else."""
    lines = (ROOT / lock).read_text().replace("\\\n", "").splitlines()
    found = []
    for line in lines:
        if not line.strip().startswith("#"):
            requirement, *hashes = re.split(r" +--hash=", line)
            found.append((Requirement(requirement), hashes))
    return found


@pytest.mark.parametrize(("lock", "line"), LINES)
def test_each_dependency_is_locked_within_its_bounds(lock: str, line: str) -> None:
    """The lock has a version of it for every Python, and each is one that pyproject.toml admits."""
    wanted = Requirement(line)
    pins = [pin for pin, _ in locked(lock) if canonicalize_name(pin.name) == canonicalize_name(wanted.name)]
    assert pins
    for pin in pins:
        [exact] = pin.specifier
        assert exact.operator == "=="
        assert wanted.specifier.contains(exact.version)
    for python in re.findall(r"Python :: (3\.\d+)$", "\n".join(project()["classifiers"]), re.MULTILINE):
        machine = {"python_version": python, "python_full_version": f"{python}.9"}
        assert len([pin for pin in pins if pin.marker is None or pin.marker.evaluate(machine)]) == 1, python


@pytest.mark.parametrize(("lock", "line"), LINES)
def test_each_dependency_has_a_lower_bound(lock: str, line: str) -> None:
    """A version older than any that was tested may have known faults."""
    wanted = Requirement(line)
    lower = [bound for bound in wanted.specifier if bound.operator == ">="]
    # One that only adds an extra to another line has none.
    bounded = {Requirement(other).name for other in RUNTIME if ">=" in other}
    assert lower or wanted.name in bounded


def test_no_version_with_a_known_fault_is_admitted() -> None:
    """PyJWT 2.10.0 compares issuers in part (CVE-2024-53861)."""
    [line] = [line for line in RUNTIME if line.startswith("PyJWT")]
    assert not Requirement(line).specifier.contains("2.10.0")


def test_the_image_gets_every_library_and_no_other() -> None:
    """The lock of the image has exactly what `statushub[all]` requires on this machine."""
    here = {canonicalize_name(pin.name) for pin, _ in locked("requirements.lock") if _applies(pin.marker)}
    assert here == brought(tuple(declared()), "all")


def test_both_locks_name_the_same_versions() -> None:
    """The tests run with the libraries of the image."""
    image = {(pin.name, str(pin.marker)): str(pin.specifier) for pin, _ in locked("requirements.lock")}
    tests = {(pin.name, str(pin.marker)): str(pin.specifier) for pin, _ in locked("requirements-dev.lock")}
    assert all(Version(tests[key][2:]) == Version(image[key][2:]) for key in image.keys() & tests.keys())


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_version_has_hashes_and_no_address(lock: str) -> None:
    """A line is a name, a version, perhaps a marker, and SHA-256 hashes; no line says where to download from."""
    text = (ROOT / lock).read_text()
    assert "://" not in text
    assert not re.search(r"^ *-(?!-hash=)", text, re.MULTILINE)
    assert all(pin.url is None for pin, _ in locked(lock))
    for pin, hashes in locked(lock):
        assert hashes, pin
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64} *", digest) for digest in hashes), pin


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_says_how_it_is_made(lock: str) -> None:
    """Its first lines name the command, which exists."""
    assert "make lock" in "".join((ROOT / lock).read_text().splitlines()[:3])
    assert re.search(rf"^lock:.*\n(?:\t.*\n)*\t.*--output-file {re.escape(lock)}$", _makefile(), re.MULTILINE)


def test_the_image_and_ci_install_from_the_locks() -> None:
    """What CI runs is installed by make, with hashes; so is what the image holds."""
    for lock in LOCKS:
        assert f"--require-hashes --requirement {lock}" in _makefile()
    assert "--require-hashes --requirement /requirements.lock" in (ROOT / "Dockerfile").read_text()


def _applies(marker: Marker | None) -> bool:
    return marker is None or marker.evaluate()


def _makefile() -> str:
    return (ROOT / "Makefile").read_text()
