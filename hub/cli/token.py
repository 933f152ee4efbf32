"""`statushub token`: sign a token, for development and for workers."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Mapping
from typing import Any, Final

import click

from statushub.hub.auth.patterns import Patterns
from statushub.hub.auth.revocations import TOKEN_SECONDS_MAX
from statushub.hub.cli.failure import USAGE, Failure
from statushub.hub.cli.terminal import echo
from statushub.hub.environment import load
from statushub.hub.model.errors import Invalid
from statushub.hub.model.names import DEFAULT_TENANT, check_tenant

UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

EPILOG: Final = """\b
Examples:
  export STATUSHUB_SECRET=$(openssl rand -hex 32)
  statushub token --read '**'
  statushub token --tenant acme --sub encoder-1 --write 'encodes/*' --ttl 30d
  statushub token --tenant acme --sub operator --read '**' --revoke

\b
A pattern is the name of a channel, in which * matches within a segment, and ** across segments.
"""


class Duration(click.ParamType[float]):
    """`30s`, `15m`, `1h` or `7d`, as seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        match = re.fullmatch(r"([0-9]+)([smhd])", str(value))
        if match is None:
            self.fail(f"{value!r} is not a duration such as 30s, 15m, 1h or 7d.", param, ctx)
        seconds = float(int(match[1]) * UNITS[match[2]])
        if not 0 < seconds <= TOKEN_SECONDS_MAX:
            self.fail(f"{value!r} is not from 1s to {TOKEN_SECONDS_MAX / UNITS['d']:.0f}d.", param, ctx)
        return seconds


@click.command(epilog=EPILOG, short_help="Sign a token.")
@click.option("--tenant", default=DEFAULT_TENANT, show_default=True, metavar="NAME", help="Tenant of the token.")
@click.option("--sub", metavar="NAME", help="Subject, whose tokens can be revoked together.")
@click.option("--read", multiple=True, metavar="PATTERN", help="Channels that the token may read. May be repeated.")
@click.option("--write", multiple=True, metavar="PATTERN", help="Channels that the token may write. May be repeated.")
@click.option(
    "--cancel",
    multiple=True,
    metavar="PATTERN",
    help="Channels whose contents it may cancel, as one that writes may. May be repeated.",
)
@click.option("--revoke", is_flag=True, help="The token may revoke tokens of its tenant.")
@click.option(
    "--feed-admin", is_flag=True, help="Its patterns name the channels of all users, too, where the hub serves feeds."
)
@click.option("--ttl", type=Duration(), default="1h", show_default=True, help="Lifetime, such as 30s, 15m, 1h or 7d.")
@click.option(
    "--secret-file",
    metavar="FILE",
    help="File that holds the secret.  [env var: STATUSHUB_SECRET_FILE, or STATUSHUB_SECRET for the secret itself]",
)
@click.pass_obj
def token(
    environ: Mapping[str, str],
    /,
    tenant: str,
    sub: str | None,
    read: tuple[str, ...],
    write: tuple[str, ...],
    cancel: tuple[str, ...],
    revoke: bool,
    feed_admin: bool,
    ttl: float,
    secret_file: str | None,
) -> None:
    """Print a token signed with the hub's secret.

    Use it in development, and for trusted workers and operators. An application signs its users' tokens itself, with
    any JWT library.
    """
    import jwt

    settings = load(environ, secret_file=secret_file)
    if not settings.secret:
        raise Failure("no secret to sign with: export STATUSHUB_SECRET=$(openssl rand -hex 32)", USAGE)
    if not (read or write or cancel or revoke):
        raise Failure("this token would allow nothing: give --read, --write, --cancel or --revoke", USAGE)
    for patterns, option in ((read, "--read"), (write, "--write"), (cancel, "--cancel")):
        Patterns(patterns, option)
    if sub is not None and not sub.isprintable():
        raise Invalid("--sub must hold only printable characters", field="--sub")
    now = time.time()
    claims: dict[str, Any] = {
        "tenant": check_tenant(tenant, "--tenant"),
        "jti": secrets.token_hex(8),
        "iat": int(now),
        "exp": int(now + ttl),
        "read": list(read),
        "write": list(write),
    }
    optional = {
        "sub": sub,
        "cancel": list(cancel),
        "revoke": revoke,
        "feed_admin": feed_admin,
        "iss": settings.issuer,
        "aud": settings.audience,
    }
    claims.update((name, value) for name, value in optional.items() if value)
    echo(jwt.encode(claims, settings.secret, "HS256"))
