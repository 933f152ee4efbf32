"""The lag of deliveries is sampled from the time stamps of events."""

from __future__ import annotations

from datetime import UTC, datetime

import anyio
import msgspec
import pytest

from statushub.hub.histogram import Histogram
from statushub.hub.model.event import Event
from statushub.hub.model.timestamp import timestamp
from statushub.hub.replicas.delivery_lag import DeliveryLag
from tests.support.waiting import until

NOW = datetime(2026, 1, 1, tzinfo=UTC).timestamp()


def event(**data: object) -> Event:
    return Event(channel="c", content_id="a", offset=1, type="t", data=msgspec.json.encode(data))


def said(seconds_ago: float) -> str:
    return timestamp(datetime.fromtimestamp(NOW - seconds_ago, UTC))


def lag_of(*events: Event) -> Histogram:
    """The lags of these events, each delivered at `NOW` by a hub of its own."""
    lag = Histogram()
    for each in events:
        DeliveryLag(lag, lambda: NOW).delivered(each)
    return lag


def test_the_lag_is_the_time_since_the_time_stamp() -> None:
    """To the millisecond, that of a clock ahead of the hub's as nothing."""
    lag = lag_of(event(timestamp=said(0.25)), event(timestamp=said(-3.0)))
    assert (lag.count, round(lag.sum, 6)) == (2, 0.25)


@pytest.mark.parametrize(
    "untimed",
    [
        pytest.param(event(status="idle"), id="none"),
        pytest.param(event(timestamp="soon"), id="no-time"),
        pytest.param(event(timestamp="2026-01-01T00:00:00"), id="no-zone"),
        pytest.param(event(timestamp=said(4000)), id="past"),
        pytest.param(event(timestamp=said(1), cancel_requested={"by": None}), id="cancel"),
        pytest.param(Event(channel="c", content_id="a", offset=1, type="t", data=b"\xff"), id="no-json"),
    ],
)
def test_what_says_nothing_of_the_way_is_left_out(untimed: Event) -> None:
    """Data of others, reports of the past, and states that were announced before."""
    assert lag_of(untimed).count == 0


@pytest.mark.anyio
async def test_an_event_is_sampled_at_times_only() -> None:
    """None is due after a sample, until some time has passed."""
    sampler = DeliveryLag(Histogram(), lambda: NOW)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sampler.run)
        sampler.delivered(event(timestamp=said(1)))
        assert not sampler.due
        await until(lambda: sampler.due)
        tasks.cancel_scope.cancel()
