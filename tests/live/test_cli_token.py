"""`statushub token`: its tokens are accepted by a hub, and its errors say what to do."""

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


def test_a_token_is_accepted_by_a_hub(tmp_path: Path) -> None:
    """The token covers only its patterns; the secret may come from a file."""
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\n")
    signed = command("token", "--tenant", "acme", "--read", "c", "--read", "d/*", "--secret-file", file)
    assert signed.returncode == 0, signed.stderr
    with live_hub(secret=SECRET) as hub, httpx.Client(base_url=hub.base_url) as client:
        client.headers["Authorization"] = f"Bearer {signed.stdout.strip()}"
        read = [client.get(f"/api/contents/{name}").status_code for name in ("c", "d/1", "e")]
        event = {"channel": "c", "content_id": "a", "data": {"status": "idle"}}
        assert read == [200, 200, 403]
        assert client.post("/api/publish", json=event).status_code == 403


def test_every_option_is_a_claim() -> None:
    """Each token also has its own `jti`, by which it can be revoked."""
    options = ("--sub", "bob", "--write", "w", "--revoke", "--feed-admin", "--ttl", "2d")
    environ = ENVIRON | {"STATUSHUB_ISSUER": "app", "STATUSHUB_AUDIENCE": "hub"}
    signed = [command("token", *options, env=environ).stdout.strip() for _ in range(2)]
    first, second = (jwt.decode(text, SECRET, ["HS256"], issuer="app", audience="hub") for text in signed)
    assert first["jti"] != second["jti"]
    assert {name: first[name] for name in ("tenant", "sub", "read", "write", "revoke", "feed_admin")} == {
        **{"tenant": "default", "sub": "bob", "read": [], "write": ["w"], "revoke": True, "feed_admin": True}
    }
    assert first["exp"] - first["iat"] == 2 * 86_400
    assert abs(first["iat"] - time.time()) < 60


@pytest.mark.parametrize(
    ("arguments", "environ", "message"),
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
def test_a_token_that_cannot_be_signed_is_one_line(
    arguments: tuple[str, ...], environ: dict[str, str], message: str
) -> None:
    """The exit code is 2, and the error does not show the secret."""
    result = command("token", *arguments, env=environ)
    assert result.returncode == 2
    assert message in result.stderr
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert SECRET not in result.stderr
