"""nginx with deploy/nginx.conf on a free port, in front of a hub of the test."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.support.ports import START_SECONDS, free_port, wait_for_port

CONFIG: Final = (Path(__file__).parents[2] / "deploy/nginx.conf").read_text()
PATH: Final = f"{os.environ.get('PATH', '')}:/usr/sbin"
"""Where nginx is: Debian installs it outside of an unprivileged user's path."""


@contextlib.contextmanager
def running_nginx(folder: Path, hub: str) -> Iterator[str]:
    """The base URL of an nginx whose upstreams are the hub at the URL `hub`, for the block."""
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(_here(CONFIG, folder, port, hub.removeprefix("http://")))
    program = shutil.which("nginx", path=PATH)
    assert program, "nginx is missing: tests/support/install-tools installs it"
    # As root its workers would be another user, who cannot write into the folder.
    options = "daemon off;" + (" user root;" if os.geteuid() == 0 else "")
    with (folder / "nginx.log").open("wb") as log:
        process = subprocess.Popen(
            [program, "-c", str(config), "-p", str(folder), "-g", options], stdout=log, stderr=log
        )
    try:
        wait_for_port(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(START_SECONDS)


def _here(text: str, folder: Path, port: int, hub: str) -> str:
    """The configuration with addresses and paths of this test, and without what nginx before 1.25 lacks."""
    for pattern, replacement, count in (
        (r"\blisten 8080\b", f"listen 127.0.0.1:{port}", 2),
        (r"\bserver hub-\d:8000\b", f"server {hub}", 2),
        (r" /tmp/", f" {folder}/", 6),
        (r" /dev/std(?:out|err)\b", f" {folder}/nginx.log", 2),
        (r"\bhttp2 on;", "", 2),
        (r"worker_processes auto", "worker_processes 1", 1),
        (r"worker_rlimit_nofile \d+;", "", 1),
        (r"worker_connections \d+", "worker_connections 256", 1),
    ):
        text, found = re.subn(pattern, replacement, text)
        assert found == count, pattern
    return text
