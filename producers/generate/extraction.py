"""The process that finds the text of an untrusted source: `python -m statushub.producers.generate.extraction JOB`.

It prints one line of JSON: the document, or why there is none. Parsers of HTML and PDF may take any time and memory,
or crash; the process is limited, and can be ended at any time.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from statushub.producers.sources.process_limits import ProcessLimits

HEAD_BYTES: Final = 4_096
"""Where the marks of HTML are searched for: before them come comments and a doctype."""

HTML_MARKS: Final = (b"<!doctype html", b"<html", b"<head", b"<body")
PDF_MARK: Final = b"%PDF-"
PDF_BYTES: Final = 1_024
"""Within so many bytes a PDF begins, as its readers agree."""

TITLE_CHARACTERS: Final = 200
"""Longest title: pages show it in a line."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What to read: a file, the name that messages call it by, and the limits."""

    path: str
    name: str
    pages: int
    characters: int
    limits: ProcessLimits


class Found(msgspec.Struct, frozen=True, kw_only=True, tag="found"):
    """The text. Its errors of encoding are replaced."""

    text: str
    title: str | None = None
    pages: int | None = None


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag="failed"):
    """Why there is none: the code of a `GenerateError`, and its message."""

    code: str
    message: str


class _Failure(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.failed = Failed(code=code, message=message)


Parser = Callable[[Job], Found]


def parser(path: str) -> Parser:
    """What reads the kind of file that this one is, with its library imported."""
    with Path(path).open("rb") as file:
        head = file.read(HEAD_BYTES)
    if PDF_MARK in head[:PDF_BYTES]:
        return _pdf_parser()
    return _html_parser() if any(mark in head.lower() for mark in HTML_MARKS) else _text


def extract(job: Job, parse: Parser) -> Found | Failed:
    """The text of the file that `job` names."""
    try:
        found = parse(job)
        if len(found.text) > job.characters:
            message = f"The text of {job.name} has more than {job.characters} characters, which is the limit."
            return Failed(code="source_too_large", message=message)
        if not any(letter.isalpha() for letter in found.text):
            scanned = "; scanned pages are not read" if found.pages else ""
            return Failed(code="no_text", message=f"{job.name} holds no text{scanned}.")
    except _Failure as failure:
        return failure.failed
    except MemoryError:
        return Failed(code="resources_exhausted", message=f"{job.name} takes more memory to read than it may.")
    except Exception as error:  # noqa: BLE001 - each parser has classes of its own
        return Failed(code="no_text", message=f"{job.name} cannot be read; it may be damaged ({type(error).__name__}).")
    return found


def _html_parser() -> Parser:
    import trafilatura

    def parse(job: Job) -> Found:
        data = Path(job.path).read_bytes()
        document = trafilatura.bare_extraction(data, include_comments=False, include_tables=False, with_metadata=True)
        if document is None or isinstance(document, dict):
            return Found(text="")
        # Each of its lines is a paragraph or a heading.
        return Found(text=(document.text or "").replace("\n", "\n\n"), title=_title(document.title))

    return parse


def _pdf_parser() -> Parser:
    import pypdf

    def parse(job: Job) -> Found:
        with pypdf.PdfReader(job.path) as reader:
            if reader.is_encrypted and not reader.decrypt(""):
                raise _Failure("no_text", f"{job.name} is locked by a password.")
            count = len(reader.pages)
            if count > job.pages:
                raise _Failure("source_too_large", f"{job.name} has {count} pages; at most {job.pages} are read.")
            text, size = list[str](), 0
            for page in reader.pages:
                text.append(page.extract_text())
                size += len(text[-1])
                if size > job.characters:
                    break
            title = reader.metadata.title if reader.metadata else None
            return Found(text="\n\n".join(text), title=_title(title), pages=count)

    return parse


def _text(job: Job) -> Found:
    data = Path(job.path).read_bytes()
    marked = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    if b"\0" in data and not marked:
        raise _Failure("no_text", f"{job.name} is neither text nor HTML nor PDF.")
    for coding in ("utf-8-sig", "utf-16" if marked else "cp949"):
        try:
            return Found(text=data.decode(coding))
        except UnicodeDecodeError:
            continue
    return Found(text=data.decode("cp1252", "replace"))


def _title(title: object) -> str | None:
    return " ".join(str(title).split())[:TITLE_CHARACTERS] or None if title else None


def main() -> None:
    """Do the job of the process's argument."""
    job = msgspec.json.decode(sys.argv[1], type=Job)
    # Before the limits: an import that lacks memory fails with any error.
    parse = parser(job.path)
    job.limits.apply()
    found = extract(job, parse)
    if isinstance(found, Found):
        text, title = (part and part.encode("utf-8", "replace").decode() for part in (found.text, found.title))
        found = Found(text=text or "", title=title, pages=found.pages)
    sys.stdout.buffer.write(msgspec.json.encode(found))
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
