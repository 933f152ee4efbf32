"""The commands and snippets of the documentation run, with the results that the pages state."""

from __future__ import annotations

import ast
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import ExitStack
from importlib import import_module
from inspect import iscoroutine
from pathlib import Path
from typing import Any, Self

import anyio
import httpx
import msgspec
import pytest

from statushub.hub.config import HEARTBEAT_SECONDS
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.vocabulary import RESERVED_TYPES, STATUS_UPDATE
from tests.support import clips
from tests.support.asgi_server import live_server
from tests.support.command import END_SECONDS, ended, environment, line_with, started
from tests.support.live import live_hub
from tests.support.ports import wait_for_port
from tests.support.redis_server import RedisServer, running_redis
from tests.support.snippets import ROOT, Snippet, checked_install, checked_make, checked_tool, snippets
from tests.support.waiting import eventually

pytestmark = pytest.mark.redis


class Documented:
    """A running hub, which pages call `localhost:8000`; its Redis is `redis://localhost` on the pages."""

    def __init__(self, base_url: str, redis: RedisServer | None = None) -> None:
        self.base_url = base_url
        self.redis = redis
        self.client = httpx.Client(base_url=base_url)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.client.close()

    def localized(self, text: str) -> str:
        """The text with the addresses of these servers."""
        if self.redis:
            text = re.sub(r"redis://localhost(:6379/0)?", self.redis.url, text)
        return re.sub(r"(localhost|127\.0\.0\.1):8000", self.base_url.removeprefix("http://"), text)

    def contents(self, channel: str) -> dict[str, dict[str, Any]]:
        """The contents of a channel, by id."""
        found = self.client.get(f"/api/contents/{channel}").raise_for_status().json()["contents"]
        return {content["content_id"]: content for content in found}

    def publish(self, channel: str, content_id: str, **data: Any) -> None:
        """Publish one event."""
        event = {"channel": channel, "content_id": content_id, "data": data}
        self.client.post("/api/publish", json=event).raise_for_status()


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis for the tests of this module."""
    with running_redis(tmp_path_factory.mktemp("redis"), appendonly=False) as server:
        yield server


@pytest.fixture(scope="module")
def documented(redis: RedisServer) -> Iterator[Documented]:
    """A hub over that Redis."""
    with live_hub(redis.url) as hub, Documented(hub.base_url, redis) as documented:
        yield documented


def parametrized(*languages: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("snippet", snippets(*languages), ids=str)


def only(choices: Mapping[str, Any], snippet: Snippet) -> Any:
    """The value whose key occurs in the snippet; fails unless exactly one does."""
    found = [value for key, value in choices.items() if key in snippet.text]
    assert len(found) == 1, f"{snippet} is in {len(found)} classes of this module; it needs exactly one"
    return found[0]


# Python


def completed(channel: str, content_id: str) -> Callable[[Documented], None]:
    """A check that the snippet's content is complete."""

    def check(documented: Documented) -> None:
        assert documented.contents(channel)[content_id]["status"] == "complete"

    return check


PYTHON: Mapping[str, Callable[[Documented], None]] = {
    "producer.work(": completed("drafts", "article-7"),
    "track(pages": completed("jobs", "import-7"),
}


@parametrized("python")
def test_python(snippet: Snippet, documented: Documented, monkeypatch: pytest.MonkeyPatch) -> None:
    """A snippet runs unchanged, with top-level `await`, and publishes the content that the page names."""
    check = only(PYTHON, snippet)
    monkeypatch.setenv("STATUSHUB_URL", documented.base_url)
    source = documented.localized(snippet.text)
    code = compile(source, str(snippet), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    outcome = eval(code, {"pages": range(3)})
    if iscoroutine(outcome):
        anyio.run(_finished, outcome)
    check(documented)


async def _finished(work: Coroutine[Any, Any, None]) -> None:
    await work


# Console


class Console:
    """A shell in its own folder; exported variables persist to the next command."""

    def __init__(self, documented: Documented, folder: Path) -> None:
        self.documented = documented
        self.folder = folder
        self.stack = ExitStack()
        self.served = ""
        tools = folder / "bin"
        tools.mkdir()
        (tools / "statushub").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m statushub "$@"\n')
        (tools / "statushub").chmod(0o755)
        self.environment = environment(
            {
                "PATH": f"{tools}:{os.environ['PATH']}",
                "STATUSHUB_URL": documented.base_url,
                # Any free port: 8000 may be in use.
                "STATUSHUB_PORT": "0",
            }
        )

    def run(self, command: str) -> str:
        """Run a command until it ends with exit code 0; returns its stdout."""
        exported = self.folder / "exported"
        result = subprocess.run(
            ["bash", "-c", f'{self.documented.localized(command)}\ncode=$?; env -0 > "{exported}"; exit $code'],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=END_SECONDS * 2,
            check=False,
        )
        assert result.returncode == 0, f"{command}\n{result.stderr}"
        variables = exported.read_bytes().decode().removesuffix("\0").split("\0")
        self.environment = dict(line.partition("=")[::2] for line in variables)
        return result.stdout

    def serve(self, command: str) -> str:
        """Start a hub in place of the previous one; each must stop with exit code 0."""
        self.stack.close()
        arguments = shlex.split(self.documented.localized(command))[1:]
        process = self.stack.enter_context(started(*arguments, cwd=self.folder, env=self.environment))
        url = line_with(process, r"Serving (http://\S+?:(\d+))\b", of="stderr")
        self.served = f"http://127.0.0.1:{url[2]}"
        wait_for_port(int(url[2]), process)
        self.stack.callback(lambda: self._stopped(command, ended(process, signal.SIGTERM)[0]))
        return ""

    def watch(self, command: str) -> str:
        """Watch until the first content is shown."""
        arguments = shlex.split(self.documented.localized(command))[1:]
        with started(*arguments, cwd=self.folder, env=self.environment) as process:
            return line_with(process, r"article-\d").string

    def encode(self, command: str) -> str:
        """Encode a short clip of the name in the command."""
        clips.write(self.folder / "clip.mp4", clips.moving())
        self.environment |= {"STATUSHUB_URL": self.documented.base_url}
        said = self.run(f"{command} --preset ultrafast")
        assert [content["status"] for content in self.documented.contents("encodes").values()][-1:] == ["complete"]
        return said

    def other_server(self, command: str) -> str:
        """Serve the application that the command names on another ASGI server."""
        module, _, call = re.findall(r"'([\w.]+)(:)(\w+)\(\)'", command)[0]
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("STATUSHUB_BROKER", self.documented.localized("redis://localhost"))
            application = getattr(import_module(module), call)()
            with live_server(application, http="h11") as base_url:
                eventually(lambda: httpx.get(f"{base_url}/readyz").status_code == 200)
        return ""

    def token(self, command: str) -> str:
        """The printed or exported token is valid at the served hub."""
        token = self.run(command).strip() or self.environment["STATUSHUB_TOKEN"]
        answer = httpx.get(f"{self.served}/api/contents/drafts", headers={"Authorization": f"Bearer {token}"})
        # 403: the token is valid, and covers no channel for reading.
        assert answer.status_code == (200 if "--read" in command else 403), answer.text
        return ""

    @staticmethod
    def _stopped(command: str, code: int) -> None:
        assert code == 0, f"{command} ended with {code}"


def check_make(console: Console, command: str) -> str:
    """The target exists; it is not run."""
    checked_make(command)
    return ""


def check_install(console: Console, command: str) -> str:
    """The extras exist; nothing is installed."""
    checked_install(command)
    return ""


def check_tool(console: Console, command: str) -> str:
    """`make` installs the tool; it is not run."""
    checked_tool(command)
    return ""


def check_compose(console: Console, command: str) -> str:
    """The service exists; no container is started. tests/live/test_compose.py checks the file."""
    words = [word for word in shlex.split(command, comments=True)[2:] if not word.startswith("-")]
    compose = (ROOT / "docker-compose.yml").read_text()
    assert words[0] in ("up", "run")
    assert all(re.search(rf"^  {service}:", compose, re.MULTILINE) for service in words[1:])
    return ""


COMMANDS: Mapping[str, Callable[[Console, str], str]] = {
    r"make ": check_make,
    r"pip install ": check_install,
    r"\.venv/bin/": check_tool,
    r"docker compose ": check_compose,
    r"statushub serve\b": Console.serve,
    r"statushub watch ": Console.watch,
    r"statushub encode ": Console.encode,
    r"(export STATUSHUB_TOKEN=\$\()?statushub token ": Console.token,
    r"\S+ hypercorn ": Console.other_server,
    r"(curl |export STATUSHUB_SECRET=)": Console.run,
}
"""How each command is run or, where it would install or start too much, checked; by its first words."""


def commands(snippet: Snippet) -> Iterator[tuple[str, str]]:
    """The commands after the prompts of a block, each with the output that the page shows."""
    for part in re.split(r"^\$ ", snippet.text, flags=re.MULTILINE)[1:]:
        lines = part.splitlines(keepends=True)
        end = next(number for number, line in enumerate(lines) if not line.endswith("\\\n")) + 1
        yield "".join(lines[:end]).strip(), "".join(lines[end:]).strip()


def run_of(command: str) -> Callable[[Console, str], str]:
    """How a command is run; fails unless exactly one class matches."""
    found = [run for pattern, run in COMMANDS.items() if re.match(pattern, command)]
    assert len(found) == 1, f"`{command}` is in {len(found)} classes of this module; it needs exactly one"
    return found[0]


CONSOLE_PAGES = sorted({snippet.page for snippet in snippets("console")})


@pytest.mark.parametrize("page", CONSOLE_PAGES)
def test_console(page: str, documented: Documented, tmp_path: Path) -> None:
    """The commands of a page, run in order, succeed and print what the page shows; `…` is any text."""
    console = Console(documented, tmp_path)
    with console.stack:
        for snippet in snippets("console"):
            if snippet.page != page:
                continue
            assert snippet.text.startswith("$ "), f"{snippet}: a command begins with a prompt"
            for command, shown in commands(snippet):
                said = run_of(command)(console, command)
                pattern = ".*".join(map(re.escape, shown.split("…")))
                assert not shown or re.fullmatch(pattern, said.strip(), re.DOTALL), f"{snippet}: {said}"


# The wire


def channel_status(hub: Documented) -> object:
    """The answer to a poll of a channel."""
    hub.publish("c", "a", status="generating", processing_status="summarizing", progress=45)
    hub.publish("c", "b", status="complete")
    return hub.client.get("/api/contents/c/status").json()


def batch_status(hub: Documented) -> object:
    """The answer to a poll of contents; of a known one, the fields that the page shows."""
    hub.publish("c", "a", status="complete")
    known, unknown = hub.client.post("/api/contents/status/batch", json={"content_ids": ["a", "b"]}).json()["statuses"]
    return {"statuses": [{key: known[key] for key in ("id", "status", "processing_status")}, unknown]}


def job_status(hub: Documented) -> object:
    """The answer to a poll of jobs."""
    hub.publish("jobs", "id1", status="processing", progress=45)
    return hub.client.post("/v1/ai/jobs/batch-status", json={"job_ids": ["id1", "id2"]}).json()


def video_progress(hub: Documented) -> object:
    """The answer to a poll of a video."""
    steps = {"step": "transcoding", "step_index": 4, "total_steps": 7, "remaining_seconds": 31}
    hub.publish("videos", "v", status="PROCESSING", progress=43, duration=12.5, **steps)
    return hub.client.get("/api/v1/media/videos/v/progress/").json()


def error(hub: Documented) -> object:
    """The error for the fourth event of a batch."""
    good = {"channel": "c", "content_id": "a", "data": {"status": "generating"}}
    bad = {**good, "data": {"status": "generating", "progress": 101}}
    return hub.client.post("/api/publish", json={"events": [good, good, good, bad]}).json()


ANSWERS: Mapping[str, Callable[[Documented], object]] = {
    "processing_contents": channel_status,
    '"statuses"': batch_status,
    '"jobs"': job_status,
    "total_steps": video_progress,
    '"code": "invalid"': error,
}


@parametrized("json")
def test_json(snippet: Snippet) -> None:
    """A publication is accepted; an answer equals the hub's."""
    shown = msgspec.json.decode(snippet.text)
    with live_hub("memory:") as live, Documented(live.base_url) as hub:
        if "content_id" in shown:
            assert hub.client.post("/api/publish", json=shown).json()["accepted"] is True
        else:
            assert only(ANSWERS, snippet)(hub) == shown


@parametrized("sse")
def test_stream(snippet: Snippet) -> None:
    """Types are known, ids are cursors, data are JSON, and the heartbeat interval is the default."""
    frames = [dict(line.split(": ", 1) for line in frame.splitlines()) for frame in snippet.text.split("\n\n")]
    assert list(frames[0]) == ["retry"]
    events = {frame["event"]: msgspec.json.decode(frame["data"]) for frame in frames[1:]}
    assert set(events) - RESERVED_TYPES == {STATUS_UPDATE}
    assert events["ready"]["heartbeat_ms"] == HEARTBEAT_SECONDS * 1000
    first, ready = Cursor.parse(frames[1]["id"]), Cursor.parse(events["ready"]["cursor"])
    assert (first.epoch, first.offset) < (ready.epoch, ready.offset)


@parametrized("redis")
def test_redis(snippet: Snippet, redis: RedisServer, documented: Documented) -> None:
    """A hub answers polls with what the snippet stores straight in Redis."""
    arguments = ["redis-cli", "-p", str(redis.port)]
    said = subprocess.run(
        arguments, input=snippet.text, capture_output=True, text=True, check=True, timeout=END_SECONDS
    )
    accepted, cursor, *_ = said.stdout.split()
    assert accepted == "1"
    assert Cursor.parse(cursor).offset > 0
    # The announcement may come after the answer.
    [content_id] = set(re.findall(r'"content_id":"([^"]+)"', snippet.text))
    eventually(lambda: content_id in documented.contents("encodes"))
    assert documented.contents("encodes")[content_id]["processing_status"] == "completed"


@parametrized("acl")
def test_permissions(snippet: Snippet, tmp_path: Path) -> None:
    """A Redis user with exactly these permissions suffices for a hub that publishes and reads."""
    with running_redis(tmp_path, appendonly=False) as server:
        server.command("ACL", "SETUSER", "hub", "on", ">pw", *snippet.text.split())
        with live_hub(f"redis://hub:pw@127.0.0.1:{server.port}/0") as live, Documented(live.base_url) as hub:
            hub.publish("c", "a", status="generating")
            assert hub.client.get("/readyz").status_code == 200
            assert set(hub.contents("c")) == {"a"}


@parametrized("nginx")
def test_proxy(snippet: Snippet) -> None:
    """The directives equal those of deploy/nginx.conf."""
    ours = dict(_directives((ROOT / "deploy/nginx.conf").read_text()))
    for name, value in _directives(snippet.text):
        # Without an upgrade, the variable is the empty value that the page shows.
        assert ours[name] == (value if name != "proxy_set_header Connection" else "$upgrade_connection"), name


def _directives(text: str) -> Iterator[tuple[str, str]]:
    for line in re.findall(r"^ +((?:proxy_set_header \S+|proxy_\w+) [^;]*);", text, re.MULTILINE):
        name, _, value = line.rpartition(" ")
        yield name, value


@parametrized("text")
def test_drawing(snippet: Snippet) -> None:
    """A drawing or a listing holds no command."""
    assert not re.search(r"^(\$|curl|statushub|make|pip|GET|POST) ", snippet.text, re.MULTILINE)


def test_every_class_is_used() -> None:
    """A class without a snippet has to be removed."""
    texts = [command for snippet in snippets("console") for command, _ in commands(snippet)]
    assert all(any(re.match(pattern, text) for text in texts) for pattern in COMMANDS)
    for classes, language in ((PYTHON, "python"), (ANSWERS, "json")):
        assert all(any(key in snippet.text for snippet in snippets(language)) for key in classes)
