"""The index of channels: what each entry tells, its orders, its pages, and when a channel leaves it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from itertools import chain

import pytest

from statushub.hub.brokers import open_broker
from statushub.hub.brokers.contract import PAGE_CHANNELS, Broker, ChannelEntry, ChannelPage
from statushub.hub.model.errors import Invalid
from tests.support.publications import accepted, update

pytestmark = pytest.mark.anyio

DAY = 24 * 3600.0

JOBS = ["jobs", "jobs/a", "jobs/b", "jobs/ä", "jobsite", "zoo"]
"""In the order of their code points."""


@pytest.fixture
async def forgetful(url: str) -> AsyncIterator[Broker]:
    """A broker with a short retention. Sweeps get the time as an argument, so that no test waits."""
    async with open_broker(url, retention=60.0) as broker:
        yield broker


def names(page: ChannelPage) -> list[str]:
    return [entry.channel for entry in page.entries]


def counts(entry: ChannelEntry) -> tuple[int, int, int, int, int]:
    return entry.pending, entry.processing, entry.completed, entry.failed, entry.idle


async def fill(broker: Broker, tenant: str, channels: list[str]) -> list[int]:
    """A content for each channel; returns the offsets."""
    return [(await accepted(broker, tenant, update(f"in {name}", channel=name))).offset for name in channels]


async def walk(broker: Broker, tenant: str, limit: int, *, prefix: str = "", by_name: bool = False) -> list[list[str]]:
    """The names of each page up to the last one."""
    pages: list[list[str]] = []
    after: str | None = None
    while not pages or after is not None:
        page = await broker.channels(tenant, prefix=prefix, by_name=by_name, after=after, limit=limit)
        pages.append(names(page))
        after = page.next
    return pages


async def test_an_entry_tells_of_its_channel(broker: Broker, tenant: str) -> None:
    """The offset and the time of its latest event, and its contents by phase; a refused event changes nothing."""
    words = ["queued", "generating", "generating", "complete", "error", "idle"]
    await broker.publish(tenant, [update(f"c{n}", word) for n, word in enumerate(words)])
    before = time.time()
    latest = await accepted(broker, tenant, update("c1", "complete", seq=2))
    after = time.time()
    await broker.publish(tenant, [update("c1", seq=1), update("c3"), update("c0", channel="books")])
    page = await broker.channels(tenant, limit=10)
    [entry] = page.entries
    assert (entry.channel, entry.offset, page.cursor, page.next) == ("films", latest.offset, latest, None)
    assert counts(entry) == (1, 1, 2, 1, 1)
    assert before - 0.002 <= entry.updated_at <= after


async def test_the_latest_channel_comes_first(broker: Broker, tenant: str) -> None:
    """By the offsets of their latest events, in both directions of time."""
    await fill(broker, tenant, ["a", "b", "c"])
    assert names(await broker.channels(tenant, limit=10)) == ["c", "b", "a"]
    await fill(broker, tenant, ["a"])
    page = await broker.channels(tenant, limit=10)
    assert names(page) == ["a", "c", "b"]
    assert [entry.offset for entry in page.entries] == sorted((it.offset for it in page.entries), reverse=True)


async def test_names_are_in_the_order_of_code_points(broker: Broker, tenant: str) -> None:
    """However the channels came into being."""
    await fill(broker, tenant, [*reversed(JOBS)])
    assert names(await broker.channels(tenant, by_name=True, limit=10)) == JOBS


@pytest.mark.parametrize(
    ("prefix", "found"), [("jobs", JOBS[:5]), ("jobs/", JOBS[1:4]), ("jobs/ä", ["jobs/ä"]), ("job/", []), ("zz", [])]
)
async def test_a_prefix_lists_the_names_that_begin_with_it(
    broker: Broker, tenant: str, prefix: str, found: list[str]
) -> None:
    """By name, and no other names."""
    await fill(broker, tenant, JOBS)
    assert names(await broker.channels(tenant, prefix=prefix, limit=10)) == found


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7])
async def test_pages_list_each_channel_once(broker: Broker, tenant: str, limit: int) -> None:
    """In either order and with a prefix; the last page is not empty."""
    await fill(broker, tenant, JOBS)
    by_name = await walk(broker, tenant, limit, by_name=True)
    assert by_name == [JOBS[start : start + limit] for start in range(0, 6, limit)]
    assert [*chain.from_iterable(await walk(broker, tenant, limit))] == [*reversed(JOBS)]
    below = await walk(broker, tenant, limit, prefix="jobs/")
    assert below == [JOBS[1:4][start : start + limit] for start in range(0, 3, limit)]


async def test_a_channel_that_moves_during_paging_is_over_the_first_cursor(broker: Broker, tenant: str) -> None:
    """It is missing from the later pages of the latest, and `since` the first page's cursor lists it."""
    await fill(broker, tenant, JOBS)
    first = await broker.channels(tenant, limit=2)
    await fill(broker, tenant, ["jobs/a", "new"])
    rest = await broker.channels(tenant, after=first.next, limit=10)
    assert names(first) + names(rest) == ["zoo", "jobsite", "jobs/ä", "jobs/b", "jobs"]
    moved = await broker.channels(tenant, since=first.cursor.offset, limit=10)
    assert names(moved) == ["new", "jobs/a"]


async def test_a_channel_that_moves_keeps_its_place_by_name(broker: Broker, tenant: str) -> None:
    """Pages by name list it once, also where the place between two pages has vanished."""
    await fill(broker, tenant, JOBS)
    first = await broker.channels(tenant, by_name=True, limit=2)
    await fill(broker, tenant, ["jobs/b", "jobs/a/0"])
    rest = await broker.channels(tenant, by_name=True, after=first.next, limit=10)
    assert names(rest) == ["jobs/a/0", *JOBS[2:]]


async def test_only_what_came_since_is_listed(broker: Broker, tenant: str) -> None:
    """In both orders and in pages: an offset equal to `since` is not over it."""
    offsets = await fill(broker, tenant, JOBS)
    since = offsets[2]
    assert names(await broker.channels(tenant, since=since, limit=10)) == [*reversed(JOBS[3:])]
    assert names(await broker.channels(tenant, since=since, limit=10, by_name=True)) == JOBS[3:]
    assert names(await broker.channels(tenant, since=since, limit=10, prefix="jobs/")) == ["jobs/ä"]
    page = await broker.channels(tenant, since=since, limit=2)
    assert names(page) == ["zoo", "jobsite"]
    last = await broker.channels(tenant, since=since, limit=2, after=page.next)
    assert (names(last), last.next) == (["jobs/ä"], None)
    assert names(await broker.channels(tenant, since=offsets[-1], limit=10)) == []


async def test_a_page_is_bounded(broker: Broker, tenant: str) -> None:
    """However much is asked for, and however few of those that are looked at came since: `next` goes on."""
    made = [f"c{n:04}" for n in range(PAGE_CHANNELS + 200)]
    receipts = await broker.publish(tenant, [update(name, channel=name) for name in made])
    last = receipts[-2].cursor
    assert last is not None
    for by_name in (False, True):
        page = await broker.channels(tenant, by_name=by_name, limit=10**6)
        assert len(page.entries) == PAGE_CHANNELS
        assert page.next is not None
    bare = await broker.channels(tenant, by_name=True, since=last.offset, limit=5)
    assert bare.entries == []
    assert bare.next is not None
    assert names(await broker.channels(tenant, by_name=True, since=last.offset, after=bare.next, limit=5)) == made[-1:]
    assert [*chain.from_iterable(await walk(broker, tenant, 400, by_name=True))] == made


@pytest.mark.parametrize("after", ["", "x", "o", "o-1", "o01", "o99999999999999999", "n*", "na", "films", "o1\n"])
async def test_another_after_is_invalid(broker: Broker, tenant: str, after: str) -> None:
    """Text that is no `next`, and the `next` of the other order."""
    await fill(broker, tenant, JOBS)
    latest = (await broker.channels(tenant, limit=1)).next
    named = (await broker.channels(tenant, by_name=True, limit=1)).next
    for by_name, text in ((False, after), (True, after), (False, named), (True, latest)):
        with pytest.raises(Invalid) as refused:
            await broker.channels(tenant, by_name=by_name, after=text, limit=1)
        assert refused.value.field == "after"


async def test_any_place_of_its_order_is_valid(broker: Broker, tenant: str) -> None:
    """Those of channels that are gone, and of other tenants and prefixes."""
    await fill(broker, tenant, JOBS)
    await fill(broker, "other", ["i", "k", "zz"])
    early = (await broker.channels("other", by_name=True, limit=1)).next
    assert names(await broker.channels(tenant, prefix="jobs/", after=early, limit=10)) == JOBS[1:4]
    named = (await broker.channels("other", by_name=True, after=early, limit=1)).next
    assert names(await broker.channels(tenant, by_name=True, after=named, limit=10)) == ["zoo"]
    assert names(await broker.channels(tenant, prefix="zoo", after=named, limit=10)) == ["zoo"]
    assert names(await broker.channels(tenant, prefix="jobs", after=named, limit=10)) == []
    assert names(await broker.channels(tenant, after="o1", limit=10)) == []
    assert names(await broker.channels(tenant, after="o9007199254740991", limit=10)) == [*reversed(JOBS)]


async def test_tenants_have_an_index_each(broker: Broker, tenant: str) -> None:
    """An unknown tenant has none."""
    await fill(broker, tenant, ["a"])
    page = await broker.channels("stranger", limit=10)
    assert (page.entries, page.next) == ([], None)
    assert (await broker.channels("stranger", by_name=True, limit=10)).entries == []


async def test_a_stall_is_an_event_of_the_channel(broker: Broker, tenant: str) -> None:
    """It moves the content to failed and the channel to the front, at the time of the sweep."""
    await broker.expire()
    cursor = await accepted(broker, tenant, update("a", lease=1))
    await fill(broker, tenant, ["books"])
    now = time.time() + 4
    assert await broker.expire(now) == 1
    page = await broker.channels(tenant, limit=10)
    assert names(page) == ["films", "books"]
    assert counts(page.entries[0]) == (0, 0, 0, 1, 0)
    assert page.entries[0].offset == cursor.offset + 2
    assert page.entries[0].updated_at == pytest.approx(now, abs=0.002)


async def test_a_removed_content_is_not_counted(forgetful: Broker, tenant: str) -> None:
    """The channel stays, moved by the tombstone, while others have contents or it has the tombstone; then it goes."""
    await forgetful.publish(tenant, [update("kept")], retention=10 * DAY)
    await forgetful.publish(tenant, [update("gone", "complete"), update("only", channel="books")])
    removed = time.time() + 3600
    await forgetful.expire(removed)
    page = await forgetful.channels(tenant, limit=10)
    assert {it.channel: counts(it) for it in page.entries} == {"films": (0, 1, 0, 0, 0), "books": (0,) * 5}
    assert max(entry.offset for entry in page.entries) == page.cursor.offset
    assert [entry.updated_at for entry in page.entries] == pytest.approx([removed] * 2, abs=0.002)
    assert names(await forgetful.channels(tenant, by_name=True, limit=10)) == ["books", "films"]

    await forgetful.expire(removed + 2 * DAY)
    later = await forgetful.channels(tenant, limit=10)
    assert later.entries == [entry for entry in page.entries if entry.channel == "films"]
    assert names(await forgetful.channels(tenant, by_name=True, limit=10)) == ["films"]
    await fill(forgetful, tenant, ["books"])
    assert [counts(it) for it in (await forgetful.channels(tenant, limit=1)).entries] == [(0, 1, 0, 0, 0)]


async def test_a_content_that_comes_back_is_counted_once(forgetful: Broker, tenant: str) -> None:
    """After its removal, in the same channel and in another one."""
    await forgetful.publish(tenant, [update("a"), update("b", "complete")])
    await forgetful.expire(time.time() + 3600)
    await forgetful.publish(tenant, [update("a"), update("b", channel="books")])
    page = await forgetful.channels(tenant, limit=10)
    assert [(it.channel, counts(it)) for it in page.entries] == [
        ("books", (0, 1, 0, 0, 0)),
        ("films", (0, 1, 0, 0, 0)),
    ]


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("redis", marks=pytest.mark.redis)], indirect=True)
async def test_the_index_outlives_a_restart(url: str, tenant: str) -> None:
    """Where the broker is durable."""
    async with open_broker(url) as broker:
        await broker.publish(tenant, [update("a", "complete"), update("b"), update("c", channel="books")])
        before = await broker.channels(tenant, limit=10)
    async with open_broker(url) as broker:
        assert (await broker.channels(tenant, limit=10)).entries == before.entries
