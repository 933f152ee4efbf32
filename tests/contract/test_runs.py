"""Runs: the later try of the work wins, whatever the clocks of the workers' machines say."""

from __future__ import annotations

import time

import pytest

from statushub.hub.brokers.contract import FORMER_RUNS, Broker
from statushub.hub.model.receipt import Receipt, Refusal
from tests.support.publications import accepted, publish_one, update

pytestmark = pytest.mark.anyio


async def said(broker: Broker, tenant: str, status: str = "generating", **fence: object) -> Receipt:
    """What becomes of a report on the content a."""
    return await publish_one(broker, tenant, update("a", status, **fence))  # type: ignore[arg-type]


async def test_a_later_run_wins(broker: Broker, tenant: str) -> None:
    """It opens the next attempt, whether or not the earlier one has ended, without a read before its first event."""
    first = await said(broker, tenant, run="one", age_ms=500, seq=1)
    second = await said(broker, tenant, "complete", run="two", age_ms=250, seq=1)
    third = await said(broker, tenant, run="three", age_ms=0, seq=1)
    assert [receipt.attempt for receipt in (first, second, third)] == [1, 2, 3]


async def test_a_run_that_began_earlier_loses(broker: Broker, tenant: str) -> None:
    """Its first report comes late, because it was slow or cut off."""
    await said(broker, tenant, run="later", age_ms=1_000)
    assert (await said(broker, tenant, run="earlier", age_ms=60_000)).reason is Refusal.SUPERSEDED


async def test_a_stalled_run_is_followed_by_its_retry(broker: Broker, tenant: str) -> None:
    """The retry wins although the first worker's clock was ahead: no number of any clock is compared."""
    first = await said(broker, tenant, run="first", age_ms=100, lease=1)
    assert await broker.expire(time.time() + 3) == 1
    retry = await said(broker, tenant, run="retry", seq=1)
    assert retry.attempt == (first.attempt or 0) + 1
    assert (await said(broker, tenant, run="first", seq=9)).reason is Refusal.SUPERSEDED


async def test_a_former_run_never_wins_again(broker: Broker, tenant: str) -> None:
    """Even where it claims to have begun just now; eight former runs are known."""
    for number in range(FORMER_RUNS + 1):
        assert (await said(broker, tenant, run=f"r{number}", age_ms=0)).accepted or number
        if number:
            # Within one millisecond the broker cannot tell which began later.
            while not (await said(broker, tenant, run=f"r{number}")).accepted:
                pass
    for number in range(FORMER_RUNS):
        assert (await said(broker, tenant, run=f"r{number}", age_ms=0, seq=99)).reason is Refusal.SUPERSEDED
    assert (await said(broker, tenant, run=f"r{FORMER_RUNS}", seq=1)).accepted


async def test_a_repeat_of_a_run_is_accepted_once(broker: Broker, tenant: str) -> None:
    """Its age grows between the two, which changes nothing."""
    first = await said(broker, tenant, run="one", age_ms=10, seq=1)
    again = await said(broker, tenant, run="one", age_ms=5_000, seq=1)
    assert (again.cursor, again.attempt) == (first.cursor, 1)


async def test_a_run_may_go_on_after_its_attempt(broker: Broker, tenant: str) -> None:
    """Without `restart` it is closed; with it, once, it is the next attempt, and a repeat is the same one."""
    await said(broker, tenant, "error", run="one", seq=1)
    assert (await said(broker, tenant, run="one", seq=2)).reason is Refusal.CLOSED
    restarted = await said(broker, tenant, run="one", seq=3, restart=True)
    again = await said(broker, tenant, run="one", seq=3, restart=True)
    assert (restarted.attempt, again.attempt, again.cursor) == (2, 2, restarted.cursor)
    assert (await said(broker, tenant, run="one", seq=4)).attempt == 2


async def test_a_run_that_was_superseded_cannot_restart(broker: Broker, tenant: str) -> None:
    """A later run owns the content."""
    await said(broker, tenant, run="one", age_ms=1_000)
    await said(broker, tenant, "complete", run="two")
    assert (await said(broker, tenant, run="one", seq=5, restart=True)).reason is Refusal.SUPERSEDED


async def test_a_report_without_a_run_joins(broker: Broker, tenant: str) -> None:
    """It belongs to the attempt that is open, and the run goes on."""
    await said(broker, tenant, run="one", seq=1)
    assert (await said(broker, tenant)).attempt == 1
    assert (await said(broker, tenant, run="one", seq=2)).attempt == 1


async def test_an_explicit_attempt_keeps_its_rules(broker: Broker, tenant: str) -> None:
    """A higher one supersedes the run, a lower one is refused."""
    await said(broker, tenant, run="one", age_ms=50)
    assert (await said(broker, tenant, attempt=0)).reason is Refusal.SUPERSEDED
    assert (await said(broker, tenant, attempt=5)).attempt == 5
    assert (await said(broker, tenant, run="one", seq=9)).reason is Refusal.SUPERSEDED


async def test_a_first_run_begins_with_the_first_attempt(broker: Broker, tenant: str) -> None:
    """A content without history has attempt 1, whatever the run's age."""
    await accepted(broker, tenant, update("b", run="x", age_ms=10**12))
    assert (await said(broker, tenant, run="y", age_ms=0)).attempt == 1
