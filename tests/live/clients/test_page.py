"""docs/clients.md has a program and a row for each client that is tested, and for no other."""

from __future__ import annotations

import pytest

from tests.live.clients import page
from tests.live.clients.answers import CUTS, places
from tests.live.clients.catalogue import CLIENTS, Client
from tests.live.clients.languages import LANGUAGES
from tests.live.clients.scenarios import SCENARIOS


def test_the_page_shows_the_clients_that_are_tested() -> None:
    """Sections, rows and tested clients are the same, in the same order."""
    names = [client.name for client in CLIENTS]
    assert [name for name, _ in page.programs()] == names
    assert list(page.table()) == names


@pytest.mark.parametrize("client", CLIENTS, ids=str)
def test_the_page_names_version_and_language(client: Client) -> None:
    """The row has the tested version and a cell for each scenario, and the program is in the client's language."""
    row = page.table()[client.name]
    assert list(row) == ["version", "ends at", *SCENARIOS]
    assert row["version"] == client.version.removeprefix("v")
    assert page.program(client.name).language == LANGUAGES[client.language].fence


def test_a_frame_is_cut_at_each_of_its_lines() -> None:
    """As many places as connections, each within the frame."""
    frame = b"event: x\ndata: {}\nid: e-1\n\n"
    assert len(places(frame)) == CUTS
    assert places(frame) == sorted(set(places(frame)))
    assert places(frame)[-1] == len(frame) - 1
