"""docs/architecture.md against the code: the functions it names, the calls between them, the layers, the glossary."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import msgspec
import pytest

from tests.support.snippets import PROJECT, ROOT, snippets

PAGE = (ROOT / "docs/architecture.md").read_text()
FUNCTION = re.compile(r"\b((?:hub|producers)/[\w/]+\.py):([A-Za-z_]\w*(?:\.\w+)?)")

CONTRACTS = {contract["id"]: contract for contract in PROJECT["tool"]["importlinter"]["contracts"]}
LAYERS = [re.split(r" *\| *", layer) for layer in CONTRACTS["layers"]["layers"]]
"""From the highest layer to the lowest; the modules of one layer are independent of each other."""

HANDED_IN = ("Listener", "FanOut", "Subscriber")
"""What the lower layer declares where a call passes to a higher one; the first word of such a line's remark."""


class Step(msgspec.Struct, frozen=True):
    """A line of a walk: `name` in `file`, called by the step `caller`, where there is one."""

    file: str
    name: str
    remark: str
    caller: Step | None

    def __str__(self) -> str:
        return f"{self.file}:{self.name}"

    @property
    def layer(self) -> int:
        """The number of its layer; 0 is the highest."""
        part = Path(self.file).parts[1].removesuffix(".py")
        return next(number for number, layer in enumerate(LAYERS) if part in layer)


def walks() -> list[Step]:
    """The steps of the page's walks, in their order."""
    steps: list[Step] = []
    for snippet in snippets("text"):
        above: list[tuple[int, Step]] = []
        for line in snippet.text.splitlines() if snippet.page == "docs/architecture.md" else ():
            match = FUNCTION.match(line.strip())
            assert match, line
            depth = len(line) - len(line.lstrip())
            above = [(indent, step) for indent, step in above if indent < depth]
            step = Step(match[1], match[2], line.strip()[match.end() :].strip(), above[-1][1] if above else None)
            above.append((depth, step))
            steps.append(step)
    return steps


STEPS = walks()
CALLS = [step for step in STEPS if step.caller]


@cache
def functions(file: str) -> dict[str, ast.AST]:
    """The functions of a file and the methods of its classes, by their names."""
    found: dict[str, ast.AST] = {}
    for node in ast.parse((ROOT / file).read_text()).body:
        if isinstance(node, ast.ClassDef):
            methods = (it for it in node.body if isinstance(it, ast.FunctionDef | ast.AsyncFunctionDef))
            found.update((f"{node.name}.{method.name}", method) for method in methods)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found[node.name] = node
    return found


def mentioned(function: ast.AST) -> set[str]:
    """The names and attributes in a function, without leading underscores, which callables that were given have."""
    nodes = ast.walk(function)
    names = (node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "") for node in nodes)
    return {name.lstrip("_") for name in names}


@pytest.mark.parametrize("named", sorted(set(FUNCTION.findall(PAGE))), ids=":".join)
def test_every_function_exists(named: tuple[str, str]) -> None:
    """The file that the page names defines the function."""
    file, name = named
    assert name in functions(file)


@pytest.mark.parametrize("step", CALLS, ids=str)
def test_each_line_is_called_by_the_one_above_it(step: Step) -> None:
    """The caller's code mentions it by its name."""
    assert step.caller
    assert step.name.rpartition(".")[2].lstrip("_") in mentioned(functions(step.caller.file)[step.caller.name])


@pytest.mark.parametrize("step", CALLS, ids=str)
def test_each_call_goes_down(step: Step) -> None:
    """A call leads to the same layer or a lower one, or to an injected object, which the remark names."""
    assert step.caller
    handed_in = step.remark.startswith(HANDED_IN)
    assert (step.layer < step.caller.layer) is handed_in


def test_the_walk_leads_from_the_api_to_the_wire() -> None:
    """Three of its calls go to an injected object."""
    names = [str(step) for step in STEPS]
    assert names[0] == "hub/api/publish.py:publish"
    assert any(name.startswith("hub/wire/") for name in names)
    assert [word for step in STEPS for word in HANDED_IN if step.remark.startswith(word)] == list(HANDED_IN)


def test_the_folders_are_the_layers() -> None:
    """The table lists them from the ground up, as import-linter holds them."""
    table = PAGE.partition("## The folders")[2].partition("## ")[0]
    cells = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `hub/")]
    parts = [part for cell in cells for part in re.findall(r"`hub/(\w+)(?:/|\.py)`", cell)]
    assert sorted(parts) == sorted(part for layer in LAYERS for part in layer)
    layers = [next(number for number, layer in enumerate(LAYERS) if part in layer) for part in parts]
    assert layers == sorted(layers, reverse=True)


def test_the_glossary_is_in_order() -> None:
    """The words are unique and sorted, and include each word of concepts.md."""
    glossary = re.findall(r"^\| ([a-z][a-z -]*) \|", PAGE.partition("## Glossary")[2], re.MULTILINE)[1:]
    assert glossary == sorted(set(glossary))
    words = (ROOT / "docs/concepts.md").read_text().partition("## Words")[2].partition("## ")[0]
    rows = re.findall(r"^\| ([a-z][a-z, -]*) \|", words, re.MULTILINE)[1:]
    assert {word for row in rows for word in row.split(", ")} <= set(glossary)
