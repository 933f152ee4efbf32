"""The documents say what the code does: every flag, route, metric and error code stands in them.

Settings have tests/unit/test_config.py.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from starlette.routing import BaseRoute, Mount, Route

from statushub.hub.app import ROUTES
from statushub.hub.cli import cli
from statushub.hub.config import Config
from statushub.hub.metrics import LIMITS, Counts, Measures, exposition
from statushub.hub.model import errors
from statushub.hub.model.vocabulary import PHASES, RESERVED_TYPES

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]
DEPLOYMENT = (ROOT / "docs/deployment.md").read_text()
PROTOCOL = (ROOT / "docs/protocol.md").read_text()
LINK = re.compile(r"\]\(([^)\s]+)\)")


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Files exist, and so do the headings that are linked to."""
    for link in LINK.findall(page.read_text()):
        target, _, anchor = link.partition("#")
        if target.startswith("http"):
            continue
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), link
        assert not anchor or anchor in anchors(file), link


def test_the_readme_is_short() -> None:
    """Under 200 lines, with the two commands and a picture."""
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) < 200
    assert {"make demo", "make test"} <= set(re.findall(r"^\$ (.*)$", text, re.MULTILINE))
    assert "docs/dashboard.png" in text


def test_no_flag_is_documented_that_is_not_there() -> None:
    """Every flag that a page names belongs to a command, of ours or of somebody else's named here."""
    there = {flag for command in cli.commands.values() for option in command.params for flag in option.opts}
    foreign = {"--build"}
    ours = [page for page in PAGES if page.name not in ("benchmarks.md", "reliability.md")]
    named = {flag for page in ours for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]+", page.read_text())}
    assert named - there - foreign == set()


@pytest.mark.parametrize("command", cli.commands)
def test_every_command_is_in_the_readme_or_the_changelog(command: str) -> None:
    """Whoever reads what there is, reads of it."""
    assert f"`{command}`" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("route", [route for route in ROUTES if isinstance(route, Route)], ids=lambda route: route.path)
def test_every_route_is_documented(route: BaseRoute) -> None:
    """By its path."""
    assert not isinstance(route, Mount)
    assert isinstance(route, Route)
    assert re.sub(r"\{(\w+):path\}", r"{\1}", route.path).rstrip("/").replace("{video_id}", "{id}") in PROTOCOL


def test_every_metric_is_documented_and_no_other() -> None:
    """Name for name."""
    measures = Measures(counts=Counts(), streams=0, replicas=0, contents=0, lost_seconds=0.0)
    there = set(re.findall(r"^(statushub_\w+)[ {]", exposition(measures).decode(), re.MULTILINE))
    documented = set(re.findall(r"`(statushub_\w+)`", DEPLOYMENT)) - {Config().cookie}
    assert all(f"`{limit}`" in DEPLOYMENT for limit in LIMITS)
    assert there == documented


def test_every_error_on_the_wire_is_documented() -> None:
    """Code and status, of each class that a request can meet."""
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, errors.StatushubError) and kind.status != 500:
            [row] = [row for row in PROTOCOL.splitlines() if f"`{kind.code}`" in row and row.startswith("| 4")] or [
                row for row in PROTOCOL.splitlines() if f"`{kind.code}`" in row and row.startswith("| 5")
            ]
            assert str(kind.status) in row


def test_every_word_of_the_vocabularies_is_documented() -> None:
    """What may be published, and what may not be a type."""
    concepts = (ROOT / "docs/concepts.md").read_text()
    assert all(f"`{status}`" in concepts for status in PHASES)
    assert all(f"`{type}`" in PROTOCOL for type in RESERVED_TYPES)
