"""`statushub revoke`: tokens that are revoked open nothing more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.support.asgi_server import live_server
from tests.support.command import command
from tests.support.live import live_hub
from tests.support.tokens import SECRET, token


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    """A hub with a key; each test uses its own subject."""
    with live_hub(secret=SECRET) as live:
        yield live.base_url


OPERATOR = {"STATUSHUB_TOKEN": token(revoke=True, read=[], write=[], sub="operator")}


def reads(hub: str, credential: str) -> int:
    """The status of a poll with this token."""
    return httpx.get(f"{hub}/api/contents/films", headers={"Authorization": f"Bearer {credential}"}).status_code


def test_a_subject_is_revoked(hub: str) -> None:
    """All of its tokens are, and no others."""
    mine, others = token(sub="bob", jti="1"), token(sub="eve")
    result = command("revoke", "--sub", "bob", "--hub", hub, env=OPERATOR)
    assert (result.returncode, result.stdout, result.stderr) == (0, "revoked: the tokens of bob\n", "")
    assert (reads(hub, mine), reads(hub, others)) == (401, 200)


def test_a_token_is_revoked_by_its_id(hub: str) -> None:
    """The subject's other tokens are not."""
    one, two = token(sub="ann", jti="ann-1"), token(sub="ann", jti="ann-2")
    assert command("revoke", "--jti", "ann-1", "--hub", hub, env=OPERATOR).returncode == 0
    assert (reads(hub, one), reads(hub, two)) == (401, 200)


def test_a_leaked_token_is_revoked(hub: str, tmp_path: Path) -> None:
    """It is read from a file, and no part of it is printed."""
    leaked, kept = token(sub="joe", jti="joe-1"), token(sub="joe", jti="joe-2")
    file = tmp_path / "leaked"
    file.write_text(f"{leaked}\n")
    result = command("revoke", "--leaked", file, "--hub", hub, env=OPERATOR)
    assert (result.returncode, result.stdout, result.stderr) == (0, "revoked: joe-1\n", "")
    assert (reads(hub, leaked), reads(hub, kept)) == (401, 200)


def test_a_leaked_token_is_revoked_until_it_expires(tmp_path: Path) -> None:
    """The hub is told when: it may forget the token then."""
    asked: list[Any] = []

    async def answer(request: Request) -> JSONResponse:
        asked.append(await request.json())
        return JSONResponse({})

    file = tmp_path / "leaked"
    file.write_text(jwt.encode({"jti": "a", "exp": 5_000_000_000}, SECRET))
    with live_server(Starlette(routes=[Route("/api/revoke", answer, methods=["POST"])])) as url:
        assert command("revoke", "--leaked", file, "--hub", url).returncode == 0
    assert asked == [{"jti": "a", "exp": 5_000_000_000}]


def test_a_cut_off_spares_later_tokens(hub: str) -> None:
    """Those issued from that time on."""
    old, new = token(sub="kim", iat=1_000), token(sub="kim", iat=3_000)
    arguments = ("--sub", "kim", "--issued-before", 2_000, "--hub", hub)
    assert command("revoke", *arguments, env=OPERATOR).returncode == 0
    assert (reads(hub, old), reads(hub, new)) == (401, 200)


@pytest.mark.parametrize(
    ("arguments", "content", "message"),
    [
        ((), "", "give one of --sub, --jti and --leaked"),
        (("--sub", "a", "--jti", "b"), "", "give one of"),
        (("--jti", "a", "--issued-before", "5"), "", "--issued-before is for --sub"),
        (("--leaked", "{file}"), "no token", "not a JWT"),
        (("--leaked", "{file}"), "a.bm90IGpzb24.c", "not a JWT"),
        (("--leaked", "{file}"), jwt.encode({"sub": "a"}, SECRET), "has no jti"),
        (("--leaked", "{file}"), jwt.encode({"jti": 5}, SECRET), "has no jti"),
        (("--leaked", "/nowhere/at/all"), "", "/nowhere/at/all"),
    ],
)
def test_an_invalid_revocation_is_one_line(
    arguments: tuple[str, ...], content: str, message: str, hub: str, tmp_path: Path
) -> None:
    """The exit code is 2, and no part of the token is printed."""
    file = tmp_path / "token"
    file.write_text(content)
    result = command("revoke", *(argument.format(file=file) for argument in arguments), "--hub", hub, env=OPERATOR)
    assert result.returncode == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not content or content not in result.stderr


def test_a_token_that_may_not_revoke_is_refused(hub: str) -> None:
    """The exit code is 2."""
    result = command("revoke", "--sub", "x", "--hub", hub, env={"STATUSHUB_TOKEN": token()})
    assert result.returncode == 2
    assert "claim revoke" in result.stderr
