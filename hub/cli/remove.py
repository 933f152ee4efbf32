"""`statushub remove`: remove contents of a channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from statushub.hub.cli.failure import USAGE, Failure
from statushub.hub.cli.target import producer, target_options
from statushub.hub.cli.terminal import echo, printable

if TYPE_CHECKING:
    from statushub.producers.removal import Removed

EPILOG: Final = """\b
Examples:
  statushub remove encodes clip-40 clip-41
  statushub remove tests --all

\b
Asks nothing. Prints how many contents were removed; those that the channel does not have are named on stderr.
Exit codes:
  1  the hub or the broker cannot be reached
  2  the command line is invalid, or the hub refuses the token
"""


@click.command(epilog=EPILOG, short_help="Remove contents of a channel.")
@click.argument("channel")
@click.argument("content_ids", nargs=-1, metavar="[CONTENT_ID]...")
@click.option("--all", "all_", is_flag=True, help="Remove every content of the channel.")
@target_options
def remove(channel: str, content_ids: tuple[str, ...], all_: bool, **target: Any) -> None:
    """Remove the named contents of CHANNEL, or all of them.

    Pages that show them learn of it. Events of the removed runs are refused; a later run begins anew.
    """
    import anyio

    if all_ == bool(content_ids):
        raise Failure("name the contents to remove, or give --all, and not both", USAGE)
    removed: Removed = anyio.run(_remove, target, channel, content_ids, all_)
    for content_id in removed.unknown:
        echo(f"statushub: {printable(channel)} has no content {printable(content_id)}", err=True)
    echo(f"removed: {removed.count}")


async def _remove(target: dict[str, Any], channel: str, content_ids: tuple[str, ...], all: bool) -> Removed:
    async with producer(**target) as remover:
        return await remover.remove(channel, *content_ids, all=all)
