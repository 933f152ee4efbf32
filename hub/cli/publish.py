"""`statushub publish`: publish one status of one content."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from statushub.hub.cli.number import Number, WholeNumber
from statushub.hub.cli.refusal import refused
from statushub.hub.cli.target import plain_hub, producer, target_options
from statushub.hub.cli.terminal import echo
from statushub.hub.model.errors import Malformed

if TYPE_CHECKING:
    from statushub.hub.model.receipt import Receipt

EPILOG: Final = """\b
Examples:
  statushub publish encodes clip-16 generating --progress 40
  statushub publish encodes clip-16 error --data '{"error_message": "disk full"}'
  statushub publish jobs import-17 processing --lease 60 --broker redis://localhost
  statushub publish jobs import-17 processing --restart

\b
Prints the cursor of the stored event. Exit codes:
  1  the hub or the broker cannot be reached
  2  the status or the command line is invalid
  4  refused: superseded, closed, removed, wrong_channel, quota_exceeded or occupied
"""


@click.command(epilog=EPILOG, short_help="Publish the status of a content.")
@click.argument("channel")
@click.argument("content_id")
@click.argument("status")
@click.option("--progress", type=Number(0, 100), metavar="PERCENT", help="Progress of the work.")
@click.option("--processing-status", metavar="TEXT", help="More detail on the status, such as summarizing.")
@click.option("--type", "type_", metavar="TYPE", help="Type of the event; by default it follows from the status.")
@click.option(
    "--attempt", type=WholeNumber(), metavar="NUMBER", help="Number of the attempt; a higher one supersedes a lower."
)
@click.option("--run", metavar="NAME", help="Name of this try of the work; one that began later supersedes it.")
@click.option("--age", type=Number(), metavar="SECONDS", help="For how long the run has been running.")
@click.option("--restart", is_flag=True, help="Begin a new attempt, although the last one has ended.")
@click.option(
    "--seq", type=WholeNumber(), metavar="NUMBER", help="Number within the attempt; it must be higher than the last."
)
@click.option(
    "--lease",
    type=Number(),
    metavar="SECONDS",
    help="Time within which another status must follow, or the content stalls; 0 for none.  "
    "[default: that of the hubs]",
)
@click.option("--data", default="{}", metavar="JSON", help="JSON object with further fields.")
@target_options
def publish(
    channel: str,
    content_id: str,
    status: str,
    type_: str | None,
    age: float | None,
    **rest: Any,
) -> None:
    """Publish STATUS of CONTENT_ID in CHANNEL.

    STATUS is idle, generating, complete or error, or a word for one of them: that of a video (PENDING, PROCESSING,
    READY, FAILED), of a job (pending, processing, completed, failed), or of another system, such as SUCCESS, running
    or cancelled.
    """
    data = fields(rest.pop("data"), progress=rest.pop("progress"), processing_status=rest.pop("processing_status"))
    event = {"channel": channel, "status": status, "data": data, "type": type_}
    fence = {name: rest.pop(name) for name in ("attempt", "run", "restart", "seq", "lease")}
    fence["age_ms"] = None if age is None else round(age * 1_000)
    receipt = _published(rest, content_id, {**event, **fence})
    if receipt.reason is not None:
        raise refused(receipt.reason, channel, content_id, home=receipt.channel)
    echo(receipt.cursor)


def _published(target: dict[str, Any], content_id: str, event: dict[str, Any]) -> Receipt:
    """The receipt for an event. A plain hub is asked without what only a producer needs: scripts publish often."""
    hub = plain_hub(**target)
    if hub is not None:
        from statushub.producers.single import single

        status, data = event.pop("status"), event.pop("data")
        return hub.publish(single(status, data, {"content_id": content_id, **event}))
    import anyio

    receipt: Receipt = anyio.run(_publish, target, content_id, event)
    return receipt


async def _publish(target: dict[str, Any], content_id: str, event: dict[str, Any]) -> Receipt:
    async with producer(**target) as publisher:
        return await publisher.publish(content_id, **event)


def fields(text: str, **options: float | str | None) -> dict[str, Any]:
    """The JSON object in `text`, and the options that are not None. Raises `Malformed` where it is not an object."""
    try:
        data = msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeError) as error:
        raise Malformed(f"--data is not a JSON object: {error}", field="data") from error
    return data | {name: _whole(value) for name, value in options.items() if value is not None}


def _whole(value: float | str) -> float | str:
    return int(value) if isinstance(value, float) and value.is_integer() else value
