"""The target of a command that publishes: its options, and the producer for them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from statushub.hub.cli.failure import USAGE, Failure
from statushub.hub.model import variables

if TYPE_CHECKING:
    from statushub.producers.plain_hub import PlainHub
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


def address(*, hub: str | None, broker: str | None, tenant: str | None) -> str:
    """The address that these options and the environment say. Raises `Failure` where they contradict each other."""
    from statushub.producers.address import HTTP_SCHEMES, settings

    if hub and broker:
        raise Failure("--hub and --broker exclude each other: a status is published to one of them", USAGE)
    url = broker or hub or settings(os.environ)["url"]
    if tenant and url.lower().startswith(tuple(f"{scheme}:" for scheme in HTTP_SCHEMES)):
        raise Failure("--tenant has no effect without --broker: a hub takes the tenant from the token", USAGE)
    return url


def producer(*, hub: str | None, broker: str | None, tenant: str | None, token: str | None, **options: Any) -> Producer:
    """The producer for the options, and for the environment variables of those that are None; `options` are further
    ones of `Producer`.

    Raises `Failure` where the options contradict each other, `ConfigError` and `Invalid` where one is invalid.
    """
    url = address(hub=hub, broker=broker, tenant=tenant)
    from statushub.producers.producer import Producer

    return Producer(url, tenant=tenant, token=token, **options)


def plain_hub(*, hub: str | None, broker: str | None, tenant: str | None, token: str | None) -> PlainHub | None:
    """The hub for the options, where its address is a plain one; None where it takes a producer. Raises as
    `producer`."""
    from statushub.producers.address import settings
    from statushub.producers.plain_hub import plain_hub

    url = address(hub=hub, broker=broker, tenant=tenant)
    return plain_hub(url.strip(), (token or settings(os.environ)["token"]).strip() or None, os.environ)
