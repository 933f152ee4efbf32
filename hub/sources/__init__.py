"""Sources: what the hub has no state of, and systems beside it know. `contract` has what each of them promises."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from statushub.extras import required
from statushub.hub.model.record_names import RecordNames
from statushub.hub.model.video_steps import video_steps
from statushub.hub.model.video_tenants import video_tenants

if TYPE_CHECKING:
    from statushub.hub.sources.keyspace import Keyspace
    from statushub.hub.sources.record import RecordSource
    from statushub.hub.sources.record_cache import Cache
    from statushub.hub.sources.redis_keys import RedisKeys
    from statushub.hub.sources.states import RecordWriter


def open_video_keys(
    url: str,
    *,
    channel: str,
    tenants: Sequence[str],
    jobs: Collection[str],
    steps: Sequence[str],
    only: str | None = None,
) -> RedisKeys:
    """The keys of video workers at `url`, not yet entered; the rest are texts, as the settings have them. With `only`
    the keys of no other tenant are followed.

    Raises `ConfigError` for a malformed URL, `ValueError` for a malformed text.
    """
    # Imported only here, as in `open_broker`.
    from statushub.hub.sources.redis_keys import RedisKeys

    return RedisKeys(url, channel=channel, tenants=video_tenants(tenants, jobs, only=only), steps=video_steps(steps))


def follow_video_keys(url: str) -> Keyspace:
    """What tells which of these keys change. Raises `ConfigError` as `open_video_keys`."""
    from statushub.hub.sources.keyspace import follow

    return follow(url)


def open_record(url: str, names: RecordNames) -> RecordSource:
    """The system of record at `url`, not yet entered.

    Raises `ConfigError` for a malformed URL, `MissingExtra` where the extra `sql` is not installed.
    """
    with required("the source"):
        from statushub.hub.sources.sql.address import parse_address
        from statushub.hub.sources.sql.database import Database
        from statushub.hub.sources.sql.source import SqlSource
    return SqlSource(Database(parse_address(url)), names)


def open_record_writer(url: str, names: RecordNames) -> RecordWriter:
    """What writes into the system of record at `url`, over connections of its own. Raises what `open_record` does."""
    with required("the source"):
        from statushub.hub.sources.sql.address import parse_address
        from statushub.hub.sources.sql.database import Database
        from statushub.hub.sources.sql.writer import SqlWriter
    return SqlWriter(Database(parse_address(url)), names)


def open_record_cache(redis: str | None) -> Cache:
    """What keeps the rows of the record: the Redis at this URL, or this process."""
    if redis is not None:
        from statushub.hub.sources.redis_cache import RedisCache

        return RedisCache(redis)
    from statushub.hub.sources.record_cache import MemoryCache

    return MemoryCache()
