"""The documents of the demo, and the batch that counts them."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Final

from statushub.hub.cli.demo_text import ARTICLE

DOCUMENTS_FOLDER: Final = "documents"
"""Within that of the demo."""

CATEGORIES: Final = ("letters", "logbooks", "notices")

DOCUMENTS: Final = 300

SENTENCES: Final = 3
"""Of one document."""

KEYWORDS: Final = (
    *("tide", "flood", "ebb", "moon", "sun", "coast", "harbour", "mill", "wheel", "power", "bay", "Fundy", "neap tide"),
    *("spring tide", "water", "earth", "year", "table", "sixteen", "turbine", "compass", "lighthouse"),
)
"""The last ones are in no document."""

SEED: Final = 1


def write_documents(folder: Path) -> None:
    """Write short documents of random sentences into a sub-folder for each category."""
    chance = random.Random(SEED)
    sentences = [sentence.strip() for sentence in ARTICLE.replace("\n", " ").split(". ") if sentence.strip()]
    for category in CATEGORIES:
        (folder / category).mkdir(exist_ok=True)
    for number in range(DOCUMENTS):
        text = ". ".join(chance.sample(sentences, SENTENCES))
        (folder / CATEGORIES[number % len(CATEGORIES)] / f"{number}.txt").write_text(text)


async def count_documents(url: str, folder: Path) -> None:
    """Write the documents into `folder`, which the hub at `url` counts, and start a batch of keywords."""
    import httpx

    write_documents(folder)
    async with httpx.AsyncClient(base_url=url, timeout=30) as client:
        try:
            await client.post("/api/documents/batch", json={"keywords": KEYWORDS})
        except httpx.HTTPError:
            # The demo goes on without it.
            return
