"""Caddy with deploy/Caddyfile on a free port, in front of hubs of the test."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.support.certificate import certificate
from tests.support.ports import START_SECONDS, free_port, wait_for_port

CONFIG: Final = (Path(__file__).parents[2] / "deploy/Caddyfile").read_text()
PROGRAM: Final = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "statushub-tools/caddy"
"""Where tests/support/install-tools puts the version that it builds."""

LOG: Final = "caddy.log"
"""The file in its folder with what Caddy logs, of requests and of errors."""


@contextlib.contextmanager
def running_caddy(folder: Path, *hubs: str, tls: bool = False) -> Iterator[str]:
    """The base URL of a Caddy whose upstreams are the hubs at these one or two URLs, for the block.

    With `tls` its sites have a certificate of the test. Skips the test where there is no Caddy.
    """
    if not PROGRAM.exists():
        pytest.skip("Caddy is missing: `tests/support/install-tools caddy` builds it where Go and its module are there")
    port = free_port()
    config = folder / "Caddyfile"
    text = _here(port, hubs)
    config.write_text(_with_tls(text, folder) if tls else text)
    # It keeps certificates and its last configuration there.
    places = {"XDG_CONFIG_HOME": str(folder / "config"), "XDG_DATA_HOME": str(folder / "data")}
    command = [str(PROGRAM), "run", "--config", str(config), "--adapter", "caddyfile"]
    with (folder / LOG).open("wb") as log:
        process = subprocess.Popen(command, env={**os.environ, **places}, stdout=log, stderr=log)
    try:
        wait_for_port(port, process)
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    finally:
        # What streams are open then are not waited for.
        process.kill()
        process.wait(START_SECONDS)


def _here(port: int, hubs: tuple[str, ...]) -> str:
    """The configuration with the addresses of this test."""
    text = CONFIG
    first, last = (hub.removeprefix("http://") for hub in (hubs[0], hubs[-1]))
    for pattern, replacement, count in (
        (r":8080\b", f":{port}", 4),
        (r"\bhub-1:8000\b", first, 1),
        (r"\bhub-2:8000\b", last, 1),
        (r"\tadmin off\n", "\tadmin off\n\tdefault_bind 127.0.0.1\n", 1),
    ):
        text, found = re.subn(pattern, replacement, text)
        assert found == count, pattern
    return text


def _with_tls(text: str, folder: Path) -> str:
    """The configuration whose sites speak TLS, and none of another port leads to them."""
    files = certificate(folder)
    line = f"tls {files['ssl_certfile']} {files['ssl_keyfile']}"
    text, found = re.subn(
        r"(?m)^(http://.* \{)$", lambda match: f"{match[1].replace('http:', 'https:')}\n\t{line}", text
    )
    assert found == 2
    return text.replace("\tadmin off\n", "\tadmin off\n\tauto_https off\n", 1)
