"""The fenced blocks of the documentation, for the tests that run them."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[2]

PAGES = [
    *(ROOT / name for name in ("README.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]

CLIENTS_PAGE = ROOT / "docs/clients.md"
"""Its blocks are whole programs in many languages, which tests/live/clients runs."""

RUNNERS = {
    **dict.fromkeys(
        ("acl", "console", "json", "nginx", "python", "redis", "sse", "text", "yaml"), "tests/live/test_snippets.py"
    ),
    "js": "tests/browser/test_snippets.py",
    **dict.fromkeys(("html", "jsx", "vue"), "tests/browser/test_packaged_examples.py"),
}
"""The test module that runs the snippets of each language."""

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
MAKEFILE = (ROOT / "Makefile").read_text()

_FENCE = re.compile(r"^( *)```(\S*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


class Snippet(msgspec.Struct, frozen=True, kw_only=True):
    """One fenced block. `page` is relative to the repository, `line` that of the block's first line."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def snippets(*languages: str) -> list[Snippet]:
    """The blocks of these languages; without any, all blocks. Those of docs/clients.md are not among them."""
    found = [snippet for page in PAGES if page != CLIENTS_PAGE for snippet in snippets_of(page)]
    return [snippet for snippet in found if not languages or snippet.language in languages]


def snippets_of(page: Path) -> list[Snippet]:
    """The blocks of one page."""
    text = page.read_text()
    return [
        Snippet(
            page=str(page.relative_to(ROOT)),
            line=text.count("\n", 0, match.start()) + 2,
            language=match[2],
            text=match[3],
        )
        for match in _FENCE.finditer(text)
    ]


def checked_make(command: str) -> None:
    """Fail where `make` has no such target or variable, or a path in a variable does not exist."""
    target, *variables = shlex.split(command, comments=True)[1:]
    assert re.search(rf"^{re.escape(target)}:", MAKEFILE, re.MULTILINE), f"make has no target {target}"
    for variable in variables:
        name, _, value = variable.partition("=")
        assert f"$({name})" in MAKEFILE, f"make has no variable {name}"
        for path in re.findall(r"tests/\S+", value):
            assert (ROOT / path.partition("::")[0]).exists(), path


def checked_install(command: str) -> None:
    """Fail where `pip install` names another project, or an extra that this one does not have."""
    requirement = shlex.split(command, comments=True)[-1]
    named = re.fullmatch(r"(\.|[\w-]+)(?:\[([\w,]+)\])?", requirement)
    assert named, requirement
    assert named[1] in (".", PROJECT["project"]["name"]), named[1]
    extras = named[2].split(",") if named[2] else []
    assert set(extras) <= set(PROJECT["project"]["optional-dependencies"]), extras


def checked_tool(command: str) -> None:
    """Fail where `make` installs no such development tool."""
    tool = Path(shlex.split(command)[0]).name
    assert any(requirement.startswith(tool) for requirement in PROJECT["dependency-groups"]["dev"]), tool
