"""`statushub check`: tell whether hub, broker, token and proxy work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import click

from statushub.hub.cli.failure import USAGE, Failure
from statushub.hub.cli.target import HUB, TOKEN
from statushub.hub.cli.terminal import echo, printable

if TYPE_CHECKING:
    from statushub.hub.cli.outcome import Outcome

PARTS: Final = ("hub", "broker", "token", "proxy")
"""What of a hub can be checked, in the order in which one depends on the other."""

BROKER_PARTS: Final = ("server", "rights", "library", "memory", "disk")
"""The same of a Redis, with --broker."""

SECONDS: Final = 5.0
"""How long the first event of a stream may take: it is sent with the head, so that only a buffer can hold it up."""

EPILOG: Final = """\b
Examples:
  statushub check
  statushub check broker --hub https://hub.example.com
  statushub check --channel encodes
  statushub check --broker redis://localhost:6379/0

\b
  hub     it answers, and its clock agrees with this machine's
  broker  the hub can reach it
  token   the hub accepts it
  proxy   events arrive immediately: no proxy buffers or compresses the stream

With --broker, of a Redis:
  server   it answers, lets this user in, and is new enough
  rights   what this user may not do, of what workers and hubs do
  library  the function library that hubs load
  memory   Redis evicts no statuses
  disk     Redis writes what it accepts
Prints one line for each part. The exit code is that of the first part that fails:
  1  the hub or the broker cannot be reached, or a proxy holds up the stream
  2  the command line is invalid, the hub refuses the token, or the Redis is not fit for it
"""


@click.command(epilog=EPILOG, short_help="Check hub, broker, token and proxy.")
@click.argument("parts", metavar="[PART]...", nargs=-1, type=click.Choice(PARTS + BROKER_PARTS))
@click.option("--broker", metavar="URL", help="Check this Redis instead, without a hub.")
@click.option("--channel", metavar="CHANNEL", help="Channel whose stream is opened.  [default: one that may be read]")
@HUB
@TOKEN
@click.pass_obj
def check(
    environ: Mapping[str, str],
    /,
    parts: Sequence[str],
    broker: str | None,
    channel: str | None,
    hub: str | None,
    token: str | None,
) -> int:
    """Check what a viewer or worker on this machine needs: all parts, or those named. Nothing is published."""
    if broker and (hub or token or channel):
        raise Failure("--broker checks a Redis without a hub: it excludes --hub, --token and --channel", USAGE)
    known = BROKER_PARTS if broker else PARTS
    if strange := next((part for part in parts if part not in known), None):
        raise Failure(f"{strange!r} is checked {'without' if broker else 'with'} --broker", USAGE)
    code = 0
    for part, outcome in _outcomes(environ, parts or known, broker, channel, hub, token):
        echo(f"{part:<7} {outcome.word:<4}  {printable(outcome.sentence)}")
        code = code or outcome.code
    return code


def _outcomes(
    environ: Mapping[str, str],
    parts: Sequence[str],
    broker: str | None,
    channel: str | None,
    hub: str | None,
    token: str | None,
) -> Iterator[tuple[str, Outcome]]:
    if broker:
        from statushub.hub.cli.broker_checks import BrokerChecks

        found = BrokerChecks(broker)
        yield from ((part, found.run(part)) for part in parts)
        return
    from statushub.hub.cli.checks import Checks
    from statushub.hub.cli.hub_client import HubClient

    with HubClient(environ, hub, token) as client:
        checks = Checks(client, channel, SECONDS)
        yield from ((part, checks.run(part)) for part in parts)
