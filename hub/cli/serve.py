"""`statushub serve`: run a hub."""

from __future__ import annotations

import logging
import logging.config
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, TypeVar

import click

from statushub.hub.config import Config, is_loopback, load
from statushub.hub.logs import logging_config
from statushub.hub.model.redaction import redacted

Command = TypeVar("Command", bound=Callable[..., Any])

logger = logging.getLogger(__name__)

EPILOG: Final = """\b
Examples:
  statushub serve
  statushub serve --port 9000 --broker sqlite:////var/lib/statushub/hub.db
  statushub serve --broker redis://localhost:6379/0 --workers 4
  STATUSHUB_SECRET=$(openssl rand -hex 32) statushub serve --host 0.0.0.0
  statushub serve --cors-origin https://app.example.com --cors-origin https://www.example.com

Every option has an environment variable, which it overrides.
"""


def setting(flag: str, text: str, **more: Any) -> Callable[[Command], Command]:
    """The option for a setting of `Config`; its default is told, and left to `load`."""
    name = more.pop("name", None) or flag.partition("/")[0].removeprefix("--").replace("-", "_")
    default = getattr(Config(), name)
    told = ", ".join(default) if isinstance(default, tuple) else str(default).lower()
    told = f"{default:g}" if isinstance(default, float) else told
    shown = f"{text}  [STATUSHUB_{name.upper()}; default: {told}]"
    return click.option(flag, name, default=None, help=shown, **more)


@click.command(epilog=EPILOG, short_help="Run a hub.")
@setting("--host", "The address to listen on.", metavar="ADDRESS")
@setting("--port", "The port to listen on; 0 for a free one.", type=int)
@setting("--broker", "What stores and announces: sqlite:///FILE, memory: or redis://HOST:PORT/DB.", metavar="URL")
@setting("--workers", "Processes that share the port; more than one need Redis.", type=int)
@setting("--insecure/--no-insecure", "Serve addresses other than loopback, although nobody proves who they are.")
@setting(
    "--secret-file", "The file with the secret of HS256 tokens; STATUSHUB_SECRET has the secret itself.", metavar="FILE"
)
@setting("--public-key", "The file with the public key of whoever mints tokens, in PEM.", metavar="FILE")
@setting("--jwks-url", "Where the public keys of whoever mints tokens are fetched.", metavar="URL")
@setting("--issuer", "The iss that tokens must have.")
@setting("--audience", "The aud that tokens must have.")
@setting("--ticket-ttl", "How long a ticket opens streams, in seconds.", type=float)
@setting("--cookie", "The cookie that may hold a token.", metavar="NAME")
@setting("--cors-origin", "A page that may read and publish. May be repeated.", name="cors_origins", multiple=True)
@setting("--retention", "How long a content outlives its last event, in seconds.", type=float)
@setting("--heartbeat", "Between two heartbeats of a stream, in seconds.", type=float)
@setting("--stall-timeout", "After which a viewer that reads nothing is closed, in seconds.", type=float)
@setting("--grace", "That a stopping hub gives its requests, in seconds.", type=float)
@setting("--max-streams", "The streams one process holds at most.", type=int)
@setting("--max-streams-tenant", "Of them, those of one tenant.", type=int)
@setting("--max-streams-sub", "Of them, those of one subject of tokens.", type=int)
@setting("--max-streams-address", "Of them, those of one address.", type=int)
@setting("--publish-rate", "The events a second of one publisher, over HTTP.", type=float)
@setting("--max-body", "The bytes of a request's body.", type=int)
@setting("--max-event", "The bytes of an event's data.", type=int)
@setting("--max-name", "The characters of a channel's or content's name.", type=int)
@setting("--max-head", "The bytes of a request's head.", type=int)
@setting("--request-timeout", "For a request's head to arrive, and then for its body, in seconds.", type=float)
@setting(
    "--proxy", "A proxy whose word on who asks is believed. May be repeated; * for any.", name="proxies", multiple=True
)
@setting("--access-log/--no-access-log", "Log every request, without its query.")
@setting("--log-level", "What is logged: critical, error, warning, info or debug.", metavar="LEVEL")
@click.pass_obj
def serve(environ: Mapping[str, str], /, **flags: Any) -> None:
    """Run a hub until SIGTERM or Ctrl+C."""
    from statushub.hub import server

    for several in ("cors_origins", "proxies"):
        flags[several] = flags[several] or None
    settings = load(environ, **flags)
    logging.config.dictConfig(logging_config(settings.log_level))
    server.serve(settings, ready=partial(announce, settings))


def announce(settings: Config, url: str) -> None:
    """Log where the hub serves, and who may come in."""
    logger.info("Serving %s; broker %s", url, redacted(settings.broker))
    if settings.auth_required:
        logger.info("Everybody proves who they are by a token.")
    elif is_loopback(settings.host):
        logger.info("No signing key: anyone on this machine may read and publish; serving loopback only.")
    else:
        logger.warning("No signing key: anyone who reaches %s may read and publish.", url)
