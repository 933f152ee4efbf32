"""Clients of other authors on a real hub: the programs of docs/clients.md, with the results that the page states."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.live.clients import page
from tests.live.clients.catalogue import CLIENTS, Client
from tests.live.clients.languages import INSTALL_SECONDS, Missing, prepared
from tests.live.clients.running import Running, html, running_page, running_process
from tests.live.clients.scenarios import SCENARIOS, YES, Start, quiet
from tests.live.clients.stage import Stage, open_stage

pytest_plugins = ["tests.support.browser"]
# The first test of a client installs it.
pytestmark = [pytest.mark.slow, pytest.mark.clients, pytest.mark.timeout(INSTALL_SECONDS)]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A hub for one test."""
    with open_stage(tmp_path) as stage:
        yield stage


@pytest.fixture
def start(client: Client, stage: Stage, request: pytest.FixtureRequest) -> Iterator[Start]:
    """Starts the client's program, which the page shows; skips where its language or its packages are missing."""
    try:
        command = prepared(client, page.program(client.name).text)
    except Missing as missing:
        pytest.skip(str(missing))
    with ExitStack() as stack:

        def start() -> Running:
            if client.language == "browser":
                stage.html = html(Path(command[0]).read_text(), stage.base_url)
                browser = request.getfixturevalue("browser")
                return stack.enter_context(running_page(browser, stage.pages_url))
            return stack.enter_context(running_process(command, stage.client_folder(), stage.base_url))

        yield start


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("client", CLIENTS, ids=str)
def test_a_client_is_shown_every_final_state(client: Client, scenario: str, stage: Stage, start: Start) -> None:
    """Whatever happens to its connection, to the hub, or to its token, and as the page's table says."""
    assert page.table()[client.name][scenario] == SCENARIOS[scenario](stage, start)


@pytest.mark.parametrize("client", [client for client in CLIENTS if client.short_timeout], ids=str)
def test_a_short_read_timeout_ends_no_quiet_stream(client: Client, stage: Stage, start: Start) -> None:
    """`?heartbeat=4` is under the client's read time-out."""
    assert quiet(stage, start) == YES
