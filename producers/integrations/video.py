"""Video workers: `record_progress` and `record_status` take the place of functions that write keys in Redis.

They publish through the hub and, where asked, write those keys, too. No failure reaches the work.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, Final

import anyio
import msgspec

from statushub.hub.model import variables
from statushub.hub.model.names import DEFAULT_TENANT
from statushub.hub.model.video_keys import job_key, progress_key, status_key
from statushub.hub.model.video_steps import VIDEO_STEPS, VideoSteps, video_steps
from statushub.hub.model.video_tenants import VideoTenants, video_tenants
from statushub.hub.model.vocabulary import VIDEO_STATUS, Phase, advice, meaning_of
from statushub.producers.address import HTTP_SCHEMES, settings
from statushub.producers.background import waited
from statushub.producers.integrations.video_writer import DEADLINE_SECONDS, KeyWriter
from statushub.producers.sync import SyncProducer, SyncWork
from statushub.producers.values import plain

TTL_SECONDS: Final = 24 * 3600
"""How long a key is kept that is not written again: longer than the longest encode."""

LATE_SECONDS: Final = 5.0
"""For which the progress of a video that has ended, or that another process has taken over, is taken for a late one."""

ENDING_TRIES: Final = 3
"""Runs that say one ending: two may be taken for earlier than another process's, which began in the same moment."""

VIDEOS: Final = 10_000
"""Videos of which a process remembers the run."""

JOB_PREFIX: Final = "video:"
"""Beginning of a `job_id`, before the video's id."""

_encode = msgspec.json.Encoder().encode

logger = logging.getLogger(__name__)


class _Options(msgspec.Struct, frozen=True):
    """Where is reported: each reporter has its own."""

    tenant: str | None
    channel: str | None
    keys: str | None
    url: str | None
    token: str | None


class _Run:
    """What a process reports of one video. `over` is when the run was found to be over."""

    def __init__(self, work: SyncWork) -> None:
        self.work = work
        self.over: float | None = None


class _Reporter:
    """Reports the videos of one tenant to one hub and, where asked, into keys."""

    def __init__(self, options: _Options, environ: Mapping[str, str]) -> None:
        """Raises `ConfigError` and `ValueError` for what can never work."""
        self._url = options.url or settings(environ)["url"]
        self._tenants = video_tenants(_texts(environ.get(variables.VIDEO_TENANTS, "")))
        self._steps = video_steps(_texts(environ.get(variables.VIDEO_STEPS, "")) or VIDEO_STEPS)
        self._channel = options.channel or environ.get(variables.VIDEO_CHANNEL) or variables.DEFAULT_VIDEO_CHANNEL
        self._tenant = options.tenant
        self._own_id = _own_id(self._tenants, environ)
        keys = environ.get(variables.VIDEO_KEYS) if options.keys is None else options.keys
        self._writer = _writer(keys) if keys else None
        self._producer = SyncProducer(options.url, tenant=self._hub_tenant(), token=options.token).open()
        self._runs: OrderedDict[str, _Run] = OrderedDict()
        self._lock = threading.RLock()

    def progress(self, video: str, step: str | None, extra: Mapping[str, Any], lease: float | None) -> dict[str, bytes]:
        """Publish; returns the values to write, by key."""
        told = _progress(step, extra, self._steps)
        fields = {name: value for name, value in told.items() if name != "percent"}
        if "percent" in told:
            fields["progress"] = told["percent"]
        with self._lock:
            if (work := self._work(video, lease)) is not None:
                work.say(VIDEO_STATUS[Phase.PROCESSING], fields)
        name = job_key(video) if self._tenant is None else progress_key(self._tenant, video)
        return {name: _encode(told)}

    def status(self, video: str, word: str, said: Mapping[str, Any], lease: float | None) -> dict[str, bytes]:
        """The same for a status."""
        fields = {name: value for name, value in said.items() if value is not None}
        with self._lock:
            phase = _phase(word)
            work = self._work(video, lease, again=True)
            if work is not None and phase.terminal:
                self._end(work, VIDEO_STATUS[phase], {**fields, **({} if phase is Phase.FAILED else work.done())})
            elif work is not None:
                work.say(VIDEO_STATUS[phase], fields)
        return {status_key(self._tenant or self._own_id, video): _encode({"status": word, **said})}

    def write(self, values: Mapping[str, bytes], ttl: int) -> Future[bool] | None:
        """Write keys, where that is asked for."""
        return self._writer.write(values, ttl) if self._writer else None

    def _end(self, work: SyncWork, word: str, fields: Mapping[str, Any], tries: int = ENDING_TRIES) -> None:
        """Report an ending, which is the last word: where another process's run came later, a further one says it."""

        def again() -> None:
            with self._lock:
                self._end(self._begin(work.content_id, None), word, fields, tries - 1)

        work.say(word, fields)
        if tries > 1:
            work.on_refusal(again)

    def _hub_tenant(self) -> str | None:
        """The tenant to publish for; None for that of the environment, or of the hub's token."""
        if self._tenant is None or self._url.startswith(HTTP_SCHEMES):
            return None
        return self._tenants.tenant_of(self._tenant)

    def _work(self, video: str, lease: float | None, *, again: bool = False) -> SyncWork | None:
        """The work on a video; None where what is said of it comes too late. `again`: it begins anew, if it is over."""
        run = self._runs.get(video)
        if run is None:
            return self._begin(video, lease)
        if not run.work.ended and run.work.refused is None:
            return run.work
        if run.over is None:
            run.over = time.monotonic()
        late = not again and time.monotonic() - run.over < LATE_SECONDS
        return None if late else self._begin(video, lease)

    def _begin(self, video: str, lease: float | None) -> SyncWork:
        work = self._producer.work(video, channel=self._channel, lease=lease)
        if lease is None:
            # Another process may go on with it.
            work.hand_over()
        self._runs[video] = _Run(work)
        while len(self._runs) > VIDEOS:
            self._runs.popitem(last=False)
        return work


_reporters: Final[dict[tuple[int, _Options], _Reporter]] = {}
"""By process, as a child has connections of its own after a fork."""

_writers: Final[dict[tuple[int, str], KeyWriter]] = {}
"""By process, and by address: all tenants share the connections."""

_told: Final[set[str]] = set()
"""What was logged already."""


def record_progress(
    job_id: str,
    step: str | None = None,
    extra: Mapping[str, Any] | None = None,
    tenant: str | None = None,
    *,
    channel: str | None = None,
    keys: str | None = None,
    ttl: int = TTL_SECONDS,
    lease: float | None = None,
    url: str | None = None,
    token: str | None = None,
) -> None:
    """Report that the work on a video, `job_id="video:{id}"`, is at `step`.

    `extra` has further fields: `percent` (0 to 100; by default it follows from the step), `remaining_seconds`, and any
    others. `tenant` is the `{tenant_id}` of the keys. `keys` is the address of a Redis, by default that of
    `STATUSHUB_VIDEO_KEYS`: where there is one, the progress key is written, too, for `ttl` seconds; with "" it is not.
    `lease` is as for `Producer.work`: give one where this process does all the work on the video. Raises nothing.
    """
    with _Harmless():
        reporter = _reporter(tenant, channel, keys, url, token)
        values = reporter.progress(_video(job_id), step, _mapping(extra), lease)
        waited(reporter.write(values, ttl), DEADLINE_SECONDS)


async def arecord_progress(
    job_id: str,
    step: str | None = None,
    extra: Mapping[str, Any] | None = None,
    tenant: str | None = None,
    *,
    channel: str | None = None,
    keys: str | None = None,
    ttl: int = TTL_SECONDS,
    lease: float | None = None,
    url: str | None = None,
    token: str | None = None,
) -> None:
    """As `record_progress`, in asyncio."""
    with _Harmless():
        reporter = _reporter(tenant, channel, keys, url, token)
        values = reporter.progress(_video(job_id), step, _mapping(extra), lease)
        await _arrived(reporter.write(values, ttl))


def record_status(
    job_id: str,
    status: str,
    tenant: str | None = None,
    *,
    hls_path: str | None = None,
    duration: float | None = None,
    error_reason: str | None = None,
    extra: Mapping[str, Any] | None = None,
    channel: str | None = None,
    keys: str | None = None,
    ttl: int = TTL_SECONDS,
    lease: float | None = None,
    url: str | None = None,
    token: str | None = None,
) -> None:
    """Report the status of a video: `PENDING`, `PROCESSING`, `READY` or `FAILED`, or a word of another system for one
    of them; any other is logged, and reported as `PROCESSING`. The rest is as for `record_progress`, with the status
    key. Raises nothing."""
    said = {**_mapping(extra), "hls_path": hls_path, "duration": duration, "error_reason": error_reason}
    with _Harmless():
        reporter = _reporter(tenant, channel, keys, url, token)
        values = reporter.status(_video(job_id), status, _plain(said), lease)
        waited(reporter.write(values, ttl), DEADLINE_SECONDS)


async def arecord_status(
    job_id: str,
    status: str,
    tenant: str | None = None,
    *,
    hls_path: str | None = None,
    duration: float | None = None,
    error_reason: str | None = None,
    extra: Mapping[str, Any] | None = None,
    channel: str | None = None,
    keys: str | None = None,
    ttl: int = TTL_SECONDS,
    lease: float | None = None,
    url: str | None = None,
    token: str | None = None,
) -> None:
    """As `record_status`, in asyncio."""
    said = {**_mapping(extra), "hls_path": hls_path, "duration": duration, "error_reason": error_reason}
    with _Harmless():
        reporter = _reporter(tenant, channel, keys, url, token)
        values = reporter.status(_video(job_id), status, _plain(said), lease)
        await _arrived(reporter.write(values, ttl))


class _Harmless:
    """Logs what its block raises, each kind once, instead of raising it."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, Exception):
            return False
        _tell(f"{type(error).__name__}: {error}", f"a video is not reported: {type(error).__name__}: {error}")
        return True


def _reporter(
    tenant: str | None, channel: str | None, keys: str | None, url: str | None, token: str | None
) -> _Reporter:
    options = _Options(tenant, channel, keys, url, token)
    key = (os.getpid(), options)
    return _reporters.get(key) or _reporters.setdefault(key, _Reporter(options, os.environ))


def _writer(url: str) -> KeyWriter:
    key = (os.getpid(), url)
    return _writers.get(key) or _writers.setdefault(key, KeyWriter(url))


async def _arrived(written: Future[bool] | None) -> None:
    if written is not None:
        with anyio.move_on_after(DEADLINE_SECONDS):
            await asyncio.shield(asyncio.wrap_future(written))


def _progress(step: str | None, extra: Mapping[str, Any], steps: VideoSteps) -> dict[str, Any]:
    told = _plain(extra)
    if step is not None:
        told["step"] = plain(step)
    percent = next((told[name] for name in ("percent", "progress") if told.get(name) is not None), None)
    told.pop("progress", None)
    if percent is None:
        percent = steps.percent(told.get("step"))
    return told if percent is None else {**told, "percent": percent}


def _phase(word: object) -> Phase:
    known = next((phase for phase, name in VIDEO_STATUS.items() if name == str(word).strip().upper()), None)
    if known is not None:
        return Phase.PENDING if known is Phase.IDLE else known
    meaning = meaning_of(word)
    if meaning is None:
        words = ", ".join(sorted({*VIDEO_STATUS.values()}))
        _tell(f"word {word!r:.60}", f"the status {word!r:.60} of a video is none of {words}.{advice(word)}")
    return Phase.PROCESSING if meaning is None else meaning.phase


def _tell(kind: str, sentence: str) -> None:
    if kind not in _told:
        _told.add(kind)
        logger.warning("%s", sentence)


def _video(job_id: object) -> str:
    return str(job_id).removeprefix(JOB_PREFIX)


def _mapping(extra: object) -> Mapping[str, Any]:
    return extra if isinstance(extra, Mapping) else {}


def _plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {str(plain(name)): plain(value) for name, value in fields.items()}


def _own_id(tenants: VideoTenants, environ: Mapping[str, str]) -> str:
    tenant = environ.get(variables.TENANT) or DEFAULT_TENANT
    return tenants.id_of(tenant) or tenant


def _texts(value: str) -> list[str]:
    return [text.strip() for text in value.split(",") if text.strip()]
