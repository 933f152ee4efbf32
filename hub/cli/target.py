"""Where a command publishes: the options that say so, and the producer they make."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from statushub.hub.cli.failure import USAGE, Failure

if TYPE_CHECKING:
    from statushub.producers.producer import Producer

Command = TypeVar("Command", bound=Callable[..., Any])

HUB: Final = click.option(
    "--hub", metavar="URL", help="The hub's address.  [STATUSHUB_URL; default: http://127.0.0.1:8000]"
)
TOKEN: Final = click.option("--token", metavar="TOKEN", help="What the hub knows you by.  [STATUSHUB_TOKEN]")

_BROKER: Final = click.option("--broker", metavar="URL", help="Publish straight to this Redis, with no hub between.")
_TENANT: Final = click.option(
    "--tenant", metavar="NAME", help="Whose keys, with --broker; a hub knows by the token.  [STATUSHUB_TENANT]"
)


def target_options(command: Command) -> Command:
    """Give `command` the options `hub`, `broker`, `tenant` and `token`, for `producer`."""
    for option in (TOKEN, _TENANT, _BROKER, HUB):
        command = option(command)
    return command


def producer(*, hub: str | None, broker: str | None, tenant: str | None, token: str | None) -> Producer:
    """The producer for what the options say; what they leave out is the environment's to say.

    Raises `Failure` where the options contradict each other, `ConfigError` and `Invalid` where one is wrong.
    """
    from statushub.producers.producer import Producer

    if hub and broker:
        raise Failure("--hub and --broker exclude each other: one of them takes the status", USAGE)
    if tenant and hub:
        raise Failure("--tenant is for --broker: a hub knows the tenant by the token", USAGE)
    return Producer(broker or hub, tenant=tenant, token=token)
