"""What the demo shows: real encodes of clips made on the spot, one after another.

A process of its own, as a worker is: `python -m statushub.hub.cli.demo_worker URL FOLDER CLIPS SECONDS`. It
ends when its stdin does, and so never outlives the demo that holds the other end.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import threading
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread

from statushub.hub.model.errors import BrokerUnavailable
from statushub.producers.clip import write_clip
from statushub.producers.encode import EncodeError, Options, encode
from statushub.producers.producer import Producer

CHANNEL: Final = "encodes"
"""The channel that the dashboard opens by default."""

AT_ONCE: Final = 3
"""Clips that wait from the beginning, so that the page shows a queue; the others come one by one."""

LENGTHS: Final = (1.0, 0.5, 1.5)
"""Of the clips in turn, as parts of the length asked for."""

PAUSE_SECONDS: Final = 20.0
"""Before each clip that comes later: the page stays alive, and the machine has time for other things."""

SIZE: Final = (854, 480)
"""Of the pictures: an encode of real time's length on a modest machine."""


async def show(url: str, folder: Path, clips: int, seconds: float) -> None:
    """Encode `clips` clips of about `seconds` into `folder`, and publish them to the hub at `url`."""
    async with Producer(url) as producer:
        for number in range(min(AT_ONCE, clips)):
            # Only decoration: what waits need not be announced for its encode to be shown.
            with contextlib.suppress(BrokerUnavailable):
                await producer.publish(_name(number), channel=CHANNEL, status="pending", data={"title": _title(number)})
        for number in range(clips):
            if number >= AT_ONCE:
                await anyio.sleep(PAUSE_SECONDS)
            await _encode(producer, folder / str(number), number, seconds * LENGTHS[number % len(LENGTHS)])


async def _encode(producer: Producer, folder: Path, number: int, seconds: float) -> None:
    source = await anyio.to_thread.run_sync(_clip, folder, number, seconds)
    options = Options(scratch=folder, threads=1)
    try:
        await encode(
            source,
            channel=CHANNEL,
            content_id=_name(number),
            destination=folder / "result",
            producer=producer,
            options=options,
            # The result goes with its folder, and a page must not be sent to where nothing is.
            hls_path=None,
            poster=None,
        )
    except EncodeError as error:
        # It shows on the page; the next one may do better.
        sys.stderr.write(f"statushub: {error.message}\n")
    finally:
        await anyio.to_thread.run_sync(shutil.rmtree, folder)


def _clip(folder: Path, number: int, seconds: float) -> Path:
    folder.mkdir()
    width, height = SIZE
    return write_clip(folder / _title(number), seconds=seconds, width=width, height=height)


def _name(number: int) -> str:
    return f"clip-{number + 1}"


def _title(number: int) -> str:
    return f"{_name(number)}.mp4"


def _end_with_stdin() -> None:
    # Not through sys.stdin, whose lock an interpreter that ends by itself would wait for.
    while os.read(0, 1):
        pass
    os._exit(0)


def main() -> None:
    """The process."""
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    url, folder, clips, seconds = sys.argv[1:]
    anyio.run(show, url, Path(folder), int(clips), float(seconds))


if __name__ == "__main__":
    main()
