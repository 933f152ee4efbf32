"""`open_broker`: the broker for each URL."""

from __future__ import annotations

from pathlib import Path

import pytest

from statushub.hub.brokers import open_broker
from statushub.hub.model.errors import ConfigError
from tests.support.publications import accepted, update


@pytest.mark.anyio
@pytest.mark.parametrize("form", ["sqlite:///hub.db", "sqlite:////{folder}/hub.db"])
async def test_three_slashes_are_relative_and_four_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """A path after three slashes is relative to the working directory, after four it is absolute."""
    monkeypatch.chdir(tmp_path)
    broker = open_broker(form.format(folder=str(tmp_path).lstrip("/")))
    assert broker.durable
    async with broker:
        await accepted(broker, "acme", update("a"))
    assert (tmp_path / "hub.db").exists()


def test_memory_is_not_durable() -> None:
    """`memory:` reports that it is not durable."""
    assert not open_broker("memory:").durable


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost:6379/0",
        "rediss://localhost:6379/0",
        "unix:///run/redis.sock",
        "redis+cluster://localhost:6379",
        "redis+sentinel://localhost:26379/mymaster",
    ],
)
def test_redis_in_all_its_forms(url: str) -> None:
    """Each form is accepted, and creating a broker does not connect."""
    assert type(open_broker(url)).__name__ == "RedisBroker"


@pytest.mark.parametrize("url", ["", "postgres://user:secret@db/hub", "sqlite://hub.db", "memory", "http:", "hub.db"])
def test_anything_else_is_refused(url: str) -> None:
    """The error names the setting and the allowed schemes, and contains no password."""
    with pytest.raises(ConfigError) as raised:
        open_broker(url)
    assert raised.value.field == "broker"
    assert "sqlite:///FILE" in raised.value.message
    # One that has the scheme of a file is told how a file is named.
    assert ("redis+sentinel://" in raised.value.message) != url.startswith("sqlite:")
    assert "secret" not in raised.value.message


@pytest.mark.parametrize("url", ["sqlite:///", "sqlite:////data/", "sqlite:///:memory:", "sqlite:///hub.db?mode=ro"])
def test_a_url_that_names_no_file_is_refused(url: str) -> None:
    """A malformed SQLite URL is not taken as a file name."""
    with pytest.raises(ConfigError, match="does not name a file") as raised:
        open_broker(url)
    assert raised.value.field == "broker"
