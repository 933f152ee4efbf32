"""`statushub demo`: a hub, and something to watch on it."""

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
from typing import Any, Final

import click

from statushub.hub.cli.encode import require_encoder
from statushub.hub.config import Config
from statushub.hub.environment import load
from statushub.hub.logs import logging_config
from statushub.hub.model.errors import ConfigError

DEMO: Final[Mapping[str, Any]] = {
    **{"host": "127.0.0.1", "broker": "memory:", "workers": 1, "log_level": "warning"},
    **{"secret": "", "secret_file": "", "public_key": "", "jwks_url": ""},
}
"""The settings of a demo, whatever the environment says of the hub that it is meant for: nobody has to sign in."""

DEMO_PORT: Final = 8000

CLIPS: Final = 20
"""Encodes of one demo: it may be forgotten in a window for days."""

CLIP_SECONDS: Final = 60.0
"""Length of the first clip: long enough to see it move, short enough to see it end."""

END_SECONDS: Final = 3.0
"""How long the encoding process may take to end before it is made to."""

DISPLAYS: Final = ("DISPLAY", "WAYLAND_DISPLAY")
"""Variables without which there is no browser to open on anything but macOS and Windows, or one in the terminal."""


@click.command(short_help="Run a hub with real encodes to watch.")
@click.option("--port", type=int, help="The port to listen on.  [default: 8000, or a free one where that is taken]")
@click.option("--no-browser", is_flag=True, help="Open no browser.")
@click.option("--clips", type=click.IntRange(1, 1000), default=CLIPS, show_default=True, help="Encodes in all.")
@click.option(
    "--seconds",
    type=click.FloatRange(0.5, 3600),
    default=CLIP_SECONDS,
    show_default=True,
    help="Length of the first clip.",
)
@click.pass_obj
def demo(environ: Mapping[str, str], /, port: int | None, no_browser: bool, clips: int, seconds: float) -> None:
    """Run a hub and a few real encodes, and open the page that shows them.

    Nothing is kept: statuses are in memory, results in a temporary folder. Ctrl+C ends it.
    """
    from statushub.hub import server

    require_encoder()
    # Until the server takes the signals over, SIGTERM must clean up as Ctrl+C does. Not by raising here: within
    # an event loop, Ctrl+C is a cancellation, and an exception out of nowhere would be a crash. A shell that
    # starts us in the background has Ctrl+C ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    settings = _settings(environ, port)
    logging.config.dictConfig(logging_config(settings.log_level))
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="statushub-demo-"))

        def ready(url: str) -> None:
            stack.enter_context(demo_worker(url, folder, clips, seconds))
            click.echo(_welcome(url))
            if not no_browser and _has_browser(environ):
                # A browser that has to start keeps whoever opens it waiting.
                threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()

        # A signal that comes before the server takes them over; it means the same.
        with contextlib.suppress(KeyboardInterrupt):
            server.serve(settings, ready=ready)
    click.echo("The demo has ended.")


def _settings(environ: Mapping[str, str], port: int | None) -> Config:
    settings = load(environ, **DEMO, port=DEMO_PORT if port is None else port)
    if port is None and _taken(settings):
        click.echo(f"Port {DEMO_PORT} is taken, so a free one is used.")
        return load(environ, **DEMO, port=0)
    return settings


def _taken(settings: Config) -> bool:
    from statushub.hub import server

    try:
        server.bind(settings.host, settings.port).close()
    except ConfigError:
        return True
    return False


def _welcome(url: str) -> str:
    address = click.style(f"Open {url}", bold=True, fg="green")
    return f"\n    {address}\n\nVideos are being encoded for you to watch there. Ctrl+C ends the demo.\n"


@contextlib.contextmanager
def demo_worker(url: str, folder: str, clips: int, seconds: float) -> Iterator[subprocess.Popen[bytes]]:
    """The encoding process, for the time of the block."""
    arguments = (url, folder, str(clips), str(seconds))
    # Ctrl+C reaches the whole process group; this one ends when it is told to, and when its stdin ends.
    # -P: what lies in the folder that the demo was started in is none of its modules.
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
