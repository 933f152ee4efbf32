"""`statushub demo`: a hub, and encodes, a summary and document counts to watch on it."""

from __future__ import annotations

import contextlib
import logging.config
import signal
import subprocess
import sys
import tempfile
import threading
import webbrowser
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import click

from statushub.hub.cli.demo_documents import DOCUMENTS_FOLDER
from statushub.hub.cli.encode import require_encoder
from statushub.hub.cli.number import Number, WholeNumber
from statushub.hub.cli.terminal import echo
from statushub.hub.config import Config
from statushub.hub.environment import load
from statushub.hub.logs import logging_config
from statushub.hub.model.errors import ConfigError
from statushub.hub.model.names import DEFAULT_TENANT

DEMO: Final[Mapping[str, Any]] = {
    **{"host": "127.0.0.1", "broker": "memory:", "workers": 1, "log_level": "warning"},
    **{"secret": "", "secret_file": "", "public_key": "", "jwks_url": "", "issuer": "", "audience": ""},
    **{"results_url": "", "jobs": True, "jobs_modules": (), "jobs_tenants": (DEFAULT_TENANT,)},
    **{"documents_url": "", "documents_categories": (), "documents_headers": (), "documents_counter": ""},
    **{"documents_pace": 1.0, "documents_queue": True},
}
"""Settings of a demo, which override the environment's: no sign-in, and no data that outlives it."""

DEMO_PORT: Final = 8000

RESULTS: Final = "results"
"""The folder, within that of the demo, in which the hub serves what was encoded."""

CLIPS: Final = 20
"""Encodes of one demo. They are limited because a demo may be left running for days."""

CLIP_SECONDS: Final = 60.0
"""Length of the first clip: long enough to watch its progress, short enough to see it complete."""

END_SECONDS: Final = 3.0
"""How long the encoding process may take to end before it is killed."""

DISPLAYS: Final = ("DISPLAY", "WAYLAND_DISPLAY")
"""Variables that show a graphical session on Unix: without one, `webbrowser` may start a browser in the terminal."""


@click.command(short_help="Run a hub with real encodes to watch.")
@click.option(
    "--port",
    type=WholeNumber(),
    metavar="PORT",
    help="Port to listen on.  [default: 8000, or a free one if that is in use]",
)
@click.option("--no-browser", is_flag=True, help="Do not open a browser.")
@click.option(
    "--clips",
    type=WholeNumber(1, 1000),
    metavar="COUNT",
    default=CLIPS,
    show_default=True,
    help="Number of encodes.",
)
@click.option(
    "--seconds",
    type=Number(0.5, 3600),
    metavar="SECONDS",
    default=CLIP_SECONDS,
    show_default=True,
    help="Length of the first clip.",
)
@click.pass_obj
def demo(environ: Mapping[str, str], /, port: int | None, no_browser: bool, clips: int, seconds: float) -> None:
    """Run a hub, a few real encodes, a summary and document counts, and open the page that shows them.

    Statuses are kept in memory and results in a temporary folder, which is removed at the end. Ctrl+C ends the demo.
    """
    from statushub.hub import server

    require_encoder()
    # Until the server handles signals, SIGTERM must clean up as Ctrl+C does. Its handler raises SIGINT and no
    # exception, because asyncio turns SIGINT into a cancellation. A shell that starts this process in the background
    # has SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="statushub-demo-"))
        settings = _settings(environ, port, folder)
        logging.config.dictConfig(logging_config(settings.log_level, settings.log_format))

        def ready(url: str) -> None:
            stack.enter_context(demo_worker(url, folder, settings.results_dir, clips, seconds))
            echo(_welcome(url))
            if not no_browser and _has_browser(environ):
                # In a thread, because the call returns only once the browser has started.
                threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()

        # A signal that arrives before the server handles signals.
        with contextlib.suppress(KeyboardInterrupt):
            server.serve(settings, ready=ready)
    echo("The demo has ended.")


def _settings(environ: Mapping[str, str], port: int | None, folder: str) -> Config:
    documents = Path(folder, DOCUMENTS_FOLDER)
    documents.mkdir()
    own = {
        **DEMO,
        "results_dir": str(Path(folder, RESULTS)),
        "documents": str(documents),
        "documents_index": str(Path(folder, "documents.db")),
    }
    settings = load(environ, **own, port=DEMO_PORT if port is None else port)
    if port is None and _in_use(settings):
        echo(f"Port {DEMO_PORT} is in use; using a free one.")
        return load(environ, **own, port=0)
    return settings


def _in_use(settings: Config) -> bool:
    from statushub.hub import listener

    try:
        listener.bind(settings.host, settings.port).close()
    except ConfigError:
        return True
    return False


def _welcome(url: str) -> str:
    address = click.style(f"Open {url}", bold=True, fg="green")
    return (
        f"\n    {address}\n\nIt shows encodes and a summary while they are made, and {url}/documents/\n"
        "a batch of document counts. Ctrl+C ends the demo.\n"
    )


@contextlib.contextmanager
def demo_worker(url: str, folder: str, results: str, clips: int, seconds: float) -> Iterator[subprocess.Popen[bytes]]:
    """The encoding process, which ends with the block."""
    arguments = (url, folder, results, str(clips), str(seconds))
    # In a session of its own, so that Ctrl+C does not reach it: it ends when its stdin is closed.
    # -P: modules in the current folder must not shadow its imports.
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "statushub.hub.cli.demo_worker", *arguments],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.stdin:
            process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(END_SECONDS)
        process.kill()
        process.wait()


def _has_browser(environ: Mapping[str, str]) -> bool:
    return sys.platform in ("darwin", "win32") or any(environ.get(name) for name in DISPLAYS)
