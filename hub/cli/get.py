"""`statushub get`: print the status of contents once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import click

from statushub.hub.cli.failure import Failure
from statushub.hub.cli.target import HUB, TOKEN
from statushub.hub.cli.terminal import echo
from statushub.hub.model.names import check_name

if TYPE_CHECKING:
    from statushub.hub.cli.hub_client import HubClient

BATCH_IDS: Final = 100
"""Most contents that a hub answers to one request."""

EPILOG: Final = """\b
Examples:
  statushub get encodes
  statushub get encodes clip-21 --json | jq .progress

\b
Exit codes:
  1  a content is not there, or the hub cannot be reached
  2  the command line is invalid, or the hub refuses the token
"""


@click.command(epilog=EPILOG, short_help="Print the status of contents once.")
@click.argument("channel")
@click.argument("contents", metavar="[CONTENT]...", nargs=-1)
@HUB
@TOKEN
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per content: its whole status.")
@click.pass_obj
def get(
    environ: Mapping[str, str],
    /,
    channel: str,
    contents: Sequence[str],
    hub: str | None,
    token: str | None,
    as_json: bool,
) -> None:
    """Print the status of each CONTENT of CHANNEL, or of all its contents, the latest first.

    It has the form of `statushub watch`: a line, or a JSON object.
    """
    from statushub.hub.cli import display
    from statushub.hub.cli.board import row
    from statushub.hub.cli.hub_client import HubClient

    check_name(channel, "channel")
    missing = []
    with HubClient(environ, hub, token) as client:
        asked = [check_name(content_id, "content_id") for content_id in contents]
        for content_id, data in _named(client, asked) if asked else _all(client, channel):
            if data.get("channel_id") != channel:
                missing.append(f"{content_id} (it is in {data['channel_id']})" if "channel_id" in data else content_id)
            else:
                echo(display.as_json(data) if as_json else display.line(row(content_id, data, channel)))
    if missing:
        raise Failure(f"not in {channel!r}: {', '.join(missing)}")


def _named(client: HubClient, contents: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    for start in range(0, len(contents), BATCH_IDS):
        batch = contents[start : start + BATCH_IDS]
        lines = client.post("/api/contents/status/batch", {"content_ids": batch}).get("statuses", [])
        for content_id, data in zip(batch, lines, strict=True):
            data.pop("id", None)  # the batch's own field
            yield content_id, data


def _all(client: HubClient, channel: str) -> Iterator[tuple[str, dict[str, Any]]]:
    after: dict[str, str] = {}
    while True:
        page = client.get(f"/api/contents/{quote(channel, safe='')}", **after)
        for data in page.get("contents", []):
            yield str(data["content_id"]), data
        if not (following := page.get("next")):
            return
        after = {"after": following}
