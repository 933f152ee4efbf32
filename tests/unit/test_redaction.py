"""The redaction of URLs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statushub.hub.model.redaction import redacted


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://localhost:6379/0", "redis://localhost:6379/0"),
        ("redis://user:s3cret@host:6379/1?password=s3cret", "redis://host:6379/1"),
        ("redis://:s3c@ret@host", "redis://host"),
        ("rediss+sentinel://u:s3cret@a:1,b:2/main/3", "rediss+sentinel://a:1,b:2/main/3"),
        ("redis+cluster://u:s3cret@a:1,u:s3cret@b:2", "redis+cluster://b:2"),
        ("unix://:s3cret@/run/redis.sock?db=2", "unix:///run/redis.sock"),
        ("unix:///run/a@b.sock", "unix:///run/a@b.sock"),
        ("redis://:s3cret@[::1]:6379", "redis://[::1]:6379"),
        ("redis://:s3cret@[::1", "redis://[::1"),
        ("redis://:s3/cret@host/0", "redis://…"),
        ("redis://:s3?cret@host/0", "redis://…"),
        ("redis://:s3#cret@host/0", "redis://…"),
        ("redis:///?password=s3@cret", "redis://…"),
        ("https://host/hub?token=s3cret#s3cret", "https://host/hub"),
        ("sqlite:////var/a@b/hub.db", "sqlite:////var/a@b/hub.db"),
        ("memory:", "memory:"),
        ("localhost:6379", "localhost:6379"),
        ("user:s3cret@host:6379", "host:6379"),
        ("user:s3cret@host://x", "host://x"),
        ("", ""),
    ],
)
def test_only_scheme_host_and_path_are_shown(url: str, shown: str) -> None:
    """User, password, query and fragment are removed; a URL that cannot be parsed safely is cut."""
    assert redacted(url) == shown


@given(
    password=st.text(st.characters(categories=("L", "N", "P", "S"), exclude_characters="…")),
    tail=st.text(st.characters(exclude_characters="<>")),
)
def test_no_password_is_shown(password: str, tail: str) -> None:
    """Passwords of any characters are removed, whatever follows the host."""
    secret = f"<<{password}>>"
    for url in (f"redis://user:{secret}@host/{tail}", f"user:{secret}@host/{tail}"):
        assert "<<" not in redacted(url)
        assert ">>" not in redacted(url)
