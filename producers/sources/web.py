"""Sources on the web: http(s) URLs, streamed to a scratch file."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, Protocol

import anyio
import httpx

from statushub.hub.model.errors import StatushubError
from statushub.hub.model.redaction import redacted
from statushub.producers.sources.errors import SourceErrors, reason
from statushub.producers.sources.location import printable

CHUNK_BYTES: Final = 1024 * 1024
"""Read at a time: large enough for throughput, small enough that a cancelled download ends within a moment."""

SLOW_BYTES: Final = 256 * 1024
"""Bytes that must arrive to count as progress. A source that sends a byte a second makes none."""

HTTP_TIMEOUT: Final = 30.0
"""Seconds a server may send nothing before the source counts as unreadable."""

RESPONSE_SECONDS: Final = 45.0
"""Seconds until the head of the last response: a server may also send heads and redirects slowly."""

SLOW_SECONDS: Final = 30.0
"""Seconds within which each `SLOW_BYTES` of the body must arrive: a server that sends a byte a second never ends."""

REDIRECTS_MAX: Final = 5
"""Redirects that are followed: a file has moved once or twice, more is a loop."""

PORTS: Final = {"http": 80, "https": 443}
PORT_MAX: Final = 65_535

CODINGS: Final = ("identity", "gzip", "deflate")
"""Content codings that are accepted, one at a time: they expand at most a thousandfold, others without a bound."""

OnProgress = Callable[[float], object]
"""Called with the part that has arrived, 0 to 1."""


class WebLimits(Protocol):
    """What a download may take."""

    @property
    def source_bytes(self) -> int: ...

    @property
    def download_seconds(self) -> float: ...

    @property
    def redirect_hosts(self) -> tuple[str, ...]:
        """Hosts other than the source's to which its server may redirect; `*.example.com` names all below one."""


async def from_web(source: str, target: Path, limits: WebLimits, on_progress: OnProgress, errors: SourceErrors) -> None:
    """Stream the http(s) URL `source` to `target`.

    Raises of `errors` `not_found` on 404 and 410, `too_large`, and `unreadable` on any other failure, a redirect to
    another host among them.
    """
    # None of these errors has its cause, which may quote a password.
    try:
        url = httpx.URL(source)
        if not url.host or not 0 < (url.port or PORTS[url.scheme]) <= PORT_MAX:
            raise _malformed(source, errors)
        with _redacted_log():
            await _Download(source, url, limits, on_progress, errors).run(target)
    except (httpx.InvalidURL, UnicodeError):
        raise _malformed(source, errors) from None
    except httpx.HTTPError as error:
        raise _unreadable(source, reason(error, source), errors) from None


class _Download:
    """One download, within its limits of time and size."""

    def __init__(
        self, source: str, url: httpx.URL, limits: WebLimits, on_progress: OnProgress, errors: SourceErrors
    ) -> None:
        self._source = source
        self._url = url
        self._limits = limits
        self._errors = errors
        self._on_progress = on_progress
        self._end = anyio.current_time() + limits.download_seconds
        self._scope = anyio.CancelScope(deadline=min(self._end, anyio.current_time() + RESPONSE_SECONDS))
        self._recent = 0

    async def run(self, target: Path) -> None:
        headers = {"Accept-Encoding": ", ".join(CODINGS)}
        with self._scope:
            async with httpx.AsyncClient(timeout=HTTP_TIMEOUT, headers=headers) as client:
                response = await self._response(client)
                try:
                    _check_head(response, self._source, self._errors)
                    self._extend()
                    await self._store(response, target)
                finally:
                    await response.aclose()
        if self._scope.cancelled_caught:
            if anyio.current_time() >= self._end:
                raise _unreadable(
                    self._source, f"it takes longer than {self._limits.download_seconds:g} s", self._errors
                )
            raise self._unreadable("its server sends it too slowly")

    async def _response(self, client: httpx.AsyncClient) -> httpx.Response:
        request = client.build_request("GET", self._url)
        for _ in range(REDIRECTS_MAX + 1):
            response = await client.send(request, stream=True, follow_redirects=False)
            if response.next_request is None:
                return response
            # The body is not read: it may have any size.
            await response.aclose()
            request = response.next_request
            if not redirect_allowed(self._url, request.url, self._limits.redirect_hosts):
                where = printable(f"{request.url.scheme}://{request.url.netloc.decode()}")
                raise _unreadable(
                    self._source, f"it redirects to {where}, which `redirect_hosts` does not list", self._errors
                )
        raise self._unreadable(f"it redirects more than {REDIRECTS_MAX} times")

    async def _store(self, response: httpx.Response, target: Path) -> None:
        size, done, wire = int(response.headers.get("content-length", 0)), 0, 0
        self._errors.check_size(size, self._limits.source_bytes)
        async with await anyio.open_file(target, "wb") as file:
            buffer = bytearray()
            async for chunk in response.aiter_bytes():
                buffer += chunk
                done += len(chunk)
                self._errors.check_size(done, self._limits.source_bytes)
                self._received(response.num_bytes_downloaded - wire)
                wire = response.num_bytes_downloaded
                if len(buffer) >= CHUNK_BYTES:
                    await file.write(buffer)
                    buffer.clear()
                # `done` counts decompressed bytes, content-length those on the wire.
                self._on_progress(wire / size if size else 0.0)
            await file.write(buffer)

    def _received(self, size: int) -> None:
        """Take that `size` more bytes have arrived; extends the deadline once enough have."""
        self._recent += size
        if self._recent >= SLOW_BYTES:
            self._extend()

    def _extend(self) -> None:
        self._recent = 0
        self._scope.deadline = min(self._end, anyio.current_time() + SLOW_SECONDS)

    def _unreadable(self, why: str) -> StatushubError:
        return _unreadable(self._source, why, self._errors)


def redirect_allowed(source: httpx.URL, target: httpx.URL, hosts: Sequence[str]) -> bool:
    """Whether the server of `source` may redirect to `target`: to itself, to itself over TLS, or to one of `hosts`.

    An https source never leads to http. Anything else would let a server direct this machine's requests to the hosts
    of its network (SSRF).
    """
    if target.scheme not in PORTS or (source.scheme, target.scheme) == ("https", "http"):
        return False
    ports = source.port or PORTS[source.scheme], target.port or PORTS[target.scheme]
    same = ports[0] == ports[1] and source.scheme == target.scheme
    if source.host == target.host and (same or ports == (PORTS["http"], PORTS["https"])):
        return True
    return any(fnmatchcase(target.host, host.lower()) for host in hosts)


def _check_head(response: httpx.Response, source: str, errors: SourceErrors) -> None:
    status = response.status_code
    if status in (404, 410):
        raise errors.not_found(f"{printable(source)} does not exist: its server answered {status}.", field="source")
    if status != 200:
        raise _unreadable(source, f"its server answered {status}", errors)
    if response.headers.get("content-encoding", CODINGS[0]).strip().lower() not in CODINGS:
        raise _unreadable(source, "its content coding is not accepted", errors)


def _malformed(source: str, errors: SourceErrors) -> StatushubError:
    return _unreadable(source, "it is malformed: expected https://host[:port]/path", errors)


def _unreadable(source: str, why: str, errors: SourceErrors) -> StatushubError:
    return errors.unreadable(f"{printable(source)} cannot be read: {why}.", field="source")


class _Redaction(logging.Filter):
    """Redacts the URLs of requests, which httpx logs whole."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(redacted(str(arg)) if isinstance(arg, httpx.URL) else arg for arg in record.args)
        return True


@contextmanager
def _redacted_log() -> Iterator[None]:
    redaction, logger = _Redaction(), logging.getLogger("httpx")
    logger.addFilter(redaction)
    try:
        yield
    finally:
        logger.removeFilter(redaction)
