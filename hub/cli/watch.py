"""`statushub watch`: follow channels in the terminal."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from statushub.hub.cli.failure import TIMED_OUT, USAGE, Failure
from statushub.hub.cli.number import Number
from statushub.hub.cli.target import HUB, TOKEN
from statushub.hub.cli.terminal import printable
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.names import check_name

if TYPE_CHECKING:
    from statushub.hub.cli.board import Board
    from statushub.hub.cli.display import Display
    from statushub.hub.cli.feed import Feed, Told
    from statushub.hub.cli.selection import Selection
    from statushub.producers.following.follow import Plan

NAMED: Final = 20
"""Most names in one line, so that it stays readable."""

EPILOG: Final = """\b
Examples:
  statushub watch encodes
  statushub watch encodes clip-22 clip-23 --until-done --timeout 600 && echo done
  statushub watch --channel encodes --channel drafts --match 'jobs/**'
  statushub watch jobs --new
  statushub watch jobs --json | jq -r 'select(.type == "processing_error").data.content_id'

\b
In a terminal the arrow keys, page up and down, home and end scroll, and q ends the watch. Exit codes:
  1    a content has failed (with --until-done), or the hub cannot be reached
  2    the command line is invalid, or the hub refuses the token
  124  --timeout has passed before --until-done was met, as of timeout(1)
"""


@click.command(epilog=EPILOG, short_help="Follow channels in the terminal.")
@click.argument("channel", required=False)
@click.argument("contents", metavar="[CONTENT]...", nargs=-1)
@click.option("--channel", "more", metavar="CHANNEL", multiple=True, help="A further channel; may be repeated.")
@click.option(
    "--match",
    "patterns",
    metavar="PATTERN",
    multiple=True,
    help="The channels that a pattern such as 'jobs/**' names, also those that come into being later; may be repeated.",
)
@HUB
@TOKEN
@click.option("--since", metavar="CURSOR", help="Start after this cursor.  [default: with the whole state]")
@click.option("--new", is_flag=True, help="Show only what is published from now on.")
@click.option(
    "--until-done",
    is_flag=True,
    help="End when each CONTENT, or every content that is watched and at least one, is no longer pending or "
    "processing.",
)
@click.option("--timeout", type=Number(0, min_open=True), metavar="SECONDS", help="End after this time.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per event: id, type, data.")
@click.pass_obj
def watch(
    environ: Mapping[str, str],
    /,
    channel: str | None,
    contents: Sequence[str],
    more: Sequence[str],
    patterns: Sequence[str],
    hub: str | None,
    token: str | None,
    since: str | None,
    new: bool,
    until_done: bool,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Show the events of CHANNEL, or of each CONTENT in it: as a table in a terminal, else as one line each.

    A broken stream is resumed at its cursor, so no event is missed or shown twice.
    """
    from statushub.hub.cli.board import Board
    from statushub.hub.cli.feed import Feed
    from statushub.hub.cli.keys import pressed
    from statushub.hub.cli.selection import Selection
    from statushub.producers.address import settings

    if since and new:
        raise Failure("--since and --new exclude each other: both say where to start", USAGE)
    configured = settings(environ)
    names = [check_name(content_id, "content_id") for content_id in contents]
    channels = [check_name(name, "channel") for name in dict.fromkeys((*([channel] if channel else []), *more))]
    if not channels and not patterns:
        raise Failure("nothing to watch: name a CHANNEL, or use --channel or --match", USAGE)
    plans = _plans(
        channels,
        patterns,
        url=hub or configured["url"],
        token=token or configured["token"],
        since=Cursor.parse(since, field="--since") if since else None,
    )
    feed, board = Feed(), Board(names, sources=len(plans))
    selections = [Selection(names, new=new) for _ in plans]
    several = len(channels) > 1 or bool(patterns)
    subject = named([*channels, *patterns])
    end = math.inf if timeout is None else time.monotonic() + timeout
    with ExitStack() as stack:
        display, interactive = _display(board, subject, several=several, as_json=as_json)
        stack.enter_context(display)
        if interactive:
            feed.read(stack.enter_context(pressed()))
        for source, plan in enumerate(plans):
            feed.read(_told(source, plan, feed))
        waiting = f"{'published' if new else 'there'} in {subject!r} yet" if until_done else None
        done = _follow(feed, selections, board, display, waiting=waiting, end=end)
    if not until_done:
        return
    if not done:
        if time.monotonic() < end:
            raise click.Abort
        raise Failure(f"not done after {timeout:g} s: {_unfinished(board)}", TIMED_OUT)
    if board.failed:
        raise Failure(f"failed: {named(board.failed)}")


def named(names: Sequence[str]) -> str:
    """The first of these names, and how many more there are."""
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _plans(
    channels: Sequence[str], patterns: Sequence[str], *, url: str, token: str, since: Cursor | None
) -> list[Plan]:
    """A plan for each stream, for as many channels and patterns as one carries."""
    from statushub.producers.following.follow import plan
    from statushub.producers.following.subject import NAMES_MAX

    names = [*(("channels", name) for name in channels), *(("match", pattern) for pattern in patterns)]
    parts = [names[start : start + NAMES_MAX] for start in range(0, len(names), NAMES_MAX)]
    return [plan(**_grouped(part), url=url, token=token.strip(), since=since) for part in parts]


def _grouped(names: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """`channels` and `match` of these."""
    return {key: [name for each, name in names if each == key] for key in ("channels", "match")}


def _told(source: int, plan: Plan, feed: Feed) -> Iterator[Told]:
    """The changes of a plan, for the feed, which gets the sentences about its connection immediately."""
    from statushub.hub.cli.feed import Told
    from statushub.hub.cli.notices import Notices, changes

    notices = Notices(plan.address.name, feed.put)
    for change in changes(msgspec.structs.replace(plan, observer=notices), notices):
        yield Told(source, change)


def _follow(
    feed: Feed, selections: Sequence[Selection], board: Board, display: Display, *, waiting: str | None, end: float
) -> bool:
    """Show what comes until `end`, on the monotonic clock, and with `waiting` only until the board is done; returns
    whether it is. `waiting` is the sentence where there is nothing to be done yet."""
    from statushub.hub.cli.keys import Key

    said = ""
    while waiting is None or not board.done:
        item = feed.take(min(display.draw(), end - time.monotonic()))
        if item is None:
            if time.monotonic() >= end:
                return False
        elif isinstance(item, str):
            # Each stream says it.
            if item != said:
                display.notice(item)
            said = item
        elif isinstance(item, Key):
            if item is Key.QUIT:
                return False
            display.press(item)
        elif selections[item.source].takes(item.change):
            display.show(item.change, board.apply(item.change, item.source))
            if waiting and board.ready and item.change.type == "ready" and (board.missing or not len(board)):
                missing = named(board.missing)
                display.notice(f"waiting for {missing}: not {waiting}" if missing else f"waiting: nothing is {waiting}")
    return True


def _unfinished(board: Board) -> str:
    parts = (board.busy, "pending or processing"), (board.missing, "not there")
    return "; ".join(f"{named(contents)} {what}" for contents, what in parts if contents) or "nothing is there"


def _display(board: Board, subject: str, *, several: bool, as_json: bool) -> tuple[Display, bool]:
    """The display for stdout, and whether it takes keys."""
    from rich.console import Console

    from statushub.hub.cli.display import JsonLines, Lines
    from statushub.hub.cli.screen import Screen

    if as_json:
        return JsonLines(channels=several), False
    console = Console()
    if console.is_terminal and not console.is_dumb_terminal:
        return Screen(console, board, printable(subject)), True
    return Lines(channels=several), False
