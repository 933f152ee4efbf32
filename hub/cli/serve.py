"""`statushub serve`: run a hub."""

from __future__ import annotations

import logging
import logging.config
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import click

from statushub.hub.cli.setting_options import given, setting_options
from statushub.hub.config import Config
from statushub.hub.environment import load, unknown_variables
from statushub.hub.logs import logging_config
from statushub.hub.model.addresses import is_loopback
from statushub.hub.model.errors import ConfigError
from statushub.hub.model.redaction import redacted
from statushub.hub.settings import SETTINGS

logger = logging.getLogger(__name__)

EPILOG: Final = """\b
Examples:
  statushub serve
  statushub serve --port 9000 --broker sqlite:////var/lib/statushub/hub.db
  statushub serve --broker redis://localhost:6379/0 --workers 4
  STATUSHUB_SECRET=$(openssl rand -hex 32) statushub serve --host 0.0.0.0
  statushub serve --cors-origin https://app.example.com --cors-origin https://www.example.com

An option overrides its environment variable. STATUSHUB_SECRET, STATUSHUB_TICKET_SECRET and STATUSHUB_DOCUMENTS_HEADERS
have no option, because other users of the machine can read a command line.
"""


@click.command(epilog=EPILOG, short_help="Run a hub.")
@setting_options
@click.pass_obj
def serve(environ: Mapping[str, str], /, **flags: Any) -> None:
    """Run a hub until SIGTERM or Ctrl+C."""
    from statushub.hub import server

    settings = load(environ, **given(flags))
    logging.config.dictConfig(logging_config(settings.log_level, settings.log_format))
    for sentence in unknown_variables(environ):
        logger.warning("%s", sentence)
    try:
        server.serve(settings, ready=partial(announce, settings))
    except ConfigError as error:
        raise _named(error) from error


def announce(settings: Config, url: str) -> None:
    """Log where the hub serves, and who may use it."""
    logger.info("Serving %s; broker %s", url, redacted(settings.broker))
    if settings.auth_required:
        logger.info("Every request needs a token.")
    elif is_loopback(settings.host):
        logger.info("No signing key: every client on this machine may read and publish; serving loopback only.")
    else:
        logger.warning("No signing key: every client that reaches %s may read and publish.", url)


def _named(error: ConfigError) -> ConfigError:
    """The error, whose message names its setting."""
    setting = SETTINGS.get(error.field or "")
    if setting is None or setting.variable in error.message:
        return error
    return ConfigError(f"{setting.label}: {error.message}", field=error.field)
