"""`statushub token`: what it prints opens a hub, and what cannot be signed is said."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import jwt
import pytest

from tests.support.command import command
from tests.support.live import live_hub
from tests.support.tokens import SECRET

ENVIRON = {"STATUSHUB_SECRET": SECRET}


def test_a_minted_token_opens_the_hub(tmp_path: Path) -> None:
    """For what it was asked for, and nothing else; the secret may come from a file."""
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\n")
    minted = command("token", "--tenant", "acme", "--read", "c", "--read", "d/*", "--secret-file", file)
    assert minted.returncode == 0, minted.stderr
    with live_hub(secret=SECRET) as hub, httpx.Client(base_url=hub.base_url) as client:
        client.headers["Authorization"] = f"Bearer {minted.stdout.strip()}"
        read = [client.get(f"/api/contents/{name}").status_code for name in ("c", "d/1", "e")]
        offer = {"channel": "c", "content_id": "a", "data": {"status": "idle"}}
        assert read == [200, 200, 403]
        assert client.post("/api/publish", json=offer).status_code == 403


def test_a_minted_token_says_what_it_was_told() -> None:
    """Every option is a claim; each token has a name of its own, so that it can be revoked."""
    options = ("--sub", "bob", "--write", "w", "--revoke", "--ttl", "2d")
    environ = ENVIRON | {"STATUSHUB_ISSUER": "app", "STATUSHUB_AUDIENCE": "hub"}
    minted = [command("token", *options, env=environ).stdout.strip() for _ in range(2)]
    first, second = (jwt.decode(text, SECRET, ["HS256"], issuer="app", audience="hub") for text in minted)
    assert first["jti"] != second["jti"]
    assert {name: first[name] for name in ("tenant", "sub", "read", "write", "revoke")} == {
        **{"tenant": "default", "sub": "bob", "read": [], "write": ["w"], "revoke": True}
    }
    assert first["exp"] - first["iat"] == 2 * 86_400
    assert abs(first["iat"] - time.time()) < 60


@pytest.mark.parametrize(
    ("arguments", "environ", "said"),
    [
        (("--read", "c"), {}, "openssl rand -hex 32"),
        (("--read", "c"), {"STATUSHUB_SECRET": "short"}, "at least 32"),
        (("--read", "c", "--secret-file", "/nowhere"), {}, "/nowhere"),
        (("--read", "c", "--secret-file", "/nowhere"), ENVIRON, "exclude each other"),
        ((), ENVIRON, "--read"),
        (("--read", "***"), ENVIRON, "--read[0]"),
        (("--read", "c", "--ttl", "1w"), ENVIRON, "1w"),
        (("--read", "c", "--ttl", "400d"), ENVIRON, "366d"),
        (("--read", "c", "--ttl", "0s"), ENVIRON, "1s"),
        (("--read", "c", "--tenant", "a/b"), ENVIRON, "--tenant"),
        (("--read", "c", "--sub", "a\nb"), ENVIRON, "--sub"),
    ],
)
def test_what_cannot_be_signed_is_one_line(arguments: tuple[str, ...], environ: dict[str, str], said: str) -> None:
    """Exit code 2, and what to do about it."""
    result = command("token", *arguments, env=environ)
    assert result.returncode == 2
    assert said in result.stderr
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert SECRET not in result.stderr
