"""Access: tickets for pages, a cookie for the dashboard, and revocations."""

from __future__ import annotations

import math
import time
from typing import Annotated, Final, Literal

import anyio
import msgspec
from starlette.requests import Request
from starlette.responses import Response

from statushub.hub.api.fields import PatternText
from statushub.hub.auth.identity import ANONYMOUS
from statushub.hub.auth.revocations import NAME_CHARACTERS, TOKEN_SECONDS_MAX, Revocation, before, next_second
from statushub.hub.auth.tickets import TICKET_CHARACTERS
from statushub.hub.auth.tokens import SKEW_SECONDS
from statushub.hub.config import TICKET_SECONDS
from statushub.hub.http.body import read_json
from statushub.hub.http.client import identify
from statushub.hub.http.query import query_value
from statushub.hub.http.response import json_response
from statushub.hub.http.route import Route
from statushub.hub.http.state import authenticator_of, config_of, hub_of
from statushub.hub.model.errors import Forbidden, Invalid, Unauthorized
from statushub.hub.model.names import check_name

TICKET_PATTERNS: Final = 16
"""Most patterns that a ticket is narrowed to: the ticket must fit into a URL."""

ACCESS_BODY_BYTES: Final = 16 * 1024
"""Largest body of these routes: some patterns, or a name."""

COOKIE_CHARACTERS: Final = 4_000
"""Longest token that is kept in a cookie: browsers drop cookies of more than 4,096 bytes, attributes included."""

BEHIND_SECONDS: Final = 0.05
"""By how much the clock of an issuer that waits for the answer to a revocation may be behind the hub's."""

AHEAD_SECONDS: Final = SKEW_SECONDS + 1.0
"""By how much a cut-off may be ahead: as far as the clock of an issuer, and one second."""

_NO_STORE: Final = {"Cache-Control": "no-store"}


PrintableText = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=NAME_CHARACTERS,
        extra_json_schema={"pattern": "^[^\\u0000-\\u001f\\u007f-\\u00a0\\u2028\\u2029]+$"},
    ),
]
"""A `jti` or `sub`. The pattern is a part of what is checked: no schema can say in every dialect what is printable."""


class TicketRequest(msgspec.Struct, forbid_unknown_fields=True):
    """What a ticket is to read."""

    read: (
        Annotated[
            list[PatternText],
            msgspec.Meta(
                min_length=1,
                max_length=TICKET_PATTERNS,
                description="Narrows the ticket to a part of what its bearer may read; without it the ticket reads all "
                "of that. A channel without wildcards that the bearer may not read is refused.",
            ),
        ]
        | None
    ) = None


class Ticket(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A ticket for the URL of a stream or poll."""

    ticket: Annotated[
        str, msgspec.Meta(min_length=1, max_length=TICKET_CHARACTERS, description="The value for `?ticket=`.")
    ]
    expires_in: Annotated[
        float,
        msgspec.Meta(
            ge=0,
            description=f"For how many seconds it opens streams and answers polls: {TICKET_SECONDS:g}, or until the "
            "token expires.",
        ),
    ]


class RevokeRequest(msgspec.Struct, forbid_unknown_fields=True):
    """What to revoke: one of the two."""

    jti: Annotated[PrintableText, msgspec.Meta(description="The token with this id.")] | None = None
    sub: (
        Annotated[
            PrintableText,
            msgspec.Meta(
                description="All tokens of this subject whose `iat` is before the cut-off, or that have none."
            ),
        ]
        | None
    ) = None
    issued_before: (
        Annotated[
            float,
            msgspec.Meta(
                description="With `sub`: the cut-off, in Unix seconds of the clock that sets `iat`. By default it is "
                "the next whole second of the hub's clock, or of the latest `iat` that it has seen of the subject, if "
                "that is later; the answer then comes when it is reached, and tokens issued from then on are valid."
            ),
        ]
        | None
    ) = None
    exp: (
        Annotated[
            float,
            msgspec.Meta(
                description="When the token, or the last one of the subject, expires, in Unix seconds: the revocation "
                "ends then. By default in 366 days, when every token has expired."
            ),
        ]
        | None
    ) = None


class Rights(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What the bearer may do in a channel."""

    read: bool
    write: Annotated[bool, msgspec.Meta(description="Publish into it, and remove its contents.")]
    cancel: bool


class Session(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Who is signed in, as far as a page has to know: it offers only what is allowed."""

    tenant: str
    sub: str | None
    required: Annotated[bool, msgspec.Meta(description="Whether this hub requires tokens.")]
    expires_in: (
        Annotated[float, msgspec.Meta(ge=0, description="Seconds until the token expires; null where it does not.")]
        | None
    )
    may: Annotated[Rights | None, msgspec.Meta(description="In `channel`; null where none is named.")]


_ticket_decoder = msgspec.json.Decoder(TicketRequest)
_revoke_decoder = msgspec.json.Decoder(RevokeRequest)


async def give_ticket(request: Request) -> Response:
    """`{"ticket","expires_in"}`: for `?ticket=`, where no header can be sent. `{"read":[…]}` narrows it."""
    bearer = await identify(request)
    if bearer.ticket:
        raise Forbidden("a ticket cannot be used to get another one: send the token")
    asked = TicketRequest()
    if request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers:
        asked = await read_json(request, _ticket_decoder, limit=ACCESS_BODY_BYTES)
    ticket, seconds = authenticator_of(request).tickets.give(bearer, asked.read)
    return json_response(Ticket(ticket=ticket, expires_in=round(seconds, 3)), headers=_NO_STORE)


async def sign_in(request: Request) -> Response:
    """Set the bearer's token as a cookie that scripts cannot read, until the token expires."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthorized("To sign in, send the token as Authorization: Bearer")
    bearer = await identify(request)
    if len(token) > COOKIE_CHARACTERS:
        raise Invalid(
            f"the token has more than {COOKIE_CHARACTERS} characters and does not fit into a cookie", field="token"
        )
    # The identity of a hub without keys never expires.
    return _with_cookie(request, token.strip(), int(min(bearer.expires - time.time(), TOKEN_SECONDS_MAX)))


async def session(request: Request) -> Response:
    """Who is signed in, and with `?channel=` what they may do there."""
    bearer = await identify(request)
    may = None
    if name := query_value(request, "channel"):
        channel = check_name(name, "channel")
        may = Rights(read=bearer.may_read(channel), write=bearer.may_write(channel), cancel=bearer.may_cancel(channel))
    return json_response(
        Session(
            tenant=bearer.tenant,
            sub=bearer.sub,
            required=config_of(request).auth_required,
            expires_in=None if math.isinf(bearer.expires) else round(max(bearer.expires - time.time(), 0.0), 3),
            may=may,
        ),
        headers=_NO_STORE,
    )


async def sign_out(request: Request) -> Response:
    """Delete the cookie."""
    return _with_cookie(request, "", 0)


async def revoke(request: Request) -> Response:
    """`{"jti"}` or `{"sub"}`: revoke a token, or all tokens of a subject issued up to now."""
    bearer = await identify(request)
    if not bearer.revoke:
        raise Forbidden("revoking needs a token with the claim revoke", field="revoke")
    asked = await read_json(request, _revoke_decoder, limit=ACCESS_BODY_BYTES)
    now = time.time()
    latest = authenticator_of(request).latest_issue(bearer.tenant, asked.sub or "")
    await hub_of(request).revoke(_revocation(asked, bearer.tenant, now, latest))
    if asked.sub is not None and asked.issued_before is None and bearer is not ANONYMOUS:
        # In force already; the answer tells that tokens issued from now on are valid.
        await anyio.sleep(_seconds_to_cutoff(now, latest))
    return Response(status_code=204)


def _seconds_to_cutoff(now: float, latest: float) -> float:
    """Until the issuer's clock has reached the default cut-off.

    `iat` usually counts whole seconds, so a token issued later in the same second cannot be told from earlier ones. By
    which part of a second an issuer is ahead is not known: there it takes a whole one.
    """
    return (1.0 if latest > now else next_second(now) - now) + BEHIND_SECONDS


def _revocation(asked: RevokeRequest, tenant: str, now: float, latest: float) -> Revocation:
    """Raises `Invalid` naming the field that is wrong."""
    if (asked.jti is None) == (asked.sub is None):
        raise Invalid("give either jti or sub", field="jti" if asked.sub is None else "sub")
    kind: Literal["jti", "sub"] = "sub" if asked.jti is None else "jti"
    value = asked.jti or asked.sub or ""
    if not value.isprintable():
        raise Invalid(f"{kind} may have only printable characters", field=kind)
    cutoff = next_second(max(now, latest))
    if asked.issued_before is not None:
        if kind == "jti":
            raise Invalid("issued_before is for sub", field="issued_before")
        # No token that is issued later than that is accepted now.
        cutoff = min(asked.issued_before, now + AHEAD_SECONDS)
    until = now + TOKEN_SECONDS_MAX
    if asked.exp is not None:
        until = min(until, max(asked.exp, now) + SKEW_SECONDS)
    # Not below 0, the `iat` of a token that has none.
    return Revocation(tenant=tenant, kind=kind, value=value, at=max(before(cutoff), 0.0), until=until)


def _with_cookie(request: Request, value: str, seconds: int) -> Response:
    settings = config_of(request)
    response = Response(status_code=204, headers=_NO_STORE)
    response.set_cookie(
        settings.cookie,
        value,
        max_age=seconds,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return response


routes: Final = [
    Route("/api/tickets", give_ticket, methods=["POST"]),
    Route("/api/session", session),
    Route("/api/session", sign_in, methods=["POST"]),
    Route("/api/session", sign_out, methods=["DELETE"]),
    Route("/api/revoke", revoke, methods=["POST"]),
]
