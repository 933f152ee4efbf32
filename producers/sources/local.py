"""Sources that are local files."""

from __future__ import annotations

from pathlib import Path

from statushub.producers.sources.errors import SourceErrors, reason
from statushub.producers.sources.location import printable


def check_local(path: Path, limit: int, source: str, errors: SourceErrors) -> Path:
    """Return the absolute `path`, which `source` names, if it is a readable file of at most `limit` bytes.

    Raises an error of each class of `errors`.
    """
    name = printable(source) or "''"
    try:
        if not path.exists():
            raise errors.not_found(f"{name} does not exist.", field="source")
        if not path.is_file():
            raise errors.unreadable(f"{name} is not a file.", field="source")
        with path.open("rb") as file:
            file.read(1)
        errors.check_size(path.stat().st_size, limit)
        return path.absolute()
    except OSError as error:
        raise errors.unreadable(f"{name} cannot be read: {reason(error)}.", field="source") from error
