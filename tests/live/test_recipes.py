"""The recipes of docs/recipes.md run as they stand, with real workers, servers and kernels."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import nbformat
import pytest
from nbclient import NotebookClient

from tests.support.live import live_hub
from tests.support.ports import free_port, wait_for_port
from tests.support.redis_server import RedisServer, running_redis
from tests.support.snippets import snippets
from tests.support.task_worker import program, run, stopped, watching

pytestmark = pytest.mark.redis

RECIPES = {
    match[1]: snippet
    for snippet in snippets("python")
    if snippet.page == "docs/recipes.md" and (match := re.match(r"# (\w+\.py)\n", snippet.text))
}

WORKERS_MAX = 1000
"""Requests within which the system chooses each of two workers."""


class Recipes:
    """A folder with all recipes, which publish to a hub of the test and use a Redis of the test."""

    def __init__(self, folder: Path, hub: str, redis: str) -> None:
        self.folder = folder
        self.hub = hub
        self.env = {"STATUSHUB_URL": hub}
        for name, snippet in RECIPES.items():
            (folder / name).write_text(snippet.text.replace("redis://localhost:6379/0", redis))

    def contents(self, channel: str) -> dict[str, dict[str, Any]]:
        """The contents of a channel, by id."""
        found = httpx.get(f"{self.hub}/api/contents/{channel}").raise_for_status().json()["contents"]
        return {content["content_id"]: content for content in found}

    def run(self, *arguments: str) -> str:
        """Run a Python program in the folder."""
        return run(*arguments, cwd=self.folder, env=self.env)


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis for the tests of this module."""
    with running_redis(tmp_path_factory.mktemp("redis"), appendonly=False) as server:
        yield server


@pytest.fixture
def recipes(tmp_path: Path, redis: RedisServer) -> Iterator[Recipes]:
    """The recipes, beside a hub."""
    redis.command("FLUSHALL")
    with live_hub() as hub:
        yield Recipes(tmp_path, hub.base_url, redis.url)


def test_celery(recipes: Recipes) -> None:
    """A task waits, runs and is complete."""
    arguments = ("-m", "celery", "-A", "tasks", "worker", "--concurrency", "1", "--loglevel", "info")
    with (
        watching(recipes.hub, "imports") as told,
        program(*arguments, cwd=recipes.folder, env=recipes.env, ready=" ready."),
    ):
        task = recipes.run("-c", "import tasks; print(tasks.import_file.delay('customers.csv').id)").strip()
        end = told.ended(task)
    assert (end["status"], end["progress"], end["step"]) == ("complete", 100, "row 100")


def test_celery_by_content(recipes: Recipes) -> None:
    """The content is the video, and the other task is not reported."""
    arguments = ("-m", "celery", "-A", "tasks_by_content", "worker", "--concurrency", "1", "--loglevel", "info")
    with (
        watching(recipes.hub, "videos") as told,
        program(*arguments, cwd=recipes.folder, env=recipes.env, ready=" ready."),
    ):
        recipes.run("-c", "import tasks_by_content as t; t.clean_up.delay(); t.encode.delay('harbour')")
        end = told.ended()
    assert (end["content_id"], end["status"]) == ("video-harbour", "complete")
    assert {event["content_id"] for event in told.events} == {"video-harbour"}


def test_rq(recipes: Recipes) -> None:
    """A job waits, runs and is complete."""
    script = "import jobs; jobs.Worker(['default'], connection=jobs.connection).work(burst=True)"
    with watching(recipes.hub, "imports") as told:
        recipes.run("jobs.py")
        recipes.run("-c", script)
        end = told.ended()
    assert (end["status"], end["progress"], end["step"]) == ("complete", 100, "row 100")
    # What is superseded before it is sent may be skipped, and nothing else.
    whole = ["pending 0", "generating 0", "complete 0"]
    assert told.statuses(end["content_id"]) in (whole, [whole[0], whole[-1]])


def test_the_worker_class_is_found_by_rq(recipes: Recipes) -> None:
    """By the command that the page names."""
    recipes.run("jobs.py")
    address = re.findall(r"redis://[^\"]+", (recipes.folder / "jobs.py").read_text())[0]
    arguments = ("-m", "rq.cli", "worker", "default", "--burst", "--url", address, "--worker-class", "jobs.Worker")
    recipes.run(*arguments)
    assert [content["status"] for content in recipes.contents("imports").values()] == ["complete"]


def test_taskiq(recipes: Recipes) -> None:
    """A task waits, runs and is complete."""
    arguments = ("-m", "taskiq", "worker", "broker:broker", "--workers", "1")
    send = """
import asyncio, broker
async def send():
    await broker.broker.startup()
    await broker.import_file.kiq("customers.csv")
    await broker.broker.shutdown()
asyncio.run(send())
"""
    with (
        watching(recipes.hub, "imports") as told,
        program(*arguments, cwd=recipes.folder, env=recipes.env, ready="Listening started"),
    ):
        recipes.run("-c", send)
        end = told.ended()
    assert (end["status"], end["progress"], end["step"]) == ("complete", 100, "row 100")


@pytest.mark.parametrize(
    ("command", "path", "channel", "content_id"),
    [
        (("-m", "uvicorn", "service:app", "--port"), "articles/harbour/summary", "drafts", "harbour"),
        (("pictures.py",), "pictures/harbour/thumbnail", "pictures", "thumbnail-harbour"),
    ],
    ids=["FastAPI", "Django"],
)
def test_a_web_framework(recipes: Recipes, command: tuple[str, ...], path: str, channel: str, content_id: str) -> None:
    """A request starts work that is reported to its end."""
    port = free_port()
    arguments = (*command, str(port)) if command[-1] == "--port" else command
    with (
        watching(recipes.hub, channel) as told,
        program(*arguments, cwd=recipes.folder, env={**recipes.env, "PORT": str(port)}) as process,
    ):
        wait_for_port(port, process)
        answer = httpx.post(f"http://127.0.0.1:{port}/{path}")
        assert answer.json()["content_id"] == content_id
        assert told.ended(content_id)["status"] == "complete"


@pytest.mark.parametrize("options", [(), ("--preload",)], ids=["each worker loads", "preload"])
def test_gunicorn(recipes: Recipes, options: tuple[str, ...]) -> None:
    """Workers report what they do in requests, where the SDK was used before they were forked, too."""
    port = free_port()
    arguments = ("-m", "gunicorn", *options, "--workers", "2", "--bind", f"127.0.0.1:{port}", "labels:application")
    with (
        watching(recipes.hub, "labels") as told,
        program(*arguments, cwd=recipes.folder, env=recipes.env) as process,
    ):
        wait_for_port(port, process)
        workers: dict[int, str] = {}
        for number in range(WORKERS_MAX):
            answer = httpx.get(f"http://127.0.0.1:{port}/{number}", timeout=60).raise_for_status().text
            workers.setdefault(int(answer.split()[-1]), str(number))
            if len(workers) == 2:
                break
        assert len(workers) == 2
        for worker, content_id in workers.items():
            assert worker != process.pid
            end = told.ended(content_id)
            assert (end["status"], end["worker"]) == ("complete", worker)
        assert recipes.contents("labels")["load"]["status"] == "complete"
        assert stopped(process) == 0


def test_multiprocessing(recipes: Recipes) -> None:
    """Every work of every process is complete."""
    recipes.run("shrink.py")
    assert {id: content["status"] for id, content in recipes.contents("shrinking").items()} == dict.fromkeys(
        (f"picture-{number}" for number in range(8)), "complete"
    )


def test_notebooks(recipes: Recipes, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cells run in a real kernel."""
    monkeypatch.setenv("STATUSHUB_URL", recipes.hub)
    cells = RECIPES["notebook.py"].text.split("# %%")[1:]
    notebook = nbformat.from_dict(  # type: ignore[no-untyped-call]
        {
            "cells": [{"cell_type": "code", "metadata": {}, "outputs": [], "source": f"# {cell}"} for cell in cells],
            **{"metadata": {}, "nbformat": 4, "nbformat_minor": 4},
        }
    )
    NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    statuses = {id: content["status"] for id, content in recipes.contents("notebooks").items()}
    assert statuses == {"clean-up": "complete", "publish-results": "complete"}


def test_every_recipe_is_run() -> None:
    """A test in this module names the file of each Python block of the page."""
    blocks = [snippet for snippet in snippets("python") if snippet.page == "docs/recipes.md"]
    assert len(blocks) == len(RECIPES) == 9
    text = Path(__file__).read_text()
    assert all(re.search(rf"\b{name.removesuffix('.py')}\b", text.partition("RECIPES = ")[2]) for name in RECIPES)
