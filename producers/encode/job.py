"""An encode whose progress is published as the status of a content: `encode`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from statushub.hub.model.cancel import CancelRequest
from statushub.producers.encode.conversion import convert
from statushub.producers.encode.errors import EncodeError
from statushub.producers.encode.options import Options
from statushub.producers.encode.progress import Progress
from statushub.producers.encode.result import Result
from statushub.producers.sources.location import title
from statushub.producers.until_cancelled import until_cancelled
from statushub.producers.work import LEASE_SECONDS

PROCESSING: Final = "PROCESSING"
"""The status of every report but the last; the event type `encoding_progress` follows from it."""


class Work(Protocol):
    """What `encode` needs of a producer's work."""

    async def cancelled(self) -> CancelRequest | None: ...

    async def update(self, status: str | None = None, /, **fields: Any) -> None: ...

    async def complete(self, **fields: Any) -> bool: ...

    async def fail(self, message: str | None = None, /, **fields: Any) -> bool: ...


class Works(Protocol):
    """What `encode` needs of a producer."""

    def work(
        self, content_id: str, *, channel: str, lease: float | None, **fields: Any
    ) -> AbstractAsyncContextManager[Work]: ...


async def encode(
    source: str | Path,
    *,
    channel: str,
    content_id: str,
    destination: str | Path,
    producer: Works,
    options: Options | None = None,
    lease: float = LEASE_SECONDS,
    **fields: Any,
) -> Result:
    """Encode `source` into the folder `destination`, and publish the progress as the status of `content_id`.

    `source` and `destination` are local paths, or URLs of any kind that fsspec knows. `fields` are published in
    addition, and override the encode's own fields of the same name, such as `title`.
    The producer renews the lease, in seconds, while the encode runs.
    Raises `EncodeError` after it has been published as `error_message` and `error_code`, and `Cancelled` after a
    request to cancel: the encode stops immediately, and its temporary files are removed.
    """
    progress = Progress()
    begin = {"status": PROCESSING, "title": title(str(source)), **progress.snapshot(), **fields}

    async def report(state: Mapping[str, Any]) -> None:
        await work.update(PROCESSING, **{**state, **fields})

    async with producer.work(content_id, channel=channel, lease=lease, **begin) as work:
        try:
            converting = convert(source, destination, report=report, options=options, progress=progress)
            result = await until_cancelled(work, converting)
        except EncodeError as error:
            reasons = {"error_reason": error.message, "error_code": error.code}
            await work.fail(error.message, **{**progress.failure(), **fields, **reasons})
            raise
        await work.complete(**{**_completion(progress, result), **fields})
        return result


def _completion(progress: Progress, result: Result) -> dict[str, Any]:
    return {**progress.completion(), **msgspec.to_builtins(result)}
