"""The commands and snippets of the documentation run, with the results that the pages state."""

from __future__ import annotations

import ast
import logging
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from inspect import iscoroutine
from pathlib import Path
from typing import Any, Self

import anyio
import httpx
import msgspec
import pytest
import yaml
from starlette.routing import Route
from websockets.sync.client import connect

from statushub.hub.app import ROUTES
from statushub.hub.cli.encode import default_name
from statushub.hub.config import HEARTBEAT_SECONDS
from statushub.hub.environment import load, unknown_variables
from statushub.hub.logs import ACCESS_PATH, TRACE, JsonLine, WithoutQuery
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.vocabulary import RESERVED_TYPES, STATUS_UPDATE
from statushub.hub.viewers.session import RETRY_MS
from tests.support import clips, documents
from tests.support.certificate import certificate
from tests.support.command import END_SECONDS, ended, environment, line_with, started
from tests.support.database_server import DatabaseServer
from tests.support.frames import Frames
from tests.support.growing import Reader
from tests.support.live import live_hub
from tests.support.model_server import model_server, pairs, says
from tests.support.ports import free_port, wait_for_port
from tests.support.publishing import publish
from tests.support.record import TeamDatabase, contents_table, row
from tests.support.redis_server import RedisServer, running_redis
from tests.support.snippets import ROOT, Snippet, checked_install, checked_make, checked_tool, snippets
from tests.support.tokens import SECRET
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
    with live_hub(redis.url, feed=True) as hub, Documented(hub.base_url, redis) as documented:
        documented.publish("reports", FOLLOWED, status="complete")
        yield documented


def parametrized(*languages: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("snippet", snippets(*languages), ids=str)


def only(choices: Mapping[str, Any], snippet: Snippet) -> Any:
    """The value whose key occurs in the snippet; fails unless exactly one does."""
    found = [value for key, value in choices.items() if key in snippet.text]
    assert len(found) == 1, f"{snippet} is in {len(found)} classes of this module; it needs exactly one"
    return found[0]


# Python


def file_of(snippet: Snippet) -> str | None:
    """The file in which the page has the snippet, by its first line."""
    found = re.match(r"# (\w+\.py)\n", snippet.text)
    return found[1] if found else None


def completed(channel: str, content_id: str) -> Callable[[Documented], None]:
    """A check that the snippet's content is complete."""

    def check(documented: Documented) -> None:
        assert documented.contents(channel)[content_id]["status"] == "complete"

    return check


FOLLOWED = "report-18"
"""A content that is there before the snippets run."""


def assert_empty(documented: Documented, channel: str) -> None:
    """The channel has no content, after what the snippet removed."""
    eventually(lambda: not documented.contents(channel))


def arrived(channel: str, content_id: str) -> Callable[[Documented], None]:
    """The same of a snippet that does not wait for it."""

    def check(documented: Documented) -> None:
        eventually(lambda: documented.contents(channel).get(content_id, {}).get("status") == "complete")

    return check


def counted(video: str) -> Callable[[Documented], None]:
    """A check that the snippet counted the views of a video."""

    def check(documented: Documented) -> None:
        answer = documented.client.post("/v1/videos/batch-metadata", json={"video_ids": [video]}).json()
        assert answer["videos"][video]["view_count"] == 3

    return check


PYTHON: Mapping[str, Callable[[Documented], None]] = {
    'producer.work("article-7"': completed("drafts", "article-7"),
    'content_id="import-7"': completed("jobs", "import-7"),
    **{f'"{name}", channel="reports"': completed("reports", name) for name in ("report-7", "report-8", "report-9")},
    **{f'content_id="{name}"': completed("reports", name) for name in ("clean-up", "import")},
    '"report-10"': completed("reports", "report-10"),
    'content_id="purge"': completed("reports", "purge"),
    '"report-15"': completed("reports", "report-15"),
    '"report-16"': lambda documented: assert_empty(documented, "old-reports"),
    '"report-11"': completed("reports", "report-12"),
    # Their loops end when they are told of it.
    "statushub.follow_sync(": completed("reports", FOLLOWED),
    "statushub.Contents(": completed("reports", FOLLOWED),
    '"report-13"': completed("reports", "report-13"),
    '"report-14"': completed("reports", "report-14"),
    '"answer-1"': completed("answers", "answer-1"),
    'content_id="article-20"': completed("drafts", "article-20"),
    '"article-21"': completed("drafts", "article-21"),
    'batch.count("clip-73"': counted("clip-73"),
    '"video:clip-61"': arrived("videos", "clip-61"),
}


# Those of the recipes are programs, which tests/live/test_recipes.py runs; those that name a file are of the console.
@pytest.mark.parametrize(
    "snippet", [it for it in snippets("python") if it.page != "docs/recipes.md" and not file_of(it)], ids=str
)
def test_python(snippet: Snippet, documented: Documented, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A snippet runs unchanged, with top-level `await`, and publishes the content that the page names."""
    check = only(PYTHON, snippet)
    # What it adds there goes with it.
    monkeypatch.setattr(logging.getLogger(), "handlers", [*logging.getLogger().handlers])
    monkeypatch.setenv("STATUSHUB_URL", documented.base_url)
    monkeypatch.chdir(tmp_path)
    source = documented.localized(snippet.text)
    code = compile(source, str(snippet), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    with model_server(says("Rivers carry salt into the sea.")) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "any")
        outcome = eval(code, {})
        if iscoroutine(outcome):
            anyio.run(_finished, outcome)
    check(documented)


async def _finished(work: Coroutine[Any, Any, None]) -> None:
    await work


# Console


class Console:
    """A shell in its own folder; exported variables persist to the next command."""

    def __init__(self, documented: Documented, folder: Path, database: Callable[[], DatabaseServer]) -> None:
        """`database` starts a PostgreSQL, where a page needs one."""
        self.documented = documented
        self.folder = folder
        self.database = database
        self.stack = ExitStack()
        self.served = ""
        tools = folder / "bin"
        tools.mkdir()
        (tools / "statushub").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m statushub "$@"\n')
        (tools / "statushub").chmod(0o755)
        (tools / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        (tools / "python").chmod(0o755)
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
        words = shlex.split(self.documented.localized(command))
        start = words.index("statushub")
        variables = dict(word.split("=", 1) for word in words[:start])
        process = self.stack.enter_context(
            started(*words[start + 1 :], cwd=self.folder, env={**self.environment, **variables})
        )
        url = line_with(process, r"Serving (http://\S+?:(\d+))\b", of="stderr")
        self.served = f"http://127.0.0.1:{url[2]}"
        wait_for_port(int(url[2]), process)
        self.stack.callback(lambda: self._stopped(command, ended(process, signal.SIGTERM)[0]))
        return ""

    def ask(self, command: str) -> str:
        """Run a command against the hub that the page has started."""
        return self.run(command.replace("http://localhost:8000", self.served))

    def start_job(self, command: str) -> str:
        """Start a job at the served hub, and wait until it has ended."""
        self.environment["STATUSHUB_URL"] = self.served
        said = self.run(command)

        def ended() -> bool:
            jobs = httpx.get(f"{self.served}/api/contents/jobs").json()["contents"]
            return [job["status"] for job in jobs if job["content_id"] == said.strip()] == ["complete"]

        eventually(ended)
        return said

    def work(self, command: str) -> str:
        """Start a worker until it works; it must stop with exit code 0."""
        words = shlex.split(self.documented.localized(command))[1:]
        with started(*words, cwd=self.folder, env=self.environment) as process:
            line_with(process, r"runs count", of="stderr")
            assert ended(process, signal.SIGTERM)[0] == 0
        return ""

    def record(self, command: str) -> str:
        """Let a database with a table that knows nothing of a status be that of the page."""
        url = self.environment["STATUSHUB_SOURCE"] = self.database().url
        TeamDatabase(url).create(contents_table(migrated=False), [row(f"r{n}", age=n) for n in range(50)])
        return ""

    def migrate(self, command: str) -> str:
        """Apply the migration that a command prints."""
        TeamDatabase(self.environment["STATUSHUB_SOURCE"]).execute(self.run(command))
        return ""

    def watch(self, command: str) -> str:
        """Watch until the first content is shown."""
        arguments = shlex.split(self.documented.localized(command))[1:]
        with started(*arguments, cwd=self.folder, env=self.environment) as process:
            return line_with(process, r"article-\d").string

    def back_up(self, command: str) -> str:
        """Copy the file of a hub that has stopped; a hub on the copy has its state."""
        self.serve("statushub serve")
        publish(self.served, "kept", "generating")
        self.stack.close()
        self.run(command)
        self.serve(f"statushub serve --broker sqlite:///{command.split()[-1]}")
        [content] = httpx.get(f"{self.served}/api/contents/c").json()["contents"]
        assert content["content_id"] == "kept"
        return ""

    def redis_cli(self, command: str) -> str:
        """A command that removes a tenant removes all of its keys."""
        assert self.documented.redis
        server = self.documented.redis
        server.command("SET", "hub:{acme}:clock", "x")
        said = self.run(command)
        if "unlink" in command:
            assert server.command("EXISTS", "hub:{acme}:clock").strip() == "0"
        return said if " --scan" in command else ""

    def encode(self, command: str) -> str:
        """Encode a short clip of the name in the command."""
        clips.write(self.folder / "clip.mp4", clips.moving())
        self.environment |= {"STATUSHUB_URL": self.documented.base_url}
        said = self.run(f"{command} --preset ultrafast")
        assert [content["status"] for content in self.documented.contents("encodes").values()][-1:] == ["complete"]
        return said

    def generate(self, command: str) -> str:
        """Summarize an article of the name in the command, by a server of the address in it, where there is one."""
        (self.folder / "article.html").write_text(documents.html())
        with model_server(says("It grinds again."), says(pairs(("When?", "Since 2021.")))) as server:
            said = self.run(re.sub(r"http://\S+/v1", server.url, command))
        content_id = default_name(str(self.folder / "article.html"), "text")
        assert self.documented.contents("drafts")[content_id]["status"] == "complete"
        return said

    def other_server(self, command: str) -> str:
        """Serve the application on another ASGI server, with a certificate of the test."""
        port = free_port()
        for name, file in certificate(self.folder).items():
            file.rename(self.folder / {"ssl_certfile": "tls.pem", "ssl_keyfile": "tls.key"}[name])
        setting, *words = shlex.split(self.documented.localized(command).replace("\\\n", ""))
        name, _, value = setting.partition("=")
        process = subprocess.Popen(
            [sys.executable, "-m", *words, "--port", str(port)],
            cwd=self.folder,
            env={**self.environment, name: value},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_for_port(port, process)
            with httpx.Client(base_url=f"https://localhost:{port}", verify=False) as client:
                eventually(lambda: client.get("/readyz").status_code == 200)
            process.terminate()
            self._stopped(command, process.wait(END_SECONDS))
        finally:
            process.kill()
            process.wait()
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
    r"((OTEL|STATUSHUB)_\w+=\S+ )*statushub serve\b": Console.serve,
    r"statushub watch drafts": Console.watch,
    r"statushub worker ": Console.work,
    r"python start\.py": Console.start_job,
    r"statushub encode ": Console.encode,
    r"statushub generate ": Console.generate,
    r"cp statushub\.db ": Console.back_up,
    r"redis-cli ": Console.redis_cli,
    r"printf ": Console.run,
    r"(export CURSOR=\$\()?statushub (get|ls|cancel|check|publish|remove|feed|watch (jobs|films))\b": Console.run,
    r"eval ": Console.run,
    r"(export STATUSHUB_TOKEN=\$\()?statushub token ": Console.token,
    r"\S+ granian ": Console.other_server,
    r"curl .*/api/documents/": Console.ask,
    r"(mkdir|echo) ": Console.run,
    r"(curl (?!.*/api/documents/)|export STATUSHUB_(SECRET|RECORD)=|statushub source check)": Console.run,
    r"export STATUSHUB_SOURCE=": Console.record,
    r"statushub source sql ": Console.migrate,
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
def test_console(page: str, documented: Documented, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """The commands of a page, run in order, succeed and print what the page shows; `…` is any text."""
    console = Console(documented, tmp_path, partial(request.getfixturevalue, "postgres_server"))
    for snippet in snippets("python"):
        if snippet.page == page and (name := file_of(snippet)):
            (tmp_path / name).write_text(snippet.text)
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


def channel_list(hub: Documented) -> object:
    """The answer about a channel, with the time and the cursor that the page shows."""
    for status, count in (("complete", 40), ("pending", 2), ("generating", 1)):
        for number in range(count):
            hub.publish("jobs/7", f"{status} {number}", status=status)
    answer = hub.client.get("/api/channels").json()
    [channel] = answer["channels"]
    channel |= {"updated_at": "2025-07-31T13:00:00.000Z", "cursor": "k3f9a2-184"}
    return answer


def video_progress(hub: Documented) -> object:
    """The answer to a poll of a video."""
    steps = {"step": "transcoding", "step_index": 4, "total_steps": 7, "remaining_seconds": 31}
    hub.publish("videos", "v", status="PROCESSING", progress=43, duration=12.5, **steps)
    return hub.client.get("/api/v1/media/videos/v/progress/").json()


def socket_event(hub: Documented) -> object:
    """An event on a socket, with the id that the page shows."""
    moment = {"timestamp": "2025-07-31T13:00:00.000Z", "remaining_seconds": 30}
    hub.publish("688a…", "688b…", status="generating", processing_status="summarizing", progress=45, **moment)
    with connect(f"{str(hub.client.base_url).replace('http', 'ws', 1)}/api/contents/688a…/ws", proxy=None) as socket:
        while (said := msgspec.json.decode(socket.recv(20)))["type"] != STATUS_UPDATE:
            pass
    return said | {"id": "k3f9a2-181"}


def removal(hub: Documented) -> object:
    """What became of a removal, with the cursor that the page shows."""
    hub.publish("c", "a", status="complete")
    answer = hub.client.post("/api/contents/c/remove", json={"content_ids": ["a", "b"]}).json()
    return answer | {"cursor": "k3f9a2-185"}


REQUEST = {"by": "user-42", "at": "2025-07-31T13:00:00.000Z", "reason": "wrong file"}


def cancel(hub: Documented) -> object:
    """The answer to a request to cancel, with the cursor, the subject and the time that the page shows."""
    hub.publish("c", "a", status="generating")
    asked = {"content_id": "a", "reason": "wrong file"}
    answer = hub.client.post("/api/contents/c/cancel", json=asked).raise_for_status().json()
    shown = {name: REQUEST[name] for name in ("by", "at")}
    return {"cursor": "k3f9a2-186", "cancel_requested": answer["cancel_requested"] | shown}


def cancels(hub: Documented) -> object:
    """The answer to the poll of a worker, likewise."""
    cancel(hub)
    answer = hub.client.get("/api/cancels").raise_for_status().json()
    told = [it | {"cancel_requested": REQUEST} for it in answer["cancels"]]
    return {"cursor": "k3f9a2-186", "cancels": told}


def error(hub: Documented) -> object:
    """The error for the fourth event of a batch."""
    good = {"channel": "c", "content_id": "a", "data": {"status": "generating"}}
    bad = {**good, "data": {"status": "generating", "progress": 101}}
    return hub.client.post("/api/publish", json={"events": [good, good, good, bad]}).json()


def log_line(hub: Documented) -> object:
    """A line of the log about a request that belongs to a trace, with the time and the port that the page shows."""
    about = ("127.0.0.1:50123", "GET", "/api/contents/c?ticket=t", "1.1", 200)
    record = logging.makeLogRecord(
        {
            "name": "uvicorn.access",
            "levelno": logging.INFO,
            "levelname": "INFO",
            "msg": '%s - "%s %s HTTP/%s" %d',
            "args": about,
        }
    )
    token = TRACE.set("0af7651916cd43dd8448eb211c80319c")
    try:
        assert WithoutQuery(ACCESS_PATH).filter(record)
        line: dict[str, str] = msgspec.json.decode(JsonLine().format(record))
    finally:
        TRACE.reset(token)
    return line | {"time": "2025-07-31T13:00:00.000Z"}


ANSWERS: Mapping[str, Callable[[Documented], object]] = {
    '"logger"': log_line,
    "processing_contents": channel_status,
    '"statuses"': batch_status,
    '"jobs"': job_status,
    '"channels"': channel_list,
    "total_steps": video_progress,
    '"code": "invalid"': error,
    '"removed"': removal,
    '"cursor": "k3f9a2-186", "cancel_requested"': cancel,
    '"cancels"': cancels,
    '"id": "k3f9a2-181"': socket_event,
}


@parametrized("json")
def test_json(snippet: Snippet) -> None:
    """A publication is accepted; an answer equals the hub's."""
    shown = msgspec.json.decode(snippet.text)
    with live_hub("memory:") as live, Documented(live.base_url) as hub:
        if "delta" in shown:
            whole = {name: shown[name] for name in ("channel", "content_id")} | {"data": {"status": "generating"}}
            hub.client.post("/api/publish", json=whole | {"seq": shown["delta"]["follows"]})
        if "content_id" in shown:
            assert hub.client.post("/api/publish", json=shown).json()["accepted"] is True
        else:
            assert only(ANSWERS, snippet)(hub) == shown


@parametrized("sse")
def test_stream(snippet: Snippet) -> None:
    """Types are known, ids are cursors, data are JSON, and the heartbeat interval is the default; deltas fit."""
    frames = Frames(chunked=False).feed(f"{snippet.text}\n".encode())
    if "content_delta" in snippet.text:
        reader = Reader()
        reader.take_frames(frames)
        assert (reader.wholes, reader.deltas) == (1, snippet.text.count("event: content_delta"))
        return
    events = {frame.event or frame.json["type"]: frame for frame in frames}
    assert set(events) - RESERVED_TYPES == {STATUS_UPDATE}
    assert frames[0].retry in range(RETRY_MS[0], RETRY_MS[1] + 1)
    assert events["ready"].json["heartbeat_ms"] == HEARTBEAT_SECONDS * 1000
    first, ready = Cursor.parse(frames[0].id or ""), Cursor.parse(events["ready"].json["cursor"])
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


@parametrized("yaml")
def test_kubernetes(snippet: Snippet) -> None:
    """Its variables are valid settings with a key, its probes are routes, and it has time for the hub to drain."""
    pod = yaml.safe_load(snippet.text)["spec"]["template"]["spec"]
    [container] = pod["containers"]
    environ = {each["name"]: each.get("value", SECRET) for each in container["env"]}
    settings = load(environ)
    assert unknown_variables(environ) == []
    assert settings.auth_required
    paths = {route.path for route in ROUTES if isinstance(route, Route)}
    assert {container[probe]["httpGet"]["path"] for probe in ("readinessProbe", "livenessProbe")} <= paths
    command, seconds = container["lifecycle"]["preStop"]["exec"]["command"]
    assert command == "sleep"
    assert pod["terminationGracePeriodSeconds"] > int(seconds) + settings.grace
    assert container["ports"][0]["containerPort"] == settings.port


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
