"""Files that another process reads at any time."""

from __future__ import annotations

from pathlib import Path


def replace_text(path: Path, text: str) -> None:
    """Write the file in one step: a reader sees the former text or this one, never an empty file."""
    written = path.with_name(f"{path.name}.new")
    written.write_text(text)
    written.replace(path)
