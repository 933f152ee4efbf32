"""The competitors."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import jwt

from tests.bench import centrifugo as centrifugo_
from tests.bench import go_programs, templates
from tests.bench.load import SOURCES, Missing, compiled
from tests.bench.running import Running, plain, running, uvicorn
from tests.support.ports import free_port, wait_for_port

NCHAN_MODULE: Final = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
NCHAN_INSTALL: Final = "apt-get install nginx libnginx-mod-nchan"

NCHAN_CONFIG: Final = """
load_module {module};
{user}
daemon off;
worker_processes 1;
worker_rlimit_nofile {files};
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections {connections}; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  keepalive_requests 100000000;
  nchan_shared_memory_size 512m;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location ~ ^/publish/(.+)$ {{
      nchan_publisher;
      nchan_channel_id $1;
      nchan_message_buffer_length 1000;
    }}
    location ~ ^/(.+)$ {{
      nchan_subscriber eventsource;
      nchan_channel_id $1;
      nchan_eventsource_ping_interval 15;
      nchan_subscriber_first_message newest;
    }}
  }}
}}
"""


@contextlib.contextmanager
def naive(folder: Path) -> Iterator[Running]:
    """sse-starlette with a queue per client."""
    port = free_port()
    with uvicorn(port, "tests.bench.naive:app") as process:
        yield plain(port, process)


@contextlib.contextmanager
def nchan(folder: Path) -> Iterator[Running]:
    """nchan, a C module in nginx, with one worker."""
    if shutil.which("nginx") is None or not NCHAN_MODULE.exists():
        raise Missing(f"nginx with nchan: {NCHAN_INSTALL}")
    port = free_port()
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    config = folder / "nginx.conf"
    # An unprivileged worker could not enter a temporary folder of root.
    user = "user root;" if os.geteuid() == 0 else ""
    config.write_text(
        NCHAN_CONFIG.format(
            module=NCHAN_MODULE, folder=folder, port=port, files=files, connections=files - 100, user=user
        )
    )
    with running("nginx", "-c", config, "-p", folder, "-e", folder / "error.log") as process:
        wait_for_port(port, process)
        yield plain(port, process, "/publish/", f"X-EventSource-Event: {templates.EVENT_TYPE}")


@contextlib.contextmanager
def centrifugo(folder: Path) -> Iterator[Running]:
    """Centrifugo with its memory engine, a history, and unidirectional streams."""
    program = go_programs.centrifugo()
    port = free_port()
    file = folder / "centrifugo.json"
    file.write_bytes(centrifugo_.config(port))
    env = {**os.environ, "GOMAXPROCS": "1"}
    with running(program, "--config", file, env=env, cwd=folder) as process:
        wait_for_port(port, process)
        yield Running(
            port=port,
            process=process,
            path=centrifugo_.PATH,
            template=centrifugo_post,
            publish_port=port,
            ready=centrifugo_.READY,
            resume=centrifugo_.RESUME,
            cursor=centrifugo_.cursor,
        )


def centrifugo_post(padding: int = 0) -> bytes:
    """A request to Centrifugo's API that publishes one event."""
    body = f'{{"channel":"{templates.CHANNEL}","data":{templates.data(padding)}}}'
    return templates.post("/api/publish", body, "Content-Type: application/json")


@contextlib.contextmanager
def mercure(folder: Path) -> Iterator[Running]:
    """Mercure with its history in a file."""
    program = go_programs.mercure()
    port, key = free_port(), "0" * 64
    token = jwt.encode({"mercure": {"publish": ["*"]}}, key, "HS256")
    form = ("Content-Type: application/x-www-form-urlencoded", f"Authorization: Bearer {token}")
    with running(program, port, folder, key, env={**os.environ, "GOMAXPROCS": "1"}) as process:
        wait_for_port(port, process)
        yield Running(
            port=port,
            process=process,
            path="/.well-known/mercure?topic=%s",
            # No character of the data has a meaning in a form.
            template=lambda padding: templates.post(
                "/.well-known/mercure", f"topic={templates.CHANNEL}&data={templates.data(padding)}", *form
            ),
            publish_port=port,
        )


@contextlib.contextmanager
def better_sse(folder: Path) -> Iterator[Running]:
    """better-sse on Node."""
    script = node_modules() / "better_sse.mjs"
    shutil.copyfile(SOURCES / "better_sse.mjs", script)
    port = free_port()
    with running("node", script, port) as process:
        wait_for_port(port, process)
        yield plain(port, process)


def node_modules() -> Path:
    """A folder in the user's cache in which npm has installed better-sse. Raises `Missing`."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise Missing("Node and npm: apt-get install nodejs npm")
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "statushub-bench"
    if not (folder / "node_modules" / "better-sse").exists():
        folder.mkdir(parents=True, exist_ok=True)
        words = ["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--silent", "better-sse"]
        if subprocess.run(words, cwd=folder, capture_output=True, check=False).returncode:
            raise Missing("better-sse: npm could not install it")
    return folder


@contextlib.contextmanager
def floor(folder: Path) -> Iterator[Running]:
    """The bare C loop over send()."""
    port = free_port()
    with running(compiled("floor", folder.parent), port) as process:
        wait_for_port(port, process)
        yield plain(port, process)
