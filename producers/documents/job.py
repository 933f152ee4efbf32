"""The job of document counts."""

from __future__ import annotations

from typing import Any, Final

from statushub.producers.documents.counter import KeywordRefused, RateLimited
from statushub.producers.documents.lookups import Lookups
from statushub.producers.documents.words import BatchLog
from statushub.producers.jobs.definition import Job, job
from statushub.producers.jobs.item import Item, PermanentFailure, RetryLater
from statushub.producers.jobs.retry import Retry

DOCUMENTS: Final = "documents"
"""The name of the job, and of the group in which one runs at a time."""

TRIES: Final = 3
"""Of a keyword: after a minute and two more, what is wrong is mostly not of the moment."""

RETRY_LONGEST: Final = 3600.0
"""Seconds between two tries: as long as a search API may have to be left alone."""

TRY_SECONDS: Final = 600.0
"""For one try: the first look at a folder of a million documents takes minutes."""

KEEP_SECONDS: Final = 30 * 60.0
"""How long a batch is kept after its end, as its pages know it."""

CALLS: Final = "calls"
"""The sum, over all keywords and tries, of the calls of the source."""


def documents_job(lookups: Lookups, *, pace: float, retry: float) -> Job:
    """A job whose items are keywords, and whose results are `{"keyword","counts"}`. `pace` and `retry` are in
    seconds."""

    async def documents(item: Item) -> dict[str, Any]:
        keyword = str(item.input)
        found = await lookups.known(item.tenant, keyword)
        if found is not None:
            item.unpace()
            return {"keyword": keyword, "counts": dict(found.counts)}
        try:
            found = await lookups.find(item.tenant, keyword)
        except RateLimited as error:
            item.add(CALLS, error.calls)
            raise RetryLater(error.message, after=error.after) from error
        except KeywordRefused as error:
            item.add(CALLS, lookups.calls)
            raise PermanentFailure(error.message) from error
        except Exception:
            item.add(CALLS, lookups.calls)
            raise
        item.add(CALLS, found.calls)
        return {"keyword": keyword, "counts": dict(found.counts)}

    return job(
        name=DOCUMENTS,
        group=DOCUMENTS,
        pace=pace,
        retry=Retry(tries=TRIES, first=retry, longest=max(RETRY_LONGEST, retry)),
        timeout=TRY_SECONDS,
        keep=KEEP_SECONDS,
        log=BatchLog(),
    )(documents)
