"""The built distributions, installed in clean environments and used beside a user's own modules."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from email import message_from_bytes
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from tests.support.command import environment
from tests.support.ports import free_port, wait_for_port
from tests.support.redis_server import RedisServer
from tests.support.wheel import ROOT, CleanEnvironment, build

pytestmark = pytest.mark.slow

FOLDERS = ("hub", "producers", "web")

COMMAND = """
from importlib.metadata import entry_points
[script] = entry_points(group="console_scripts", name="statushub")
script.load()()
"""
"""The code of the installed script `statushub`."""

WORKER = """
import json, sys
import statushub

url, channel = sys.argv[1:]
with statushub.SyncProducer(url) as producer:
    producer.publish(f"{channel}-1", channel=channel, status="generating")
with statushub.work(f"{channel}-2", channel=channel, url=url) as work:
    work.update("generating", progress=45)
for item in statushub.track(range(3), channel=channel, content_id=f"{channel}-3", url=url):
    pass
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""

PROGRAM = """
import statushub

async def main(url: str) -> statushub.Receipt:
    async with statushub.Producer(url) as producer, producer.work("c", channel="ch") as work:
        await work.update("generating", progress=45)
    with statushub.work("c", channel="ch") as other:
        other.update(progress=4)
    for number in statushub.track([1, 2], channel="ch", content_id="c"):
        reveal_type(number)
    reveal_type(work)
    try:
        return await producer.publish("c", channel="ch", status="complete")
    except statushub.Invalid as error:
        reveal_type(error.field)
        producer.wrok("c", channel="ch")
        raise statushub.Prodcer()
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked source distribution."""
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(build("sdist", ROOT, folder)) as archive:
        archive.extractall(folder, filter="data")
    [unpacked] = (path for path in folder.iterdir() if path.is_dir())
    return unpacked


@pytest.fixture(scope="module")
def worker(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> CleanEnvironment:
    """The environment after `pip install statushub`."""
    return CleanEnvironment(tmp_path_factory.mktemp("worker"), wheel)


@pytest.fixture(scope="module")
def server(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> CleanEnvironment:
    """The environment after `pip install 'statushub[server]'`."""
    return CleanEnvironment(tmp_path_factory.mktemp("server"), wheel, "server")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A user's folder with modules named like folders of this project; importing one of them fails."""
    for name in ("hub.py", "producers/__init__.py", "web/__init__.py", "tests/__init__.py"):
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("raise RuntimeError('this is the user\\'s own module')\n")
    return tmp_path / "project"


@contextlib.contextmanager
def hub(environment: CleanEnvironment, project: Path, broker: str) -> Iterator[str]:
    """Run the installed `statushub serve` in the user's folder; yields its address."""
    port = free_port()
    arguments = ("serve", "--port", str(port), "--broker", broker)
    command = [str(environment.python), "-c", COMMAND, *arguments]
    process = subprocess.Popen(command, cwd=project, env=environment.environ)
    try:
        wait_for_port(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def checksums(wheel: Path) -> dict[str, str]:
    """The checksum of each file of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        assert len(names) == len(set(names))
        return {name: hashlib.sha256(archive.read(name)).hexdigest() for name in names}


def test_the_wheel_holds_one_package(wheel: Path) -> None:
    """The wheel has the three folders whole, under `statushub/`, and nothing else of the repository."""
    names = {name for name in checksums(wheel) if ".dist-info/" not in name}
    sources = {path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file()}
    face = ROOT / "statushub"
    sources |= {*face.glob("*.py"), *face.glob("integrations/*.py"), face / "py.typed"}
    paths = {path.relative_to(ROOT) for path in sources if "__pycache__" not in path.parts}
    assert names == {str(path if path.parts[0] == "statushub" else "statushub" / path) for path in paths}
    assert names >= {
        "statushub/hub/brokers/redis/functions.lua",
        "statushub/hub/brokers/sqlite/schema.sql",
        "statushub/hub/openapi.json",
        "statushub/web/client/index.js",
        "statushub/py.typed",
    }


def test_a_wheel_of_the_source_distribution_is_the_same(wheel: Path, sdist: Path, tmp_path: Path) -> None:
    """Wheels built from the repository and from the source distribution are equal, byte for byte."""
    assert checksums(build("wheel", sdist, tmp_path)) == checksums(wheel)


def test_the_source_distribution_can_run_its_tests(sdist: Path) -> None:
    """`make` creates the links, which an archive does not hold; every file that the tests read is included."""
    subprocess.run(["make", "-s", *(f"statushub/{name}" for name in FOLDERS)], cwd=sdist, timeout=30, check=True)
    tests = ["tests/unit/test_fence.py", "tests/live/test_compose.py", "tests/unit/test_docs.py"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    ran = subprocess.run(
        command, cwd=sdist, env={**environment(), "PYTHONPATH": str(sdist)}, capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0, ran.stdout


def test_the_description_has_no_relative_links(wheel: Path) -> None:
    """The description is the whole README without the repository's pictures and links."""
    with zipfile.ZipFile(wheel) as archive:
        [name] = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        described = message_from_bytes(archive.read(name))
    text = str(described.get_payload())
    assert not re.findall(r"\]\((?!https?:)", text)
    assert re.findall("^#.*", text, re.MULTILINE) == re.findall("^#.*", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert described["Description-Content-Type"] == "text/markdown"


@pytest.mark.redis
@pytest.mark.parametrize("over", ["http", "redis"])
def test_a_worker_publishes_with_only_its_requirements(
    over: str, worker: CleanEnvironment, server: CleanEnvironment, project: Path, redis_server: RedisServer
) -> None:
    """Hub and worker run in separate environments, in a folder with the user's own `hub.py` and `producers/`."""
    channel = f"ch-{uuid4().hex[:12]}"
    with hub(server, project, "memory:" if over == "http" else redis_server.url) as url:
        ran = worker.run("-c", WORKER, url if over == "http" else redis_server.url, channel, cwd=project)
        assert ran.returncode == 0, ran.stderr
        listed = httpx.get(f"{url}/api/contents/{channel}/status", params={"view": "list"}).json()
    statuses = {f"{channel}-1": "generating", f"{channel}-2": "complete", f"{channel}-3": "complete"}
    assert {content["id"]: content["status"] for content in listed} == statuses
    assert not {*json.loads(ran.stdout)} & {"hub", "producers", "web", "tests", "click", "starlette", "hiredis"}


def test_errors_name_the_extra_to_install(worker: CleanEnvironment, project: Path) -> None:
    """The command and the import name the missing extra."""
    ran = worker.run("-c", COMMAND, "serve", cwd=project)
    assert ran.returncode == 1
    assert ran.stderr == (
        "statushub: the command line needs click, which is not installed: pip install 'statushub[cli]';"
        " 'statushub[server]' also runs a hub\n"
    )
    ran = worker.run("-c", "from statushub import create_app", cwd=project)
    assert "pip install 'statushub[server]'" in ran.stderr.splitlines()[-1]


def test_a_user_program_is_type_checked(worker: CleanEnvironment, project: Path) -> None:
    """Strict mypy accepts valid calls of the installed package and finds the invalid ones."""
    (project / "program.py").write_text(PROGRAM)
    command = [sys.executable, "-m", "mypy", "--strict", "--python-executable", str(worker.python), "program.py"]
    checked = subprocess.run(
        command, cwd=project, env=worker.environ, capture_output=True, text=True, timeout=55, check=False
    )
    told = re.findall(r"^program.py:\d+: (?:note: Revealed type is |error: )([^;\n]*)", checked.stdout, re.MULTILINE)
    assert told == [
        '"int"',
        '"statushub.producers.work.Work"',
        '"str | None"',
        '"Producer" has no attribute "wrok"  [attr-defined]',
        'Module has no attribute "Prodcer"',
    ], checked.stdout
