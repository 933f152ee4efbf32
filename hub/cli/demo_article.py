"""The article of the demo, and its summary by the built-in writer, at a pace that can be watched."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from statushub.hub.cli.demo_text import ARTICLE
from statushub.hub.model.errors import StatushubError
from statushub.producers.generate import Options, generate
from statushub.producers.producer import Producer

CONTENT_ID: Final = "tides"

WORDS_PER_SECOND: Final = 4.0
"""Slow enough to be read while it grows."""


async def summarize(producer: Producer, folder: Path, channel: str) -> None:
    """Summarize the article, which is written into `folder`, and publish it on `channel`."""
    source = folder / "The tides.txt"
    source.write_text(ARTICLE)
    options = Options(words_per_second=WORDS_PER_SECOND)
    try:
        await generate(source, channel=channel, content_id=CONTENT_ID, producer=producer, options=options)
    except StatushubError:
        # The page shows the failure; the encodes go on.
        return
