"""The keys of video workers in a Redis, as a source."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Self

from redis.exceptions import ResponseError

from statushub.hub.brokers.redis.client import Client
from statushub.hub.brokers.redis.tls import check_tls
from statushub.hub.brokers.redis.topology import Command, open_topology
from statushub.hub.brokers.redis.url import Address, parse_redis_url
from statushub.hub.model.errors import BrokerUnavailable, ConfigError
from statushub.hub.model.redaction import censored
from statushub.hub.model.video_keys import VALUE_BYTES, job_key, progress_key, status_key, video_status
from statushub.hub.model.video_steps import VideoSteps
from statushub.hub.model.video_tenants import VideoTenants
from statushub.hub.sources.contract import Record, Source, SourceUnavailable

DEADLINE_SECONDS: Final = 1.0
"""For Redis to answer: a player polls every few seconds, and is told what is known by then."""

FRESH_SECONDS: Final = 1.0
"""For which an answer may be given again: workers report about as often."""

FIELD: Final = "video_keys"
"""The setting that names the address."""

WRONG_TYPE: Final = "WRONGTYPE"


class RedisKeys:
    """What video workers write. Each video is of the channel `channel`."""

    name = "video_keys"
    fresh = FRESH_SECONDS

    def __init__(
        self, url: str, *, channel: str, tenants: VideoTenants, steps: VideoSteps, deadline: float = DEADLINE_SECONDS
    ) -> None:
        """`deadline` is in seconds. Raises `ConfigError` where `url` is malformed, or names files that cannot be
        used."""
        address = address_of(url)
        self.where = address.where
        self.prefix = key_prefix(address)
        self.tenants = tenants
        self.channel = channel
        self._steps = steps
        self._client = Client(open_topology(address, deadline), deadline=deadline)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def find(self, tenant: str, content_ids: Sequence[str]) -> list[Record | None]:
        id = self.tenants.id_of(tenant)
        if id is None:
            return [None] * len(content_ids)
        names = [name for video in content_ids for name in self._names(tenant, id, video)]
        try:
            answers = await self._client.execute_all([(name, _read(name)) for name in names if name])
        except BrokerUnavailable as error:
            raise SourceUnavailable(error.message) from error
        given = iter(answers)
        values = [self._value(next(given)) if name else None for name in names]
        return [self._record(*values[start : start + 3]) for start in range(0, len(values), 3)]

    def _names(self, tenant: str, id: str, video: str) -> tuple[str, str, str]:
        """The names of the three keys; the third is empty for a tenant that may not read it."""
        job = self.prefix + job_key(video) if tenant in self.tenants.jobs else ""
        return self.prefix + status_key(id, video), self.prefix + progress_key(id, video), job

    def _value(self, answer: Any) -> bytes | None:
        if isinstance(answer, ResponseError) and WRONG_TYPE in str(answer):
            return None
        if isinstance(answer, Exception):
            raise SourceUnavailable(f"{self.where} does not let the keys be read: {censored(str(answer))}")
        return answer.encode() if isinstance(answer, str) else answer

    def _record(self, said: bytes | None, progress: bytes | None, job: bytes | None) -> Record | None:
        status = video_status(said, progress, job, self._steps)
        return None if status is None else Record(channel=self.channel, status=status)


def address_of(url: str) -> Address:
    """The address of the keys. Raises `ConfigError` where `url` is malformed, or names files that cannot be used."""
    address = parse_redis_url(url, field=FIELD)
    try:
        check_tls(address.options)
    except ConfigError as error:
        raise ConfigError(error.message.removeprefix("broker "), field=FIELD) from error
    return address


def key_prefix(address: Address) -> str:
    """What the names of the keys begin with."""
    return f"{address.prefix}:" if address.prefix else ""


def _read(name: str) -> Command:
    # Not GET: a value of another program may have any size.
    return ("GETRANGE", name, 0, VALUE_BYTES)


_fits: type[Source] = RedisKeys
