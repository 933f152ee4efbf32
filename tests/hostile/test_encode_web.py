"""Sources on servers that want to hold, misdirect or flood an encoder, and URLs with secrets or nonsense in them."""

from __future__ import annotations

import asyncio
import gzip
import logging
import traceback
import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from threading import Event
from typing import Any

import anyio
import fsspec
import httpx
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from statushub.hub.cli.encode import default_name
from statushub.producers.clip import write_clip
from statushub.producers.encode import EncodeError, Options, convert, encode
from statushub.producers.sources.location import printable, title
from statushub.producers.sources.web import redirect_allowed
from tests.support.clips import serving
from tests.support.command import command
from tests.support.live import LiveHub
from tests.support.recording_producer import RecordingProducer
from tests.support.rogue_server import DRIP_SECONDS, Answer, Connection, rogue_server

pytestmark = pytest.mark.anyio

WEB = "statushub.producers.sources.web"
SOON = 20.0
PASSWORD = "hunter2"
SIGNATURE = "c0ffee"


async def silent(state: Mapping[str, Any]) -> None:
    """A report that does nothing."""


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One second of 64 x 36."""
    return write_clip(tmp_path_factory.mktemp("short") / "short.mp4", seconds=1, width=64, height=36)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits of time as short as a test needs them."""
    monkeypatch.setattr(f"{WEB}.SLOW_SECONDS", 1.0)
    monkeypatch.setattr(f"{WEB}.RESPONSE_SECONDS", 1.0)


async def refusal(source: str, tmp_path: Path, scratch: Path, **options: Any) -> EncodeError:
    """The error that converting `source` ends with, in time."""
    chosen = Options(preset="ultrafast", scratch=scratch, **options)
    with anyio.fail_after(SOON), pytest.raises(EncodeError) as caught:
        await convert(source, tmp_path / "out", report=silent, options=chosen)
    assert not (tmp_path / "out" / "master.m3u8").exists()
    return caught.value


def slow_head(connection: Connection) -> None:
    connection.drip(b"HTTP/1.1 200 OK\r\nX-Header: " + b"x" * 10_000)


def slow_body(connection: Connection) -> None:
    connection.head("200 OK", Content_Length="1000000")
    connection.drip(b"x")


def slow_chunks(connection: Connection) -> None:
    connection.head("200 OK", Transfer_Encoding="chunked")
    connection.drip(b"1\r\nx\r\n")


def slow_until_closed(connection: Connection) -> None:
    connection.head("200 OK")
    connection.drip(b"x")


def endless(connection: Connection) -> None:
    connection.head("200 OK")
    connection.pour(bytes(65_536))


def moved(location: str) -> Answer:
    """An answer that redirects."""
    return lambda connection: connection.head("302 Found", Location=location, Content_Length="0")


class TestTime:
    @pytest.mark.usefixtures("hasty")
    @pytest.mark.parametrize("answer", [slow_head, slow_body, slow_chunks, slow_until_closed])
    async def test_a_dripping_server_is_given_up(self, tmp_path: Path, scratch: Path, answer: Answer) -> None:
        """A head or a body that arrives byte by byte ends as an unreadable source."""
        with rogue_server(answer) as server:
            error = await refusal(f"{server.url}/a.mp4", tmp_path, scratch)
        assert error.code == "source_unreadable"
        assert "too slowly" in error.message

    @pytest.mark.usefixtures("hasty")
    async def test_an_archive_from_a_dripping_server_is_given_up(self, tmp_path: Path, scratch: Path) -> None:
        """The same rule holds for a web address within a chain."""
        with rogue_server(slow_body) as server:
            error = await refusal(f"zip://a.mp4::{server.url}/a.zip", tmp_path, scratch)
        assert error.code == "source_unreadable"

    async def test_a_download_has_a_deadline(self, tmp_path: Path, scratch: Path) -> None:
        """A fast download without an end ends."""
        with rogue_server(endless) as server:
            error = await refusal(f"{server.url}/a.mp4", tmp_path, scratch, download_seconds=0.5)
        assert error.code == "source_unreadable"
        assert "takes longer than 0.5 s" in error.message

    async def test_a_body_larger_than_announced_is_cut_off(self, tmp_path: Path, scratch: Path) -> None:
        """The size limit holds for what arrives."""
        with rogue_server(endless) as server:
            error = await refusal(f"{server.url}/a.mp4", tmp_path, scratch, source_bytes=10_000_000)
        assert error.code == "source_too_large"

    async def test_a_silent_server_of_another_protocol_is_given_up(self, tmp_path: Path, scratch: Path) -> None:
        """A file system that waits for its server is stopped: FTP that greets byte by byte."""
        with rogue_server(lambda connection: connection.drip(b"2"), greets=True) as server:
            error = await refusal(f"ftp://127.0.0.1:{server.port}/a.mp4", tmp_path, scratch, stall_seconds=2)
        assert error.code == "resources_exhausted"
        assert "2 s without progress" in error.message

    async def test_a_dripping_file_system_of_the_program_is_given_up(self, tmp_path: Path, scratch: Path) -> None:
        """A file system that only this process knows is left behind when it makes no progress."""
        fsspec.register_implementation("dripping", Dripping, clobber=True)
        Dripping.store.clear()
        fsspec.filesystem("dripping").pipe_file("/a.mp4", bytes(1_000_000))
        error = await refusal("dripping://a.mp4", tmp_path, scratch, stall_seconds=0.5)
        assert error.code == "source_unreadable"
        assert "too slowly" in error.message

    async def test_cancelling_a_dripping_download_ends_it(self, tmp_path: Path, scratch: Path) -> None:
        """A cancelled download does not wait for its server."""
        with rogue_server(slow_body) as server, anyio.fail_after(SOON):
            options = Options(scratch=scratch)
            running = convert(f"{server.url}/a.mp4", tmp_path / "out", report=silent, options=options)
            task = asyncio.ensure_future(running)
            while not server.heads:
                await anyio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task


class Dripping(MemoryFileSystem):  # type: ignore[misc]
    """A file system whose files are read one byte at a time."""

    protocol = "dripping"
    store: dict[str, Any] = {}  # noqa: RUF012 - declared like this by its base

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return "/" + path.removeprefix("dripping://").strip("/")

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        opened = super()._open(path, mode, **options)
        return _DrippingFile(opened.getvalue()) if mode == "rb" else opened


class _DrippingFile(BytesIO):
    def read(self, size: int | None = -1) -> bytes:
        Event().wait(DRIP_SECONDS)
        return super().read(min(size or 1, 1))


class TestRedirects:
    @pytest.mark.parametrize(
        "target",
        [
            "http://127.0.0.1:{other}/secret",
            "http://localhost:{port}/a.mp4",
            "http://[::1]:{port}/a.mp4",
            "http://127.0.0.2:{port}/a.mp4",
            "http://2130706433:{port}/a.mp4",
            "http://169.254.169.254/latest/meta-data/",
            "http://example.com/a.mp4",
            "//10.0.0.1/a.mp4",
            "https://127.0.0.1:{port}/a.mp4",
            "ftp://127.0.0.1:{port}/a.mp4",
            "file:///etc/passwd",
            "data:text/plain,x",
            "http://user:hunter2@127.0.0.1:{other}/",
        ],
    )
    async def test_a_redirect_elsewhere_is_refused(self, tmp_path: Path, scratch: Path, target: str) -> None:
        """A redirect to another host, port or scheme is not followed, and the other server gets no request (SSRF)."""
        with rogue_server(endless) as other:
            with rogue_server(lambda each: moved(target.format(port=server.port, other=other.port))(each)) as server:
                error = await refusal(f"{server.url}/a.mp4", tmp_path, scratch)
            assert other.heads == []
        assert len(server.heads) == 1
        assert error.code == "source_unreadable"
        assert PASSWORD not in error.message

    async def test_a_redirect_elsewhere_is_refused_at_any_hop(self, tmp_path: Path, scratch: Path) -> None:
        """The last of several redirects is checked like the first."""
        with rogue_server(endless) as other:
            with rogue_server(moved("/b.mp4"), moved(f"{other.url}/c.mp4")) as server:
                error = await refusal(f"{server.url}/a.mp4", tmp_path, scratch)
            assert other.heads == []
        assert "redirect_hosts" in error.message

    async def test_a_loop_of_redirects_ends(self, tmp_path: Path, scratch: Path) -> None:
        """Few redirects are followed."""
        with rogue_server(moved("/a.mp4")) as server:
            error = await refusal(f"{server.url}/a.mp4", tmp_path, scratch)
        assert "more than 5 times" in error.message
        assert len(server.heads) == 6

    async def test_the_body_of_a_redirect_is_not_read(self, tmp_path: Path, scratch: Path, short: Path) -> None:
        """A redirect with an endless body leads on immediately."""

        def endless_redirect(connection: Connection) -> None:
            connection.head("302 Found", Location="/b.mp4")
            connection.pour(bytes(65_536))

        def clip(connection: Connection) -> None:
            connection.head("200 OK")
            connection.send(short.read_bytes())

        with rogue_server(endless_redirect, clip) as server, anyio.fail_after(SOON):
            options = Options(preset="ultrafast", scratch=scratch)
            result = await convert(f"{server.url}/a.mp4", tmp_path / "out", report=silent, options=options)
        assert result.duration == 1

    @pytest.mark.parametrize("hosts", [("localhost",), ("LOCAL*",)])
    async def test_a_listed_host_is_followed_without_the_password(
        self, tmp_path: Path, scratch: Path, short: Path, hosts: tuple[str, ...]
    ) -> None:
        """`redirect_hosts` allows a redirect; the source's password is not sent there."""
        with serving(short.read_bytes()) as url:
            port = url.rpartition(":")[2]
            with rogue_server(moved(f"http://localhost:{port}/clip.mp4")) as server:
                options = Options(preset="ultrafast", scratch=scratch, redirect_hosts=hosts)
                source = f"http://me:{PASSWORD}@127.0.0.1:{server.port}/a.mp4"
                result = await convert(source, tmp_path / "out", report=silent, options=options)
        assert b"Authorization: Basic" in server.heads[0]
        assert result.duration == 1

    @pytest.mark.parametrize(
        ("source", "target", "allowed"),
        [
            ("http://h/a", "http://h/b", True),
            ("http://h/a", "http://H:80/b", True),
            ("http://h/a", "https://h/a", True),
            ("http://h/a", "https://h:8443/a", False),
            ("http://h:8080/a", "https://h/a", False),
            ("https://h/a", "http://h/a", False),
            ("http://h/a", "http://h./a", False),
            ("http://h/a", "http://cdn.example/a", True),
            ("https://h/a", "http://cdn.example/a", False),
            ("http://h/a", "ftp://cdn.example/a", False),
            ("http://h/a", "https://a.b.files.example:8443/a", True),
            ("http://h/a", "https://files.example/a", False),
            ("http://h/a", "https://evilfiles.example/a", False),
            ("http://h/a", "https://a.files.example.evil/a", False),
            ("http://h/a", "https://a.files.example@evil/a", False),
        ],
    )
    def test_only_listed_hosts_are_allowed(self, source: str, target: str, allowed: bool) -> None:
        """A listed host is allowed over http and https, and never from https to http."""
        hosts = ("cdn.example", "*.FILES.example")
        assert redirect_allowed(httpx.URL(source), httpx.URL(target), hosts) is allowed

    def test_the_command_lists_hosts(self, hub: LiveHub, tmp_path: Path, short: Path) -> None:
        """`--redirect-host` allows a redirect."""
        with serving(short.read_bytes()) as url:
            port = url.rpartition(":")[2]
            with rogue_server(moved(f"http://localhost:{port}/clip.mp4")) as server:
                arguments = ("encode", f"{server.url}/a.mp4", "--preset", "ultrafast", "--hub", hub.base_url)
                refused = command(*arguments, cwd=tmp_path)
                followed = command(*arguments, "--redirect-host", "localhost", cwd=tmp_path)
        assert (refused.returncode, followed.returncode) == (1, 0)


class TestBodies:
    async def test_a_compressed_body_is_read(self, tmp_path: Path, scratch: Path, short: Path) -> None:
        """One gzip coding is accepted."""
        body = gzip.compress(short.read_bytes())

        def compressed(connection: Connection) -> None:
            connection.head("200 OK", Content_Encoding="gzip", Content_Length=str(len(body)))
            connection.send(body)

        with rogue_server(compressed) as server:
            options = Options(preset="ultrafast", scratch=scratch)
            result = await convert(f"{server.url}/a.mp4", tmp_path / "out", report=silent, options=options)
        assert result.duration == 1

    @pytest.mark.parametrize("coding", ["gzip, gzip", "br", "zstd", "gzip, deflate, gzip"])
    async def test_a_coding_without_a_bound_is_refused(self, tmp_path: Path, scratch: Path, coding: str) -> None:
        """Nested and unlimited codings are decompression bombs."""
        with rogue_server(lambda each: each.head("200 OK", Content_Encoding=coding)) as server:
            error = await refusal(f"{server.url}/a.mp4", tmp_path, scratch)
        assert "content coding" in error.message

    @pytest.mark.parametrize("length", ["9" * 19, "9" * 6000, "-1", "0x10", "1, 2", "\u0661"])
    async def test_a_wrong_length_is_an_error(self, tmp_path: Path, scratch: Path, length: str) -> None:
        """A length that is huge or no number ends as an error with a code."""
        with rogue_server(lambda each: each.head("200 OK", Content_Length=length)) as server:
            error = await refusal(f"{server.url}/a.mp4", tmp_path, scratch)
        assert error.code in ("source_too_large", "source_unreadable")

    async def test_a_file_of_an_archive_on_the_web_is_a_source(
        self, tmp_path: Path, scratch: Path, short: Path
    ) -> None:
        """A chain of URLs is read, and its title is that of the file in the archive."""
        reports: list[Any] = []

        async def report(state: Mapping[str, Any]) -> None:
            reports.append(state)

        with serving(archive(short.read_bytes())) as url:
            options = Options(preset="ultrafast", scratch=scratch)
            result = await convert(f"zip://a.mp4::{url}/clip.mp4", tmp_path / "out", report=report, options=options)
            error = await refusal(f"zip://b.mp4::{url}/clip.mp4", tmp_path / "none", scratch)
        assert result.duration == 1
        assert reports[0]["title"] == "a.mp4"
        assert (error.code, error.message) == ("source_not_found", f"zip://b.mp4::{url}/clip.mp4 does not exist.")

    async def test_an_archive_that_expands_over_the_limit_is_refused(self, tmp_path: Path, scratch: Path) -> None:
        """A small archive of a large file is a decompression bomb."""
        path = tmp_path / "bomb.zip"
        path.write_bytes(archive(bytes(50_000_000)))
        assert path.stat().st_size < 100_000
        error = await refusal(f"zip://a.mp4::file://{path}", tmp_path, scratch, source_bytes=1_000_000)
        assert error.code == "source_too_large"

    async def test_a_file_that_names_other_files_is_refused(self, tmp_path: Path, scratch: Path) -> None:
        """fsspec's reference:// would read what a hostile file names."""
        path = tmp_path / "refs.json"
        path.write_text('{"a.mp4": ["/etc/passwd"]}')
        error = await refusal(f"reference://a.mp4::file://{path}", tmp_path, scratch)
        assert error.code == "source_unreadable"


def archive(content: bytes) -> bytes:
    """A zip archive that holds `content` as a.mp4."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.mp4", content)
    return buffer.getvalue()


SECRETIVE = [
    "http://me:{password}@{host}/a.mp4?sig={signature}#f",
    "HTTP://me:{password}@{host}/a.mp4?sig={signature}",
    "http://me:{password}@{host}/a.mp4?x=::{signature}",
    "http://me:a::{password}@{host}/a.mp4",
    "http://me:a/{password}@{host}/a.mp4",
    "http://me:a?{password}@{host}/a.mp4",
    "http://{password}@{host}/a.mp4",
    "http://me:{password}@[::1/a.mp4",
    "http://me:{password}@{host}:port/a.mp4",
    "http://me:{password}/a.mp4",
    "zip://a.mp4::http://me:{password}@{host}/a.zip?sig={signature}",
    "zip://a.mp4::http://me:{password}@{host}",
    "zip://a.mp4::HTTP://me:{password}@{host}/a.zip?sig={signature}",
    "zip://a.mp4::http://me:a::{password}@{host}/a.zip",
    "simplecache::http://me:{password}@{host}/a.mp4?sig={signature}",
    "simplecache::zip://a.mp4::http://me:{password}@{host}/a.zip?sig={signature}",
    "filecache::ftp://me:{password}@{host}/a.mp4",
    "tar://a.mp4::ftp://me:{password}@{host}/a.tar",
    "ftp://me:{password}@{host}/a.mp4",
    "ftp://me:a::{password}@{host}/a.mp4",
    "ftp://me:{password}::zip/a.mp4",
    "sftp://me:{password}@{host}/a.mp4",
    "smb://domain;me:{password}@{host}/share/a.mp4",
    "webdav://me:{password}@{host}/a.mp4",
    "webhdfs://me:{password}@{host}/a.mp4?sig={signature}",
    "nonsense://me:{password}@{host}/a.mp4?sig={signature}",
    "memory://me:{password}@{host}/a.mp4?sig={signature}",
    "zip://a.mp4::memory://me:{password}@{host}/a.zip",
    "zip://me:{password}@a.mp4",
    "reference://x::http://me:{password}@{host}/a.json",
    "file:///a.mp4::http://me:{password}@{host}/a.zip",
    "http:/me:{password}@{host}/a.mp4",
    "zip:/a::http:/me:{password}@{host}/a.mp4",
]

ELSEWHERE = [
    "github://org:repo:{password}@main/a.mp4",
    "s3://me:{password}@bucket/a.mp4?sig={signature}",
    "s3://bucket/a.mp4?sig=x::{signature}",
    "zip://a.mp4::s3://me:{password}@bucket/a.zip?sig={signature}",
    "https://me:{password}@example.com",
    "zip://a.mp4::https://me:{password}@example.com?sig={signature}",
]
"""Addresses of servers that are not on this machine: no test asks them."""


class TestSecrets:
    @pytest.mark.parametrize("form", [*SECRETIVE, *ELSEWHERE])
    def test_no_message_or_title_holds_a_secret(self, form: str) -> None:
        """What a message may show of an address has no password and no signature."""
        source = form.format(host="example.com", password=PASSWORD, signature=SIGNATURE)
        for text in (printable(source), title(source)):
            assert PASSWORD not in text
            assert SIGNATURE not in text

    @pytest.mark.parametrize("form", SECRETIVE)
    async def test_nothing_published_or_logged_holds_a_secret(
        self, tmp_path: Path, scratch: Path, caplog: pytest.LogCaptureFixture, form: str
    ) -> None:
        """Neither states, errors and their tracebacks, nor logs show a password or a signature of a source."""
        producer = RecordingProducer()
        with caplog.at_level(logging.INFO), serving(b"not a video") as url:
            source = form.format(host=url.removeprefix("http://"), password=PASSWORD, signature=SIGNATURE)
            with anyio.fail_after(SOON), pytest.raises(EncodeError) as caught:
                await encode(
                    source,
                    channel="c",
                    content_id="v",
                    destination=tmp_path / "out",
                    producer=producer,
                    options=Options(scratch=scratch, stall_seconds=2),
                )
        shown = [repr(producer.calls), *traceback.format_exception(caught.value), caplog.text]
        # The lines of the source code of this test name the constants, not their values.
        assert not [text for text in shown if PASSWORD in text or SIGNATURE in text]
        assert producer.calls[-1][0] == "fail"

    @pytest.mark.parametrize(
        "form",
        [
            "ftp://me:{password}@127.0.0.1:1/out",
            "nonsense://me:{password}@h/out",
            "ftp://me:a::{password}@127.0.0.1:1/out",
        ],
    )
    async def test_an_unwritable_destination_shows_no_password(
        self, tmp_path: Path, scratch: Path, short: Path, form: str
    ) -> None:
        """The errors of destinations follow the same rule."""
        destination = form.format(password=PASSWORD)
        with pytest.raises(EncodeError) as caught:
            await convert(short, destination, report=silent, options=Options(scratch=scratch))
        assert caught.value.code == "destination_unwritable"
        assert PASSWORD not in "".join(traceback.format_exception(caught.value))

    async def test_the_published_path_shows_no_password(self, scratch: Path, short: Path) -> None:
        """The path of a result is that of its destination without the password."""
        fsspec.register_implementation("vault", Vault, clobber=True)
        options = Options(preset="ultrafast", scratch=scratch)
        result = await convert(short, f"vault://me:{PASSWORD}@host/out", report=silent, options=options)
        assert (result.hls_path, result.poster) == ("vault://host/out/master.m3u8", "vault://host/out/poster.jpg")

    def test_a_location_of_any_length_is_one_short_line(self) -> None:
        """Messages show neither control characters nor a whole data: URL."""
        assert printable("a\x1b[2J\nb.mp4") == "a\ufffd[2J\ufffdb.mp4"
        assert len(printable("data:video/mp4;base64," + "A" * 100_000)) < 400
        assert len(title("http://h/" + "a" * 100_000)) < 400


class Vault(MemoryFileSystem):  # type: ignore[misc]
    """A file system whose URLs hold a password."""

    protocol = "vault"
    store: dict[str, Any] = {}  # noqa: RUF012 - declared like this by its base

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return "/" + path.rpartition("@")[2].strip("/")


BROKEN = [
    "http://",
    "http:///a.mp4",
    "http://[::1/a.mp4",
    "http://[nonsense]/a.mp4",
    "http://]/a.mp4",
    "http://h:port/a.mp4",
    "http://127.0.0.1:99999/a.mp4",
    "http://127.0.0.1:0/a.mp4",
    "http://127.0.0.1:-1/a.mp4",
    "http://h:1:2/a.mp4",
    "http://a b/a.mp4",
    "http://a\0b/a.mp4",
    "http://h/\0.mp4",
    "http://h/\n.mp4",
    "http://\udcff/a.mp4",
    "http://127.0.0.1:1/\udcff.mp4",
    "http://\u2100/a.mp4",
    "http://xn--/a.mp4",
    "http://.../a.mp4",
    "http://" + "a" * 300 + "/a.mp4",
    "http://h/" + "a" * 100_000,
    "https://127.0.0.1:1/%zz",
    "://",
    "://a.mp4",
    "::",
    "a::b",
    "zip://",
    "zip://a.mp4",
    "zip://a.mp4::",
    "zip://a.mp4::http://",
    "zip://a.mp4::http://[::1/a.zip",
    "zip://a.mp4::\udcff",
    "::http://127.0.0.1:1/a.mp4",
    "file://[x",
    "file://",
    "file:///\0.mp4",
    "ftp://[::1/a.mp4",
    "ftp://127.0.0.1:port/a.mp4",
    "ftp://\udcff/a.mp4",
    "memory://\udcff/a.mp4",
    "a\0b.mp4",
    "a" * 5000,
    "",
]


class TestBrokenUrls:
    @pytest.mark.parametrize("source", BROKEN, ids=lambda source: ascii(source)[:40])
    async def test_a_broken_url_is_an_error_with_a_code(self, tmp_path: Path, scratch: Path, source: str) -> None:
        """Any text may be given as a source; what cannot be read is published as such."""
        producer = RecordingProducer()
        with anyio.fail_after(SOON), pytest.raises(EncodeError) as caught:
            await encode(
                source,
                channel="c",
                content_id="v",
                destination=tmp_path / "out",
                producer=producer,
                options=Options(scratch=scratch, stall_seconds=15),
            )
        assert caught.value.code in ("source_unreadable", "source_not_found")
        assert producer.calls[-1][1]["error_code"] == caught.value.code
        caught.value.message.encode()
        default_name(source)

    @pytest.mark.parametrize(
        "source", ["http://[::1/a.mp4", "http://h:port/a.mp4", "zip://a.mp4::http://[::1/a.zip", "http://h:99999/a.mp4"]
    )
    def test_a_broken_url_is_one_line_of_the_command(self, hub: LiveHub, tmp_path: Path, source: str) -> None:
        """The command ends with the reason, without a traceback."""
        result = command("encode", source, "--hub", hub.base_url, cwd=tmp_path)
        assert result.returncode == 1
        assert "Traceback" not in result.stderr
        assert "cannot be read" in result.stderr.splitlines()[-1]
