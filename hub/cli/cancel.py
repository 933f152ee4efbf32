"""`statushub cancel`: ask for the work on a content to be cancelled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import click

from statushub.hub.cli.target import HUB, TOKEN
from statushub.hub.cli.terminal import echo, printable

EPILOG: Final = """\b
Examples:
  statushub cancel encodes clip-42
  statushub cancel encodes clip-42 --reason 'wrong file'

\b
The hub's token needs a pattern of cancel, or of write, that covers CHANNEL. Exit codes:
  0  the request is in force: the work ends soon, by itself or by the hub
  1  the hub cannot be reached
  2  the content is unknown or has ended, or the hub refuses the token
"""


@click.command(epilog=EPILOG, short_help="Ask for the work on a content to be cancelled.")
@click.argument("channel")
@click.argument("content_id")
@click.option("--reason", metavar="TEXT", help="Why; shown to viewers and to the worker.")
@HUB
@TOKEN
@click.pass_obj
def cancel(
    environ: Mapping[str, str],
    /,
    channel: str,
    content_id: str,
    reason: str | None,
    hub: str | None,
    token: str | None,
) -> None:
    """Ask for the work on CONTENT_ID of CHANNEL to be cancelled.

    A worker that does not end within its lease or a minute, and ten seconds more, is ended by the hub.
    """
    from statushub.hub.cli.hub_client import HubClient

    asked: dict[str, Any] = {"content_id": content_id}
    if reason is not None:
        asked["reason"] = reason
    with HubClient(environ, hub, token) as client:
        client.post(f"/api/contents/{quote(channel, safe='/')}/cancel", asked)
    echo(f"cancel requested: {printable(content_id)}")
