"""The worker of the demo: encodes generated clips, one after another, and beside them summarizes an article and starts
a batch of document counts.

A separate process, as workers are: `python -m statushub.hub.cli.demo_worker URL FOLDER RESULTS CLIPS SECONDS`. It ends
when its stdin is closed, and so never outlives the demo, which holds the other end.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sys
import threading
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread

from statushub.extras import MissingExtra
from statushub.hub.cli.demo_documents import DOCUMENTS_FOLDER, count_documents
from statushub.hub.model.errors import BrokerUnavailable
from statushub.hub.model.names import DEFAULT_TENANT
from statushub.hub.model.results import result_folder, result_path
from statushub.producers.clip import write_clip
from statushub.producers.encode import EncodeError, Options, encode
from statushub.producers.producer import Producer

CHANNEL: Final = "encodes"
"""The channel that the dashboard opens by default."""

QUEUED: Final = 3
"""Clips that are pending from the beginning, so that the page shows a queue. The others are added one by one."""

LENGTHS: Final = (1.0, 0.5, 1.5)
"""Of successive clips, as multiples of the requested length."""

PAUSE_SECONDS: Final = 20.0
"""Before each clip that was not queued: the page stays active, and the machine has time for other work."""

SIZE: Final = (854, 480)
"""Width and height: a modest machine encodes it in about real time."""


async def run(url: str, folder: Path, results: Path, clips: int, seconds: float) -> None:
    """Encode `clips` clips of about `seconds`, made in `folder`, into `results`, and publish them to the hub at `url`,
    which serves them."""
    async with Producer(url) as producer, anyio.create_task_group() as tasks:
        # Optional: an installation may lack its extra.
        with contextlib.suppress(MissingExtra):
            from statushub.hub.cli.demo_article import summarize

            tasks.start_soon(summarize, producer, folder, CHANNEL)
        tasks.start_soon(count_documents, url, folder / DOCUMENTS_FOLDER)
        for number in range(min(QUEUED, clips)):
            # Optional: an encode is shown without having been pending, too.
            with contextlib.suppress(BrokerUnavailable):
                await producer.publish(_name(number), channel=CHANNEL, status="pending", data={"title": _title(number)})
        for number in range(clips):
            if number >= QUEUED:
                await anyio.sleep(PAUSE_SECONDS)
            length = seconds * LENGTHS[number % len(LENGTHS)]
            await _encode(producer, folder / str(number), results, number, length)


async def _encode(producer: Producer, folder: Path, results: Path, number: int, seconds: float) -> None:
    source = await anyio.to_thread.run_sync(_clip, folder, number, seconds)
    name = _name(number)
    options = Options(scratch=folder, threads=1, public_url=result_path(CHANNEL, name))
    try:
        await encode(
            source,
            channel=CHANNEL,
            content_id=name,
            destination=results / result_folder(DEFAULT_TENANT, CHANNEL, name),
            producer=producer,
            options=options,
        )
    except EncodeError as error:
        # The page shows the failure; go on with the next clip.
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
    # Not through sys.stdin: an interpreter that exits would wait for its lock.
    while os.read(0, 1):
        pass
    os._exit(0)


def main() -> None:
    """Run the worker with the arguments of the process."""
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    # The hub ends before this process, which would say that it is away.
    logging.getLogger("statushub").addHandler(logging.NullHandler())
    url, folder, results, clips, seconds = sys.argv[1:]
    anyio.run(run, url, Path(folder), Path(results), int(clips), float(seconds))


if __name__ == "__main__":
    main()
