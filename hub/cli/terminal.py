"""Output that no terminal can break: what its encoding lacks is replaced."""

from __future__ import annotations

import io
import sys

import click

UNENCODABLE = "\N{REPLACEMENT CHARACTER}"
"""Stands for a control character of a producer's text."""


def tolerate() -> None:
    """Let stdout and stderr replace the characters that their encoding lacks, instead of raising."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def echo(text: object = "", *, err: bool = False) -> None:
    """Print a line.

    To the stream as it is configured: without a file, click takes ASCII for a misconfiguration and writes UTF-8.
    """
    click.echo(text, file=sys.stderr if err else sys.stdout)


def printable(text: str) -> str:
    """`text` with each control character replaced, so that it cannot control a terminal."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else UNENCODABLE for character in text)


def shows(text: str, encoding: str | None) -> bool:
    """Whether a stream of this encoding can show each character of `text`."""
    try:
        text.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
