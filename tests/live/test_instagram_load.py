"""A sync of some accounts from a server that fails, limits and refuses."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from statushub.hub.brokers import open_broker
from statushub.hub.model.vocabulary import Phase
from tests.support.graph_server import graph_server, make_users
from tests.support.instagram import connect, expected, open_tables, stored, sync_of, without_open_ends, working
from tests.support.jobs import ended

pytestmark = pytest.mark.anyio

NOW: Final = datetime.now(UTC)

DEAD: Final = frozenset({3, 8, 17})


async def test_what_is_stored_equals_what_the_server_has(tmp_path: Path) -> None:
    """With 5 % of calls that fail, limits of the app and of accounts, and three tokens that are refused."""
    database = f"sqlite:///{tmp_path / 'sync.db'}"
    users = make_users(20, posts=10, comments=4, replies=1, now=NOW)
    for number in DEAD:
        users[number - 1].dead = True
    with graph_server(users, now=NOW, failing=0.05) as server:
        server.limit_each = 40
        async with open_tables(database) as tables, sync_of(database, server) as sync, open_broker("memory:") as broker:
            await connect(tables, server)
            job_id = await sync.starter(broker).start(months=1, user_no=None)
            async with working(sync, broker):
                state = await ended(broker, job_id)
            found = await stored(tables)
        now = datetime.now(UTC)
        assert (state.phase, state.data["failed"]) == (Phase.COMPLETED, len(DEAD))
        assert server.limited >= 2
        assert without_open_ends(found, now) == without_open_ends(expected(server, 1, now, but=DEAD), now)
