"""`statushub watch`: follow a channel in the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Final

import click

from statushub.hub.cli.failure import Failure
from statushub.hub.cli.target import HUB, TOKEN
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.names import check_name

if TYPE_CHECKING:
    from statushub.hub.cli.display import Display

EPILOG: Final = """\b
Examples:
  statushub watch encodes
  statushub watch encodes --until-done && echo done
  statushub watch jobs --json | jq -r 'select(.type == "processing_error").data.content_id'
"""


@click.command(epilog=EPILOG, short_help="Follow a channel in the terminal.")
@click.argument("channel")
@HUB
@TOKEN
@click.option("--since", metavar="CURSOR", help="Start after this cursor.  [default: with the whole state]")
@click.option(
    "--until-done", is_flag=True, help="End when no content is pending or processing; with exit code 1 if one failed."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per event: id, type, data.")
@click.pass_obj
def watch(
    environ: Mapping[str, str],
    /,
    channel: str,
    hub: str | None,
    token: str | None,
    since: str | None,
    until_done: bool,
    as_json: bool,
) -> None:
    """Show the events of CHANNEL: as bars in a terminal, else as one line each.

    A broken stream is resumed at its cursor, so no event is missed or shown twice.
    """
    from statushub.hub.cli.board import Board
    from statushub.hub.cli.follow import Follower
    from statushub.producers.producer import settings

    configured = settings(environ)
    follower = Follower(
        hub or configured["url"],
        check_name(channel, "channel"),
        token=token or configured["token"] or None,
        since=Cursor.parse(since, field="--since") if since else None,
        notice=lambda sentence: click.echo(f"statushub: {sentence}", err=True),
    )
    board = Board()
    with _display(as_json) as display, closing(follower.messages()) as messages:
        for message in messages:
            display.show(message, board.apply(message))
            if until_done and board.done:
                break
    if board.failed:
        raise Failure(f"failed: {', '.join(board.failed)}")


def _display(as_json: bool) -> Display:
    from rich.console import Console

    from statushub.hub.cli.display import Bars, JsonLines, Lines

    if as_json:
        return JsonLines()
    console = Console()
    return Bars(console) if console.is_terminal else Lines()
