"""The public face: the names that `import statushub` offers."""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path

import pytest

import statushub
import statushub.encode
import statushub.generate
import statushub.producers.encode
import statushub.producers.generate

SOURCE = Path(statushub.__file__).read_text()


def typed() -> dict[str, str]:
    """The module from which a type checker takes each name."""
    [block] = [node for node in ast.parse(SOURCE).body if isinstance(node, ast.If) and ast.unparse(node.test)[0] == "T"]
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: node.module or "" for node in imports for alias in node.names}


@pytest.mark.parametrize("name", sorted({*statushub.__all__} - {"__version__"}))
def test_a_name_is_loaded_from_where_it_is_typed(name: str) -> None:
    """A lazily loaded name is the object that type checkers see."""
    assert getattr(statushub, name) is getattr(import_module(typed()[name]), name)


def test_every_typed_name_is_public() -> None:
    """`__all__` is what is imported for type checkers, plus the version."""
    assert {*statushub.__all__} == {*typed(), "__version__"}
    assert statushub.__all__ == sorted(statushub.__all__)
    assert dir(statushub) == statushub.__all__


def test_the_encoder_is_exported_whole() -> None:
    """`statushub.encode` exports every public name of the package."""
    assert statushub.encode.__all__ == statushub.producers.encode.__all__
    assert all(hasattr(statushub.encode, name) for name in statushub.encode.__all__)


def test_the_generator_is_exported_whole() -> None:
    """`statushub.generate` exports every public name of the package."""
    assert statushub.generate.__all__ == statushub.producers.generate.__all__
    assert all(hasattr(statushub.generate, name) for name in statushub.generate.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """The lazy loader raises the errors of an ordinary module."""
    with pytest.raises(AttributeError, match="module 'statushub' has no attribute 'Prodcer'"):
        getattr(statushub, "Prodcer")  # noqa: B009
    with pytest.raises(ImportError):
        exec("from statushub import Prodcer")
