"""`statushub bridge`: publish what workers that know no hub write elsewhere."""

from __future__ import annotations

import logging.config
import signal
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import click

from statushub.hub.cli.failure import USAGE, Failure
from statushub.hub.cli.setting_options import given, options_of
from statushub.hub.cli.target import HUB, TOKEN
from statushub.hub.environment import load
from statushub.hub.logs import logging_config
from statushub.hub.model.errors import ConfigError
from statushub.hub.model.names import DEFAULT_TENANT
from statushub.hub.settings import SETTINGS

if TYPE_CHECKING:
    from statushub.hub.cli.bridge_target import HubTarget, RedisTarget
    from statushub.hub.config import Config

EPILOG: Final = """\b
Examples:
  statushub bridge video-keys --video-keys redis://localhost
  statushub bridge video-keys --video-keys redis://keys.example.com --broker redis://localhost

Runs until SIGTERM or Ctrl+C. Several may run, for the same keys: each status is published once. A hub does the same
with --video-bridge.
"""

SETTINGS_OF_BRIDGE: Final = (
    "video_keys",
    "video_tenants",
    "video_job_tenants",
    "video_steps",
    "video_channel",
    "log_level",
    "log_format",
)


@click.command(epilog=EPILOG, short_help="Publish what video workers write into keys of Redis.")
@click.argument("what", metavar="video-keys", type=click.Choice(["video-keys"]))
@options_of(SETTINGS_OF_BRIDGE)
@click.option("--broker", metavar="URL", help="Publish straight into this Redis, without a hub, for all tenants.")
@HUB
@TOKEN
@click.pass_obj
def bridge(
    environ: Mapping[str, str], /, what: str, broker: str | None, hub: str | None, token: str | None, **flags: Any
) -> None:
    """Follow the keys in which video workers keep what they do, and publish what changes.

    The workers need not be changed. Through a hub, the videos of the token's tenant are published.
    """
    import anyio

    if broker and hub:
        raise Failure("--hub and --broker exclude each other: statuses are published to one of them", USAGE)
    own = {SETTINGS[name].variable for name in SETTINGS_OF_BRIDGE}
    settings = load({name: text for name, text in environ.items() if name in own}, **given(flags))
    if not settings.video_keys:
        raise ConfigError(f"{SETTINGS['video_keys'].label} is missing: the Redis to follow", field="video_keys")
    logging.config.dictConfig(logging_config(settings.log_level, settings.log_format))
    try:
        anyio.run(_run, settings, broker, hub, token, environ)
    except ConfigError as error:
        if error.field != "video_keys":
            raise
        raise ConfigError(f"{SETTINGS['video_keys'].label}: {error.message}", field=error.field) from error


async def _run(
    settings: Config, broker: str | None, hub: str | None, token: str | None, environ: Mapping[str, str]
) -> None:
    import anyio

    from statushub.hub.sources import follow_video_keys, open_video_keys
    from statushub.hub.sources.bridge import Bridge

    target, only = _target(broker, hub, token, environ)
    keys = open_video_keys(
        settings.video_keys,
        channel=settings.video_channel,
        tenants=settings.video_tenants,
        jobs=settings.video_job_tenants,
        steps=settings.video_steps,
        only=only,
    )
    follower = follow_video_keys(settings.video_keys)
    try:
        async with keys, anyio.create_task_group() as tasks:
            tasks.start_soon(Bridge(keys, target, follower).run)
            with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
                async for _ in signals:
                    break
            tasks.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await target.aclose()


def _target(
    broker: str | None, hub: str | None, token: str | None, environ: Mapping[str, str]
) -> tuple[RedisTarget | HubTarget, str | None]:
    """Where to publish, and the only tenant for which that can be; None for all."""
    from statushub.hub.brokers.redis.url import SCHEMES
    from statushub.hub.cli.bridge_target import HubTarget, RedisTarget
    from statushub.hub.cli.claims import claims_of
    from statushub.producers.address import settings

    said = settings(environ)
    address = broker or hub or said["url"]
    if address.startswith(tuple(f"{scheme}://" for scheme in SCHEMES)):
        return RedisTarget(address), None
    shown = token or said["token"] or None
    tenant = claims_of(shown).get("tenant", DEFAULT_TENANT) if shown else DEFAULT_TENANT
    return HubTarget(address, shown), str(tenant)
