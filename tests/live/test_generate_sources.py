"""Sources of `statushub.generate`: files and URLs that hold no text, too much, or a trap."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from statushub.generate import GenerateError, Options
from statushub.producers.generate.document import Document
from statushub.producers.generate.reading import read
from tests.support.documents import KOREAN, MILL, html, locked_pdf, pdf
from tests.support.rogue_server import Connection, rogue_server

pytestmark = pytest.mark.anyio

SOON = 50.0


async def document(source: object, **options: object) -> Document:
    with anyio.fail_after(SOON):
        return await read(str(source), Options(**options), lambda fraction: None)  # type: ignore[arg-type]


async def failure(source: object, **options: object) -> GenerateError:
    with pytest.raises(GenerateError) as caught:
        await document(source, **options)
    return caught.value


def _bomb(path: Path) -> None:
    """A PDF with a page that expands a thousandfold."""
    packed = zlib.compress(b"(x) Tj " * 60_000_000, 9)
    path.write_bytes(
        b"%PDF-1.4\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n"
        b"2 0 obj\n<< /Type /Pages /Kids [3 0 R] /Count 1 >>\nendobj\n"
        b"3 0 obj\n<< /Type /Page /Parent 2 0 R /Contents 4 0 R >>\nendobj\n"
        b"4 0 obj\n<< /Filter /FlateDecode /Length "
        + str(len(packed)).encode()
        + b" >>\nstream\n"
        + packed
        + b"\nendstream\nendobj\ntrailer\n<< /Root 1 0 R >>\n%%EOF\n"
    )


async def test_the_article_of_a_page_is_read(tmp_path: Path) -> None:
    """Without menu, footer and scripts, and with the page's title."""
    path = tmp_path / "page"
    path.write_text(html())
    found = await document(path)
    assert all(sentence in found.text for sentence in MILL)
    assert not {"basket", "cookies", "track"} & {*found.text.replace("(", " ").split()}
    assert (found.title, found.language) == ("The tide mill", "en")


async def test_the_pages_of_a_pdf_are_read(tmp_path: Path) -> None:
    """All of them, in order."""
    found = await document(pdf(tmp_path / "mill.bin"))
    assert [found.text.index(sentence) for sentence in MILL] == sorted(map(found.text.index, MILL))
    assert found.pages == 2


@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16", "cp949"])
async def test_a_text_is_read_in_its_coding(coding: str, tmp_path: Path) -> None:
    """Those that Korean and English texts are written in."""
    path = tmp_path / "ko.txt"
    path.write_text(" ".join(KOREAN), coding)
    found = await document(path)
    assert (found.text, found.language) == (" ".join(KOREAN), "ko")


@pytest.mark.parametrize(
    ("make", "code", "told"),
    [
        (lambda path: None, "source_not_found", "does not exist"),
        (lambda path: path.mkdir(), "source_unreadable", "is not a file"),
        (lambda path: path.write_bytes(b"\x7fELF\0\0\1\2"), "no_text", "neither text nor HTML nor PDF"),
        (lambda path: path.write_text(""), "no_text", "holds no text"),
        (lambda path: path.write_text("--- 12 ---"), "no_text", "holds no text"),
        (lambda path: path.write_text("<html><body></body></html>"), "no_text", "holds no text"),
        (lambda path: path.write_bytes(b"%PDF-1.7 broken"), "no_text", "may be damaged"),
        (locked_pdf, "no_text", "locked by a password"),
        (lambda path: pdf(path, [[]]), "no_text", "scanned pages are not read"),
        (lambda path: pdf(path, [["a"]] * 6), "source_too_large", "6 pages; at most 5"),
        (lambda path: path.write_text("word " * 1_000), "source_too_large", "more than 4000 characters"),
        (lambda path: path.write_bytes(b"x" * 100_001), "source_too_large", "more than 100000 bytes"),
    ],
    ids=[
        *("missing", "folder", "program", "empty", "numbers", "empty page", "broken PDF", "locked", "scanned"),
        *("pages", "characters", "bytes"),
    ],
)
async def test_a_source_without_a_text_has_its_reason(
    make: Callable[[Path], object], code: str, told: str, tmp_path: Path
) -> None:
    """The error has a stable code, and names the source or the limit."""
    path = tmp_path / "source"
    make(path)
    error = await failure(path, pages=5, text_characters=4_000, source_bytes=100_000)
    assert (error.code, told in error.message, error.field) == (code, True, "source"), error.message


@pytest.mark.parametrize(
    "source", ["ftp://127.0.0.1/a", "s3://bucket/a", "zip://a::http://127.0.0.1/b", "http://", "http://[::1/a"]
)
async def test_other_urls_are_refused(source: str) -> None:
    """Only http and https are read."""
    assert (await failure(source)).code == "source_unreadable"


async def test_a_url_has_the_limits_of_an_encode(tmp_path: Path) -> None:
    """What its server answers, where it redirects, and how much it sends; secrets are not shown."""

    def missing(connection: Connection) -> None:
        connection.head("404 Not Found", Content_Length="0")

    def elsewhere(connection: Connection) -> None:
        connection.head("302 Found", Location="http://169.254.169.254/latest", Content_Length="0")

    def packed(connection: Connection) -> None:
        body = gzip.compress(b"x" * 10_000_000)
        connection.head("200 OK", Content_Encoding="gzip", Content_Length=str(len(body)))
        connection.send(body)

    with rogue_server(missing, elsewhere, packed) as server:
        url = f"{server.url}/report?key=hunter2"
        errors = [await failure(url, source_bytes=1_000_000, scratch=tmp_path) for _ in range(3)]
    assert [error.code for error in errors] == ["source_not_found", "source_unreadable", "source_too_large"]
    assert "redirects to http://169.254.169.254" in errors[1].message
    assert "hunter2" not in "".join(error.message for error in errors)
    assert list(tmp_path.iterdir()) == []


async def test_a_hostile_pdf_ends_only_its_reader(tmp_path: Path) -> None:
    """A page that expands to half a gigabyte is given up at the limit of memory, or found to be too large."""
    _bomb(tmp_path / "bomb.pdf")
    error = await failure(tmp_path / "bomb.pdf", memory_bytes=512 * 1024**2)
    assert error.code in ("resources_exhausted", "no_text", "source_too_large"), error.message


async def test_a_reader_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    """The limit of time is named."""
    path = tmp_path / "page.html"
    path.write_text(html())
    error = await failure(path, read_seconds=0.01)
    assert (error.code, "0.01 s" in error.message) == ("resources_exhausted", True)


async def test_a_reader_without_memory_is_an_error(tmp_path: Path) -> None:
    """A source that takes more than its reader may have is given up, and the worker goes on."""
    path = tmp_path / "page.html"
    path.write_text(html(MILL * 20_000))
    error = await failure(path, memory_bytes=1024**2)
    assert error.code == "resources_exhausted"
