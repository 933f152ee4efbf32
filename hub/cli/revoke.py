"""`statushub revoke`: revoke a token, or all tokens of a subject."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import click

from statushub.hub.cli.claims import claims_of
from statushub.hub.cli.failure import USAGE, Failure
from statushub.hub.cli.number import Number
from statushub.hub.cli.target import HUB, TOKEN
from statushub.hub.cli.terminal import echo

EPILOG: Final = """\b
Examples:
  statushub revoke --sub encoder-1
  statushub revoke --jti 9f86d081884c7d65
  statushub revoke --leaked leaked-token.txt
  STATUSHUB_TOKEN=$(statushub token --revoke) statushub revoke --sub encoder-1

\b
The hub's token needs the claim revoke. Exit codes:
  1  the hub cannot be reached, or has too many revocations
  2  the command line is invalid, or the hub refuses the token
"""


@click.command(epilog=EPILOG, short_help="Revoke a token, or all tokens of a subject.")
@click.option("--sub", metavar="NAME", help="Revoke all tokens of this subject that were issued until now.")
@click.option("--jti", metavar="ID", help="Revoke the token with this id.")
@click.option(
    "--leaked",
    type=click.File("r"),
    metavar="FILE",
    help="Revoke the token in this file; - is stdin. A command line would show it to other users of the machine.",
)
@click.option(
    "--issued-before",
    type=Number(),
    metavar="SECONDS",
    help="With --sub: revoke only the tokens issued before this time (Unix seconds).",
)
@HUB
@TOKEN
@click.pass_obj
def revoke(
    environ: Mapping[str, str],
    /,
    sub: str | None,
    jti: str | None,
    leaked: Any,
    issued_before: float | None,
    hub: str | None,
    token: str | None,
) -> None:
    """Revoke tokens of the tenant, on every hub: their streams end, and they open nothing more."""
    from statushub.hub.cli.hub_client import HubClient

    if sum(option is not None for option in (sub, jti, leaked)) != 1:
        raise Failure("give one of --sub, --jti and --leaked", USAGE)
    if issued_before is not None and sub is None:
        raise Failure("--issued-before is for --sub", USAGE)
    asked: dict[str, Any] = {"sub": sub, "jti": jti, "issued_before": issued_before}
    if leaked is not None:
        claims = claims_of(leaked.read())
        if not isinstance(claims.get("jti"), str):
            raise Failure("the token in --leaked has no jti: revoke its --sub", USAGE)
        asked |= {"jti": claims["jti"], "exp": claims.get("exp")}
    with HubClient(environ, hub, token) as client:
        client.post("/api/revoke", {name: value for name, value in asked.items() if value is not None})
    echo(f"revoked: {f'the tokens of {sub}' if sub is not None else asked['jti']}")
