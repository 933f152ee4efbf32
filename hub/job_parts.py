"""The jobs of a hub or a worker: those of modules, and the counts of documents."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from statushub.extras import MissingExtra, required
from statushub.hub.config import Config
from statushub.hub.model.document_source import document_categories, document_headers
from statushub.hub.model.errors import ConfigError
from statushub.hub.settings import SETTINGS

if TYPE_CHECKING:
    from statushub.producers.documents.batches import Batches
    from statushub.producers.documents.counter import Counter
    from statushub.producers.documents.folder import FolderCounter
    from statushub.producers.jobs.definition import Job
    from statushub.producers.jobs.store import Store


def check_jobs(settings: Config) -> None:
    """Raise `ConfigError` where jobs or counts cannot be made of these settings."""
    if settings.jobs:
        names = [job.name for job in _module_jobs(settings)]
        if settings.counts_documents:
            _check_names(names)
        if not (settings.jobs_modules or settings.counts_documents or settings.instagram):
            label, other = SETTINGS["jobs_modules"].label, SETTINGS["documents"].label
            raise ConfigError(
                f"{label} is missing: the module that declares jobs; or {other}, the documents to count",
                field="jobs_modules",
            )
    if settings.documents_counter:
        _counter(settings)
    if settings.documents:
        _folder(settings).check()


@asynccontextmanager
async def open_jobs(settings: Config, store: Store) -> AsyncIterator[tuple[list[Job], Batches | None]]:
    """For the time of the block, the jobs that `settings` name, and the batches of document counts where there are
    such."""
    async with AsyncExitStack() as stack:
        jobs = _module_jobs(settings) if settings.jobs else []
        batches = None
        if settings.counts_documents:
            from statushub.producers.documents.batches import Batches
            from statushub.producers.documents.job import documents_job
            from statushub.producers.documents.lookups import Lookups

            counter = await stack.enter_async_context(_counter(settings))
            lookups = Lookups(counter, store, pace=settings.documents_pace)
            declared = documents_job(lookups, pace=settings.documents_pace, retry=settings.documents_retry)
            _check_names([job.name for job in jobs])
            jobs.append(declared)
            batches = Batches(store, lookups, declared, tenants=settings.jobs_tenants, queue=settings.documents_queue)
        yield jobs, batches


def _module_jobs(settings: Config) -> list[Job]:
    if not settings.jobs_modules:
        return []
    from statushub.producers.jobs.loading import load_jobs

    try:
        with required("jobs"):
            return load_jobs(settings.jobs_modules)
    except MissingExtra as error:
        raise ConfigError(str(error), field="jobs") from error


def _counter(settings: Config) -> Counter:
    if settings.documents_counter:
        from statushub.producers.documents.plugin import PluginCounter

        return PluginCounter(settings.documents_counter)
    if settings.documents_url:
        from statushub.producers.documents.search_api import SearchApi

        return SearchApi(
            settings.documents_url,
            document_categories(settings.documents_categories),
            document_headers(settings.documents_headers),
        )
    return _folder(settings)


def _check_names(names: list[str]) -> None:
    from statushub.producers.documents.job import DOCUMENTS

    if DOCUMENTS in names:
        raise ConfigError(f"two jobs are named {DOCUMENTS!r}: one of a module, and the counts", field="jobs_modules")


def _folder(settings: Config) -> FolderCounter:
    from statushub.producers.documents.folder import FolderCounter

    index = Path(settings.documents_index) if settings.documents_index else None
    return FolderCounter(Path(settings.documents), index=index)
