"""`statushub ls`: list the channels."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import click

from statushub.hub.cli.channel_table import ChannelTable, line
from statushub.hub.cli.number import WholeNumber
from statushub.hub.cli.target import HUB, TOKEN
from statushub.hub.cli.terminal import echo
from statushub.hub.model.names import check_prefix

if TYPE_CHECKING:
    from statushub.hub.cli.hub_client import HubClient

PAGE_CHANNELS: Final = 1_000
"""Most channels that a hub answers to one request."""

EPILOG: Final = """\b
Examples:
  statushub ls
  statushub ls jobs/ --limit 20
  statushub ls --json | jq -r 'select(.failed > 0).channel'

\b
Exit codes:
  1  the hub cannot be reached
  2  the command line is invalid, or the hub refuses the token
"""


@click.command(epilog=EPILOG, short_help="List the channels, with their contents by phase.")
@click.argument("prefix", default="")
@HUB
@TOKEN
@click.option("--limit", type=WholeNumber(min=1), metavar="N", help="List at most N channels.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per channel.")
@click.pass_obj
def ls(
    environ: Mapping[str, str],
    /,
    prefix: str,
    hub: str | None,
    token: str | None,
    limit: int | None,
    as_json: bool,
) -> None:
    """List the channels that the token reads, with their contents by phase: those that changed last first; or those
    whose names begin with PREFIX, by name.

    In a terminal it is a table, in a pipe a line for each channel.
    """
    from statushub.hub.cli import display
    from statushub.hub.cli.hub_client import HubClient

    check_prefix(prefix, "prefix")
    table = ChannelTable(shutil.get_terminal_size().columns) if sys.stdout.isatty() and not as_json else None
    with HubClient(environ, hub, token) as client:
        for number, channel in enumerate(_channels(client, prefix, limit)):
            if as_json:
                echo(display.as_json(channel))
                continue
            if table is not None and number == 0:
                echo(table.head)
            echo(line(channel) if table is None else table.row(channel))


def _channels(client: HubClient, prefix: str, limit: int | None) -> Iterator[dict[str, Any]]:
    query = {"prefix": prefix} if prefix else {}
    left = sys.maxsize if limit is None else limit
    while True:
        page = client.get("/api/channels", **query, limit=str(min(left, PAGE_CHANNELS)))
        found = page.get("channels", [])
        yield from found
        left -= len(found)
        if left <= 0 or not (following := page.get("next")):
            return
        query["after"] = str(following)
