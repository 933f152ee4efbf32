"""`statushub encode`: encode a video to HLS, and publish its progress."""

from __future__ import annotations

import asyncio
import importlib
import re
import signal
import tempfile
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from statushub.hub.cli.failure import INTERRUPTED, TERMINATED, USAGE, Failure
from statushub.hub.cli.target import producer, target_options

if TYPE_CHECKING:
    from anyio import CancelScope

    from statushub.producers.encode import Options

EPILOG: Final = """\b
Examples:
  statushub encode clip.mp4
  statushub encode https://example.com/clip.mov --destination s3://videos/clip --hub https://hub.example.com
  statushub encode clip.mp4 --broker redis://localhost:6379/0 --preset medium --crf 20
  statushub encode --sample 30

Prints the path of the playlist. The video is encoded even while the hub cannot be reached.
"""

NAME_CHARACTERS: Final = 60
"""Longest part of a source's name that is used in a content id: ids stay readable in a log and a table."""


@click.command(epilog=EPILOG, short_help="Encode a video and publish its progress.")
@click.argument("source", required=False)
@click.option(
    "--sample",
    type=click.FloatRange(0.5, 3600),
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
@click.option("--public-url", metavar="URL", help="URL at which the destination is served; published as hls_path.")
@click.option("--preset", default="veryfast", show_default=True, help="Preset of x264, from ultrafast to veryslow.")
@click.option("--crf", type=int, default=23, show_default=True, help="Quality of x264: 18 is high, 28 is low.")
@click.option("--threads", type=int, default=0, help="Threads of each encoder.  [default: half of the cores]")
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
    type=click.FloatRange(0.5, 1024),
    metavar="GIB",
    help="Memory that the encode may take.  [default: 6]",
)
@click.option(
    "--segment-seconds", type=float, default=4.0, show_default=True, metavar="SECONDS", help="Length of a segment."
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
    **rest: Any,
) -> None:
    """Encode SOURCE, a file or a URL, to HLS, and publish each step."""
    require_encoder()
    if (source is None) == (sample is None):
        raise Failure("give either a SOURCE or --sample SECONDS", USAGE)
    target = {name: rest.pop(name) for name in ("hub", "broker", "tenant", "token")}
    named = content_id or default_name(source or "sample.mp4")
    with tempfile.TemporaryDirectory(prefix="statushub-") as scratch:
        job = {
            "source": source or sample_clip(Path(scratch), sample or 0),
            "channel": channel,
            "content_id": named,
            "destination": destination or str(Path("encodes", default_name(source or "sample.mp4"))),
        }
        code = asyncio.run(_until_signalled(target, job, _options(rest)))
    context.exit(code)


def require_encoder() -> None:
    """Raise `MissingExtra`, which says what to install, where videos cannot be encoded."""
    importlib.import_module("statushub.producers.encode")


def default_name(source: str) -> str:
    """A content id for a source: always the same for one path or URL, and different for another of the same name."""
    from statushub.producers.encode.location import title

    path = source
    if "://" not in source:
        # A path that does not exist, or with a NUL, is named, too: the encode reports what is wrong with it.
        with suppress(OSError, RuntimeError, ValueError):
            path = str(Path(source).resolve())
    stem = re.sub(r"[^\w.-]+", "-", Path(title(source)).stem)[:NAME_CHARACTERS].strip("-.")
    return f"{stem or 'video'}-{sha256(path.encode(errors='surrogateescape')).hexdigest()[:8]}"


def sample_clip(folder: Path, seconds: float) -> str:
    """The path of a generated clip of this length in `folder`."""
    from statushub.producers.clip import write_clip

    click.echo(f"Generating a clip of {seconds:g} s", err=True)
    return str(write_clip(folder / "sample.mp4", seconds=seconds))


def _options(chosen: dict[str, Any]) -> Options:
    from statushub.producers.encode import Options

    memory_gib = chosen.pop("memory_gib")
    if memory_gib is not None:
        chosen["memory_bytes"] = round(memory_gib * 1024**3)
    return Options(**chosen)


async def _until_signalled(target: dict[str, Any], job: dict[str, Any], options: Options) -> int:
    """Encode, and return the exit code. A signal cancels the work, which publishes that it was cancelled."""
    import anyio

    from statushub.hub.cli.encode_progress import EncodeProgressView
    from statushub.producers.encode import encode

    signals: list[int] = []
    # A scope rather than the task: the encoding thread checks whether its scope is cancelled.
    with anyio.CancelScope() as scope, EncodeProgressView() as view:
        _cancel_on_signals(scope, signals)
        async with producer(**target) as publisher:
            result = await encode(**job, producer=view.observe(publisher), options=options)
    if scope.cancelled_caught:
        return INTERRUPTED if signal.SIGINT in signals else TERMINATED
    click.echo(result.hls_path)
    return 0


def _cancel_on_signals(scope: CancelScope, received: list[int]) -> None:
    """Cancel `scope` on SIGINT and SIGTERM, and append the signal to `received`."""

    def cancel(number: int) -> None:
        received.append(number)
        scope.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, cancel, number)
