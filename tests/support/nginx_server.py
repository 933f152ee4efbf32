"""nginx with deploy/nginx.conf on a free port, in front of hubs of the test."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.support.certificate import certificate
from tests.support.ports import START_SECONDS, free_port, wait_for_port

CONFIG: Final = (Path(__file__).parents[2] / "deploy/nginx.conf").read_text()
PATH: Final = f"{os.environ.get('PATH', '')}:/usr/sbin"
"""Where nginx is: Debian installs it outside of an unprivileged user's path."""

LOG: Final = "nginx.log"
"""The file in its folder with what nginx logs, of requests and of errors."""


@contextlib.contextmanager
def running_nginx(folder: Path, *hubs: str, tls: bool = False, connections: int = 256) -> Iterator[str]:
    """The base URL of an nginx whose upstreams are the hubs at these one or two URLs, for the block.

    With `tls` it has the lines for TLS from the file's head, with a certificate of the test. It has one worker, for
    so many connections.
    """
    port = free_port()
    text = _here(CONFIG, folder, port, hubs, connections)
    with _running(folder, port, _with_tls(text, folder) if tls else text):
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"


@contextlib.contextmanager
def plain_nginx(folder: Path, hub: str, *locations: str) -> Iterator[str]:
    """The base URL of an nginx in front of a hub that knows nothing of streams; `locations` are further lines of its
    server."""
    port = free_port()
    folder.mkdir(exist_ok=True)
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    text = f"""
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/{LOG};
events {{ worker_connections 256; }}
http {{
  access_log off;
  {temporary}
  proxy_http_version 1.1;
  server {{
    listen 127.0.0.1:{port};
    {" ".join(locations)}
    location / {{ proxy_pass {hub}; }}
  }}
}}
"""
    with _running(folder, port, text):
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def _running(folder: Path, port: int, text: str) -> Iterator[None]:
    config = folder / "nginx.conf"
    config.write_text(text)
    program = shutil.which("nginx", path=PATH)
    assert program, "nginx is missing: tests/support/install-tools installs it"
    # As root its workers would be another user, who cannot write into the folder.
    options = "daemon off;" + (" user root;" if os.geteuid() == 0 else "")
    with (folder / LOG).open("wb") as log:
        process = subprocess.Popen(
            [program, "-c", str(config), "-p", str(folder), "-g", options], stdout=log, stderr=log
        )
    try:
        wait_for_port(port, process)
        yield
    finally:
        process.terminate()
        process.wait(START_SECONDS)


def _here(text: str, folder: Path, port: int, hubs: tuple[str, ...], connections: int) -> str:
    """The configuration with addresses and paths of this test."""
    first, last = (hub.removeprefix("http://") for hub in (hubs[0], hubs[-1]))
    for pattern, replacement, count in (
        (r"(?m)^( +)listen 8080\b", rf"\1listen 127.0.0.1:{port}", 2),
        (r"\bserver hub-1:8000\b", f"server {first}", 1),
        (r"\bserver hub-2:8000\b", f"server {last}", 1),
        (r" /tmp/", f" {folder}/", 6),
        (r" /dev/std(?:out|err)\b", f" {folder}/{LOG}", 2),
        (r"worker_processes auto", "worker_processes 1", 1),
        (r"worker_rlimit_nofile \d+;", "", 1),
        (r"worker_connections \d+", f"worker_connections {connections}", 1),
    ):
        text, found = re.subn(pattern, replacement, text)
        assert found == count, pattern
    return text


def _with_tls(text: str, folder: Path) -> str:
    """The configuration whose servers have the lines for TLS from its head where they listened without it."""
    files = certificate(folder)
    lines = " ".join(re.findall(r"(?m)^# +((?:listen|ssl_\w+) .*;)$", CONFIG))
    for pattern, value in ((r"\S+\.pem", files["ssl_certfile"]), (r"\S+\.key", files["ssl_keyfile"])):
        lines, found = re.subn(pattern, str(value), lines)
        assert found == 1, pattern
    text, found = re.subn(
        r"(?m)^ +listen (127\.0\.0\.1:\d+)\b.*;$", lambda match: lines.replace("8443", match[1]), text
    )
    assert found == 2
    return text
