"""`statushub encode`: encode a video to HLS, and publish its progress."""

from __future__ import annotations

import asyncio
import importlib
import os
import re
import signal
import tempfile
from contextlib import suppress
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

import click

from statushub.hub.cli.failure import INTERRUPTED, TERMINATED, USAGE, Failure, cancelled
from statushub.hub.cli.number import Number, WholeNumber
from statushub.hub.cli.refusal import refused
from statushub.hub.cli.target import producer, target_options
from statushub.hub.cli.terminal import echo
from statushub.hub.model import variables
from statushub.hub.model.names import DEFAULT_TENANT, check_name, check_tenant
from statushub.hub.model.results import result_folder, result_path
from statushub.hub.settings import SETTINGS

if TYPE_CHECKING:
    from anyio import CancelScope

    from statushub.hub.model.receipt import Refusal
    from statushub.producers.encode import Options

EPILOG: Final = """\b
Examples:
  statushub encode clip.mp4
  statushub encode clip.mp4 --results-dir results
  statushub encode https://example.com/clip.mov --destination s3://videos/clip --hub https://hub.example.com
  statushub encode clip.mp4 --broker redis://localhost:6379/0 --preset medium --crf 20
  statushub encode --sample 30

Prints the path of the playlist. The video is encoded even while the hub cannot be reached. Exit codes:
  1  the encode failed
  2  the command line is invalid
  3  the encode was cancelled on request; nothing of it is kept
  4  the video is encoded, and the hub refused its status, such as for an id of another channel
"""

RESULTS_DIR: Final = SETTINGS["results_dir"].variable
"""The variable of the hub's setting, so that one environment serves both."""

PUBLIC_URL: Final = re.compile(r"https?://[^/?#]+|/(?!/)")
"""How the URL of a result begins: with a host, or with a path."""

NAME_CHARACTERS: Final = 60
"""Longest part of a source's name that is used in a content id: ids stay readable in a log and a table."""


def _public_url(context: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None and PUBLIC_URL.match(value) is None:
        raise click.BadParameter(
            f"{value!r} is neither a URL such as https://cdn.example.com/videos nor a path that begins with /.",
            context,
            param,
        )
    return value


@click.command(epilog=EPILOG, short_help="Encode a video and publish its progress.")
@click.argument("source", required=False)
@click.option(
    "--sample",
    type=Number(0.5, 3600),
    metavar="SECONDS",
    help="Encode a generated clip of this length instead of SOURCE.",
)
@click.option("--channel", default="encodes", show_default=True, help="Channel to publish on.")
@click.option("--content-id", metavar="ID", help="Content id of the video; by default made from SOURCE.")
@click.option(
    "--destination",
    metavar="FOLDER|URL",
    help="Folder or URL for the result.  [default: a folder in encodes/, named after SOURCE]",
)
@click.option(
    "--public-url",
    metavar="URL",
    callback=_public_url,
    help="URL at which the destination is served, or its path on the host of the pages; published as hls_path.",
)
@click.option(
    "--results-dir",
    metavar="FOLDER",
    envvar=RESULTS_DIR,
    help="Folder of results that a hub serves: the result goes into it, and the dashboard plays it. Without effect "
    f"with --destination.  [env var: {RESULTS_DIR}]",
)
@click.option("--preset", default="veryfast", show_default=True, help="Preset of x264, from ultrafast to veryslow.")
@click.option(
    "--crf", type=WholeNumber(), default=23, show_default=True, help="Quality of x264: 18 is high, 28 is low."
)
@click.option("--threads", type=WholeNumber(), default=0, help="Threads of each encoder.  [default: half of the cores]")
@click.option(
    "--redirect-host",
    "redirect_hosts",
    multiple=True,
    metavar="HOST",
    help="Another host to which SOURCE may redirect, such as *.example.com; may be given several times.",
)
@click.option(
    "--memory",
    "memory_gib",
    type=Number(0.5, 1024),
    metavar="GIB",
    help="Memory that the encode may take.  [default: 6]",
)
@click.option(
    "--segment-seconds", type=Number(), default=4.0, show_default=True, metavar="SECONDS", help="Length of a segment."
)
@target_options
@click.pass_context
def encode(
    context: click.Context,
    /,
    source: str | None,
    sample: float | None,
    channel: str,
    content_id: str | None,
    destination: str | None,
    results_dir: str | None,
    **rest: Any,
) -> None:
    """Encode SOURCE, a file or a URL, to HLS, and publish each step."""
    require_encoder()
    if (source is None) == (sample is None):
        raise Failure("give either a SOURCE or --sample SECONDS", USAGE)
    target = {name: rest.pop(name) for name in ("hub", "broker", "tenant", "token")}
    named = content_id or default_name(source or "sample.mp4")
    served = destination is None and bool(results_dir) and rest["public_url"] is None
    if served and results_dir:
        tenant = target["tenant"] or os.environ.get(variables.TENANT) or DEFAULT_TENANT
        parts = check_name(channel, "channel"), check_name(named, "content_id")
        destination = str(Path(results_dir) / result_folder(check_tenant(tenant), *parts))
        rest["public_url"] = result_path(*parts)
    with tempfile.TemporaryDirectory(prefix="statushub-") as scratch:
        job = {
            "source": source or sample_clip(Path(scratch), sample or 0),
            "channel": channel,
            "content_id": named,
            "destination": destination or str(Path("encodes", default_name(source or "sample.mp4"))),
        }
        code, refusal = asyncio.run(_until_signalled(target, job, _options(rest), is_local=served))
    if refusal is not None:
        raise refused(refusal, channel, named)
    context.exit(code)


def require_encoder() -> None:
    """Raise `MissingExtra`, which says what to install, where videos cannot be encoded."""
    importlib.import_module("statushub.producers.encode")


def default_name(source: str, kind: str = "video") -> str:
    """A content id for a source: always the same for one path or URL, and different for another of the same name."""
    from statushub.producers.sources.location import title

    path = source
    if "://" not in source:
        # A path that does not exist, or with a NUL, is named, too: the encode reports what is wrong with it.
        with suppress(OSError, RuntimeError, ValueError):
            path = str(Path(source).resolve())
    stem = re.sub(r"[^\w.-]+", "-", Path(title(source)).stem)[:NAME_CHARACTERS].strip("-.")
    return f"{stem or kind}-{sha256(path.encode(errors='surrogateescape')).hexdigest()[:8]}"


def sample_clip(folder: Path, seconds: float) -> str:
    """The path of a generated clip of this length in `folder`."""
    from statushub.producers.clip import write_clip

    echo(f"Generating a clip of {seconds:g} s", err=True)
    return str(write_clip(folder / "sample.mp4", seconds=seconds))


def _options(chosen: dict[str, Any]) -> Options:
    from statushub.producers.encode import Options

    memory_gib = chosen.pop("memory_gib")
    if memory_gib is not None:
        chosen["memory_bytes"] = round(memory_gib * 1024**3)
    return Options(**chosen)


async def _until_signalled(
    target: dict[str, Any], job: dict[str, Any], options: Options, *, is_local: bool
) -> tuple[int, Refusal | None]:
    """Encode, and return the exit code, and why the hub refused the status, if it did.

    A signal cancels the work, which publishes that it was cancelled. `is_local`: what is published is not the path of
    the playlist on this machine, which is printed.
    """
    import anyio

    from statushub.hub.cli.encode_progress import EncodeProgressView
    from statushub.producers.cancelled import Cancelled
    from statushub.producers.encode import encode

    signals: list[int] = []
    # A scope rather than the task: the encoding thread checks whether its scope is cancelled.
    with anyio.CancelScope() as scope, EncodeProgressView() as view:
        cancel_on_signals(scope, signals)
        async with producer(**target) as publisher:
            try:
                result = await encode(**job, producer=view.observe(publisher), options=options)
            except Cancelled as error:
                raise cancelled(error.message, error.request) from error
    if scope.cancelled_caught:
        return INTERRUPTED if signal.SIGINT in signals else TERMINATED, None
    name = PurePosixPath(result.hls_path).name
    echo(str(Path(job["destination"], name)) if is_local else result.hls_path)
    return 0, view.refused


def cancel_on_signals(scope: CancelScope, received: list[int]) -> None:
    """Cancel `scope` on SIGINT and SIGTERM, and append the signal to `received`."""

    def cancel(number: int) -> None:
        received.append(number)
        scope.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, cancel, number)
