"""The target of a command that publishes: its options, and the producer for them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from statushub.hub.cli.failure import USAGE, Failure
from statushub.hub.model import variables

if TYPE_CHECKING:
    from statushub.producers.producer import Producer

Command = TypeVar("Command", bound=Callable[..., Any])

HUB: Final = click.option(
    "--hub", metavar="URL", help=f"URL of the hub.  [env var: {variables.URL}; default: {variables.DEFAULT_URL}]"
)
TOKEN: Final = click.option("--token", metavar="TOKEN", help=f"Token for the hub.  [env var: {variables.TOKEN}]")

_BROKER: Final = click.option("--broker", metavar="URL", help="Publish straight into this Redis, without a hub.")
_TENANT: Final = click.option(
    "--tenant",
    metavar="NAME",
    help=f"Tenant, with --broker; a hub takes it from the token.  [env var: {variables.TENANT}]",
)


def target_options(command: Command) -> Command:
    """Give `command` the options `hub`, `broker`, `tenant` and `token`, for `producer`."""
    for option in (TOKEN, _TENANT, _BROKER, HUB):
        command = option(command)
    return command


def producer(*, hub: str | None, broker: str | None, tenant: str | None, token: str | None, **options: Any) -> Producer:
    """The producer for the options, and for the environment variables of those that are None; `options` are further
    ones of `Producer`.

    Raises `Failure` where the options contradict each other, `ConfigError` and `Invalid` where one is invalid.
    """
    from statushub.producers.address import HTTP_SCHEMES, settings
    from statushub.producers.producer import Producer

    if hub and broker:
        raise Failure("--hub and --broker exclude each other: a status is published to one of them", USAGE)
    address = broker or hub or settings(os.environ)["url"]
    if tenant and address.lower().startswith(tuple(f"{scheme}:" for scheme in HTTP_SCHEMES)):
        raise Failure("--tenant has no effect without --broker: a hub takes the tenant from the token", USAGE)
    return Producer(broker or hub, tenant=tenant, token=token, **options)
