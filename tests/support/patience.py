"""Sources that may take long, on a machine that is busy with other tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from statushub.hub.sources import redis_keys
from statushub.hub.sources.sql import database
from tests.support.waiting import WAIT_SECONDS


@contextmanager
def patient_sources() -> Iterator[None]:
    """Hubs that are made in the block wait for databases, and for the keys of video workers, as long as tests wait for
    hubs. Their own limits are shorter, and what exceeds them counts as away."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "Database", partial(database.Database, deadline=WAIT_SECONDS))
        patch.setattr(redis_keys, "RedisKeys", partial(redis_keys.RedisKeys, deadline=WAIT_SECONDS))
        yield
