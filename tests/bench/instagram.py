"""`python -m tests.bench.instagram`: a sync of many accounts by a hub in a process of its own.

The Graph server fails 5 % of all calls, limits accounts and refuses three tokens. What is stored in the end is compared
with all that it has.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx

from tests.support.graph_server import VERSION, GraphServer, graph_server, make_users
from tests.support.hub_process import HubProcess
from tests.support.instagram import connect, drop, expected, open_tables, stored, without_open_ends

PATH: Final = "/api/v1/batch/instagram"

DEAD: Final = 3

ACCOUNT_LIMIT: Final = (40, 5.0)
"""Calls that an account may make in so many seconds: fewer than its sync makes, so that each waits once or twice."""


def main(arguments: Sequence[str]) -> int:
    """Measure and print; returns 1 where what is stored is not what the server has."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.instagram", description=__doc__)
    parser.add_argument("--users", type=int, default=200)
    parser.add_argument("--posts", type=int, default=50)
    parser.add_argument("--comments", type=int, default=20)
    parser.add_argument("--database", default="", help="by default a file of SQLite")
    parser.add_argument("--free", action="store_true", help="without limits of accounts and without failures")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_measure(options, Path(folder)))


async def _measure(options: argparse.Namespace, folder: Path) -> int:
    now = datetime.now(UTC)
    users = make_users(options.users, posts=options.posts, comments=options.comments, now=now)
    dead = frozenset(range(7, options.users, options.users // DEAD)) if options.users > 2 * DEAD else frozenset()
    dead = frozenset(sorted(dead)[:DEAD])
    for number in dead:
        users[number - 1].dead = True
    database = options.database or f"sqlite:///{folder / 'sync.db'}"
    with graph_server(users, now=now, failing=0.0 if options.free else 0.05) as server:
        server.account_limit = None if options.free else ACCOUNT_LIMIT
        await drop(database)
        async with open_tables(database) as tables:
            await connect(tables, server)
            hub = HubProcess(
                folder,
                instagram="on",
                instagram_database=database,
                instagram_graph=server.url,
                instagram_version=VERSION,
                instagram_time="off",
            )
            hub.start()
            try:
                execution, seconds, memory = await asyncio.to_thread(_sync, hub)
            finally:
                hub.kill()
            found = await stored(tables)
    return _report(options, server, execution, seconds, memory, found, dead)


def _sync(hub: HubProcess) -> tuple[dict[str, Any], float, int]:
    """The execution, how long it took, and the most memory that the hub had."""
    began, memory = time.monotonic(), 0
    with httpx.Client(base_url=hub.base_url) as client:
        client.post(f"{PATH}/sync/months/1").raise_for_status()
        while True:
            memory = max(memory, hub.memory)
            execution: dict[str, Any] = client.get(f"{PATH}/status").json()["data"]["execution"]
            if execution["status"] not in ("waiting", "running"):
                return execution, time.monotonic() - began, memory
            time.sleep(0.5)


def _report(
    options: argparse.Namespace,
    server: GraphServer,
    execution: dict[str, Any],
    seconds: float,
    memory: int,
    found: dict[str, Any],
    dead: frozenset[int],
) -> int:
    now = datetime.now(UTC)
    should, has = expected(server, 1, now, but=dead), without_open_ends(found, now)
    equal = has == without_open_ends(should, now)
    calls = len(server.calls)
    print(f"{options.users} users, {options.posts} posts each, {options.comments} comments each")
    print(f"{seconds:.1f} s, {calls} calls, {calls / seconds:.0f} a second, {server.limited} of them limited")
    print(f"{memory / 2**20:.0f} MiB at most in the hub")
    print(f"{execution['status']}: {execution['completed']} users completed, {execution['failed']} failed")
    print(", ".join(f"{name.removeprefix('instagram_')} {len(rows)} rows" for name, rows in has.items()))
    print("stored equals what the server has" if equal else "DIFFERENT from what the server has")
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
