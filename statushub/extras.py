"""The extras of an installation, and the error that names the missing one.

`pip install statushub` installs what a worker needs to publish. The extras `cli`, `server`, `sql`, `encode`,
`generate`, `otel`, `jobs` and `all`, which pyproject.toml declares, install the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

EXTRAS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("click", "rich"), "cli"),
    **dict.fromkeys(("cachetools", "cryptography", "hiredis", "httptools", "jwt"), "server"),
    **dict.fromkeys(("prometheus_client", "starlette", "uvicorn", "uvloop", "websockets"), "server"),
    **dict.fromkeys(("aiosqlite", "asyncmy", "asyncpg", "sqlalchemy"), "sql"),
    **dict.fromkeys(("av", "fsspec"), "encode"),
    "opentelemetry": "otel",
    "cronsim": "jobs",
    **dict.fromkeys(("lxml_html_clean", "openai", "pypdf", "sentencex", "trafilatura"), "generate"),
}
"""The extra that installs each top-level module that the base installation lacks."""


class MissingExtra(ImportError):
    """Raised when something is used whose extra is not installed; the message says what to install."""


@contextmanager
def required(part: str) -> Iterator[None]:
    """Raise `MissingExtra`, naming `part`, if an import in the block fails because an extra is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in EXTRAS:
            raise
        message = f"{part} needs {module}, which is not installed: pip install 'statushub[{EXTRAS[module]}]'"
        raise MissingExtra(message, name=module) from error
