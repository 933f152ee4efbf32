"""`statushub publish`: say one status of one content."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from statushub.hub.cli.failure import REFUSED, Failure
from statushub.hub.cli.target import producer, target_options
from statushub.hub.model.errors import Malformed
from statushub.hub.model.receipt import Refusal

if TYPE_CHECKING:
    from statushub.hub.model.receipt import Receipt

EPILOG: Final = """\b
Examples:
  statushub publish encodes clip-1 generating --progress 40
  statushub publish encodes clip-1 error --data '{"error_message": "disk full"}'
  statushub publish jobs import-7 processing --lease 60 --broker redis://localhost

\b
Prints the cursor of what was stored. Exit codes:
  1  the hub or the broker cannot be reached
  2  the status breaks a rule, or the command line does
  3  refused: superseded, closed or wrong_channel
"""

REASONS: Final = {
    Refusal.SUPERSEDED: "a newer attempt, or a later seq of this one, is already stored",
    Refusal.CLOSED: "the attempt has ended; a higher --attempt reopens the content",
    Refusal.WRONG_CHANNEL: "the content lives in another channel",
}


@click.command(epilog=EPILOG, short_help="Publish the status of a content.")
@click.argument("channel")
@click.argument("content_id")
@click.argument("status")
@click.option("--progress", type=click.FloatRange(0, 100), help="How far the work is, in percent.")
@click.option("--processing-status", metavar="TEXT", help="The status in more detail, such as summarizing.")
@click.option("--type", "type_", metavar="TYPE", help="The event's type; by default it follows from the status.")
@click.option("--attempt", type=int, help="The run of the work; a higher one supersedes a lower.")
@click.option("--seq", type=int, help="The count within the attempt; what is not higher is refused.")
@click.option("--lease", type=float, metavar="SECONDS", help="Without another status within it, the content stalls.")
@click.option("--data", default="{}", metavar="JSON", help="An object with any further fields.")
@target_options
def publish(
    channel: str,
    content_id: str,
    status: str,
    type_: str | None,
    attempt: int | None,
    seq: int | None,
    lease: float | None,
    **rest: Any,
) -> None:
    """Publish STATUS of CONTENT_ID in CHANNEL.

    STATUS is idle, generating, complete or error; the words for videos (PENDING, PROCESSING, READY, FAILED)
    and jobs (pending, processing, completed, failed) mean the same.
    """
    import anyio

    data = fields(rest.pop("data"), progress=rest.pop("progress"), processing_status=rest.pop("processing_status"))
    said = {"channel": channel, "status": status, "data": data, "type": type_}
    receipt: Receipt = anyio.run(_publish, rest, content_id, {**said, "attempt": attempt, "seq": seq, "lease": lease})
    if receipt.reason is not None:
        raise Failure(f"refused, {receipt.reason}: {REASONS[receipt.reason]}", REFUSED)
    click.echo(receipt.cursor)


async def _publish(target: dict[str, Any], content_id: str, said: dict[str, Any]) -> Receipt:
    async with producer(**target) as publisher:
        return await publisher.publish(content_id, **said)


def fields(text: str, **options: float | str | None) -> dict[str, Any]:
    """The JSON object in `text`, with the options that were given. Raises `Malformed` where it is none."""
    try:
        data = msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeError) as error:
        raise Malformed(f"--data is not a JSON object: {error}", field="data") from error
    return data | {name: _whole(value) for name, value in options.items() if value is not None}


def _whole(value: float | str) -> float | str:
    return int(value) if isinstance(value, float) and value.is_integer() else value
