"""The documents agree with the code: every flag, route, metric and error code is documented.

Settings are tested in tests/unit/test_config.py.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.routing import BaseRoute, Mount, Route

from statushub.hub.api.jobs import Job
from statushub.hub.api.lines import FailedLine, ProcessingLine
from statushub.hub.api.videos import VideoProgress
from statushub.hub.app import KINDS, ROUTES
from statushub.hub.cli import cli
from statushub.hub.config import Config
from statushub.hub.exposition import exposition
from statushub.hub.metrics import CACHE_RESULTS, CAUSES, LIMITS, LIVE_RESULTS, Counts, Measures
from statushub.hub.model import errors
from statushub.hub.model.variables import PRODUCER_VARIABLES
from statushub.hub.model.vocabulary import ERROR_TEXTS, PHASES, RESERVED_TYPES
from statushub.hub.settings import SETTINGS
from statushub.producers import generate
from statushub.producers.encode import EncodeError, Options
from tests.bench import report
from tests.support.snippets import PAGES, ROOT, RUNNERS, Snippet, checked_install, checked_make, snippets, snippets_of

DEPLOYMENT = (ROOT / "docs/deployment.md").read_text()
PROTOCOL = (ROOT / "docs/protocol.md").read_text()
LINK = re.compile(r"\]\(([^)\s]+)\)")


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_have_targets(page: Path) -> None:
    """Linked files exist, and so do the linked headings."""
    for link in LINK.findall(page.read_text()):
        target, _, anchor = link.partition("#")
        if target.startswith("http"):
            continue
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), link
        assert not anchor or anchor in anchors(file), link


def test_the_readme_is_short() -> None:
    """The README has under 200 lines, the two commands and a picture."""
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) < 200
    assert {"make demo", "make test"} <= set(re.findall(r"^\$ (.*)$", text, re.MULTILINE))
    assert "docs/screenshots/overview-light.png" in text


def test_every_documented_flag_exists() -> None:
    """Every flag on a page belongs to a command of the hub, or to a foreign command that is listed here."""
    there = {flag for it in (cli, *cli.commands.values()) for option in it.params for flag in option.opts}
    # The second is no flag but the suffix that Jetty gives to an entity tag.
    foreign = {"--build", "--gzip", "--help", "--pattern", "--preload", "--scan"}
    servers = {"--backpressure", "--factory", "--graceful-timeout", "--http", "--interface"}
    servers |= {"--ssl-certificate", "--ssl-keyfile", "--workers-kill-timeout"}
    # The other pages name flags of the benchmarks and of the fault tests.
    ours = [page for page in PAGES if page.name not in ("benchmarks.md", "reliability.md")]
    named = {flag for page in ours for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]+", page.read_text())}
    style = (ROOT / "web/client/elements/style.js").read_text()
    properties = {name for name in named if f"var({name}, " in style}
    assert named - there - foreign - servers - properties == set()


def test_every_custom_property_and_part_is_documented() -> None:
    """The page of the elements names what a page may style."""
    style = (ROOT / "web/client/elements/style.js").read_text()
    page = (ROOT / "docs/javascript.md").read_text()
    properties = set(re.findall(r"var\((--status-[a-z-]+), ", style))
    assert {name for name in properties if f"`{name}`" not in page} == set()
    parts = set(re.findall(r'part~="([a-z]+)"', style)) - {"announcer"}
    assert {part for part in parts if f"`{part}`" not in page and f"`::part({part})`" not in page} == set()


@pytest.mark.parametrize("command", cli.commands)
def test_every_command_is_in_the_changelog(command: str) -> None:
    """The changelog names each subcommand."""
    assert f"`{command}`" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("route", [route for route in ROUTES if isinstance(route, Route)], ids=lambda route: route.path)
def test_every_route_is_documented(route: BaseRoute) -> None:
    """The protocol page names the path of each route."""
    assert not isinstance(route, Mount)
    assert isinstance(route, Route)
    assert re.sub(r"\{(\w+):path\}", r"{\1}", route.path).rstrip("/").replace("{video_id}", "{id}") in PROTOCOL


def test_documented_metrics_equal_exported_metrics() -> None:
    """The names in the documents equal the names in the exposition."""
    measures = Measures(counts=Counts(), streams=0, replicas=0, contents=0, skipped=0, evicting=False, lost_seconds=0.0)
    families = text_string_to_metric_families(exposition(measures).decode())
    # The parser takes the `_total` of a counter for a part of its samples' names.
    there = {it.name + "_total" * (it.type == "counter") for it in families if it.name.startswith("statushub_")}
    documented = set(re.findall(r"`(statushub_\w+)`", DEPLOYMENT)) - {Config().cookie}
    assert all(f"`{word}`" in DEPLOYMENT for word in (*LIMITS, *CAUSES, *LIVE_RESULTS, *CACHE_RESULTS, *KINDS))
    assert there == documented


def test_every_error_on_the_wire_is_documented() -> None:
    """The protocol page gives code and status of each error class that a request can meet."""
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, errors.StatushubError) and kind.status != 500:
            [row] = [row for row in PROTOCOL.splitlines() if f"`{kind.code}`" in row and row.startswith("| 4")] or [
                row for row in PROTOCOL.splitlines() if f"`{kind.code}`" in row and row.startswith("| 5")
            ]
            assert str(kind.status) in row


def test_every_error_of_an_encode_is_documented() -> None:
    """The deployment page explains each code that a failed encode is published with."""
    assert all(f"`{kind.code}`" in DEPLOYMENT for kind in EncodeError.__subclasses__())


def test_every_limit_of_an_encode_is_documented() -> None:
    """The deployment page lists each limit of the encoder's options."""
    fields = set(Options.__struct_fields__) - {"segment_seconds", "report_seconds"}
    limits = [name for name in fields if name.endswith(("_bytes", "_seconds", "_hosts"))]
    assert all(f"`{name}`" in DEPLOYMENT for name in limits)


def test_every_error_and_limit_of_a_generation_is_documented() -> None:
    """The page on AI explains each code, and lists each limit of the options."""
    page = (ROOT / "docs/ai.md").read_text()
    assert all(f"| `{kind.code}` |" in page for kind in generate.GenerateError.__subclasses__())
    fields = set(generate.Options.__struct_fields__) - {"words_per_second"}
    limits = [name for name in fields if name.endswith(("_bytes", "_seconds", "_hosts", "_characters"))] + ["pages"]
    assert all(f"`{name}`" in page for name in limits)


def test_every_word_of_the_vocabularies_is_documented() -> None:
    """The pages list each status that may be published and each reserved type."""
    concepts = (ROOT / "docs/concepts.md").read_text()
    assert all(f"`{status}`" in concepts for status in PHASES)
    assert all(f"`{type}`" in PROTOCOL for type in RESERVED_TYPES)


@pytest.mark.parametrize("snippet", snippets(), ids=str)
def test_every_snippet_is_run(snippet: Snippet) -> None:
    """The snippet's language has a test module that runs every block of it."""
    assert snippet.language in RUNNERS, f"{snippet}: no test runs a block of {snippet.language or 'no language'}"
    runner = (ROOT / RUNNERS[snippet.language]).read_text()
    assert re.search(rf'(parametrized|snippets)\("{snippet.language}"\)', runner)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_fence_belongs_to_a_snippet(page: Path) -> None:
    """The snippet parser misses no code fence of a page."""
    assert len(re.findall(r"^\s*(```|~~~)", page.read_text(), re.MULTILINE)) == 2 * len(snippets_of(page))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_within_sentences_exist(page: Path) -> None:
    """Each `make` target and each `pip` requirement named in a sentence exists."""
    for command in re.findall(r"`((?:make|pip install) [^`]+)`", page.read_text()):
        checked = checked_make if command.startswith("make") else checked_install
        checked(command)


def test_the_benchmarks_are_as_generated(tmp_path: Path) -> None:
    """The page and its picture equal what the generator writes from the stored numbers."""
    report.write(report.read(ROOT / "docs"), tmp_path)
    for written in tmp_path.iterdir():
        assert written.read_text() == (ROOT / "docs" / written.name).read_text(), written.name


def test_the_changelog_follows_keep_a_changelog() -> None:
    """Unreleased changes come first, then each version with its date, in known sections."""
    text = (ROOT / "CHANGELOG.md").read_text()
    unreleased, *versions = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert unreleased == "[Unreleased]"
    assert versions
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", version) for version in versions)
    sections = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.*)$", text, re.MULTILINE)) <= sections


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_name_their_subjects(page: Path) -> None:
    """No page uses an indefinite personal pronoun or a retired word."""
    words = r"(?i)\b(?:(?:no|some|any|every)body|who(?:so)?ever|doorkeeper|banish\w*)"
    assert re.findall(words, page.read_text()) == []


def test_every_variable_of_workers_is_documented() -> None:
    """The operations page has a row for each, with its default."""
    rows = re.findall(r"^\| `(STATUSHUB_\w+)` \|.*", (ROOT / "docs/operations.md").read_text(), re.MULTILINE)
    assert set(rows) >= PRODUCER_VARIABLES
    shared = {SETTINGS[name].variable for name in ("results_dir", "video_keys", "video_tenants", "video_steps")}
    assert set(rows) - PRODUCER_VARIABLES == shared | {SETTINGS["video_channel"].variable}


def test_every_field_that_pages_read_is_documented() -> None:
    """The table has each field that the dashboard and the polls read, and no other."""
    text = (ROOT / "docs/pages.md").read_text().partition("## The fields that pages read")[2]
    listed = {name for row in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    scripts = [script.read_text() for script in (ROOT / "web/dashboard").glob("*.js")]
    read = set(re.findall(r"\bdata\.(\w+)", "\n".join(scripts))) - {"content_id", "length"}
    read |= set(VideoProgress.__struct_fields__) | set(Job.__struct_fields__) | set(ERROR_TEXTS)
    read |= set(ProcessingLine.__struct_fields__) | set(FailedLine.__struct_fields__)
    assert read - {"id"} <= listed
    assert listed == read - {"id"}


CONTENT_ID = re.compile(r"\b(?:article|clip|import)-\d+\b")


def test_ids_in_examples_are_unique() -> None:
    """A content lives in one channel, and one that has ended stays ended: each page and example has its own contents,
    so that a reader who tries one after the other is refused nothing."""
    files = [*PAGES, *(ROOT / "examples").iterdir(), *(ROOT / "hub/cli").glob("*.py")]
    found = {file: set(CONTENT_ID.findall(file.read_text())) for file in files if file.is_file()}
    places = Counter(name for names in found.values() for name in names)
    assert {name: count for name, count in places.items() if count > 1} == {}
    assert len(places) >= 8


RELIABILITY = (ROOT / "docs/reliability.md").read_text()
REMOVED = re.findall(r"^\| `([^`]+)`[^|]* \| `([\w/.]+)` \|", RELIABILITY.partition("## Seen to fail")[2], re.MULTILINE)
REMOVED += re.findall(r"`([^`]+)`[^`|]*\(`(hub/[\w/.]+)`\)", RELIABILITY)


@pytest.mark.parametrize(("line", "file"), REMOVED, ids=lambda part: part)
def test_the_line_that_keeps_a_guarantee_exists(line: str, file: str) -> None:
    """The file that the page names has the line, in which `…` is any text."""
    pattern = re.compile(".*".join(map(re.escape, line.split("…"))))
    assert pattern.search((ROOT / file).read_text())


def test_the_lines_that_keep_guarantees_are_found() -> None:
    """The regular expressions miss neither a row of the table nor a line in the sentence under it."""
    rows = RELIABILITY.partition("## Seen to fail")[2].partition("## ")[0].count("\n| `")
    assert len(REMOVED) == rows + 2


def test_the_packages_that_make_installs_are_listed() -> None:
    """The packages of tests/support/install-tools are those of CONTRIBUTING.md's table."""
    script = (ROOT / "tests/support/install-tools").read_text()
    packages = {
        name
        for words in re.findall(r'^ *need (?:"([^"]+)"|(\S+))', script, re.MULTILINE)
        for name in "".join(words).split()
    }
    packages.add("python3-venv")
    table = (ROOT / "CONTRIBUTING.md").read_text().partition("| program |")[2].partition("\n\n")[0]
    cells = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    assert {name for cell in cells for name in re.findall(r"`([\w-]+)`", cell)} == packages
