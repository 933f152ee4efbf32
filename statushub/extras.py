"""The optional parts of an installation, and the error that names the one that is missing.

`pip install statushub` brings what a worker needs that only publishes. The rest comes with the extras that
pyproject.toml declares: `cli`, `server`, `encode`, and `all`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

EXTRAS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("click", "httpx_sse", "rich"), "cli"),
    **dict.fromkeys(("cachetools", "cryptography", "hiredis", "httptools", "jwt"), "server"),
    **dict.fromkeys(("prometheus_client", "sse_starlette", "starlette", "uvicorn", "uvloop"), "server"),
    **dict.fromkeys(("av", "fsspec"), "encode"),
}
"""The extra that brings each top-level module which the base installation does not."""


class MissingExtra(ImportError):
    """Raised when a part is used whose extra is not installed; the message says what to install."""


@contextmanager
def required(part: str) -> Iterator[None]:
    """Around imports that `part` needs: raises `MissingExtra` where one of an extra is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in EXTRAS:
            raise
        message = f"{part} needs {module}, which is not installed: pip install 'statushub[{EXTRAS[module]}]'"
        raise MissingExtra(message, name=module) from error
