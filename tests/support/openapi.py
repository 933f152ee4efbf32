"""openapi.json, whose body schemas are generated from the types that decode and encode them.

The rest is written by hand: paths, responses, and the components without a type. After a change to a body,
`python -m tests.support.openapi` writes the file again.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from statushub.hub import __version__
from statushub.hub.api import (
    access,
    batch,
    cancel,
    changes,
    channels,
    contents,
    documents,
    feed_checks,
    feed_page,
    feed_writes,
    instagram,
    jobs,
    lines,
    notifications,
    publish,
    removal,
    videos,
)
from statushub.hub.http import errors

FILE: Final = Path(__file__).parents[2] / "hub" / "openapi.json"

MODULES: Final = (
    *(access, batch, cancel, changes, channels, contents, documents, errors),
    *(feed_checks, feed_page, feed_writes, instagram, jobs, lines),
    *(notifications, publish, removal, videos),
)
"""The modules that declare bodies. Each public structure in them is a component of the same name."""

REFERENCE: Final = "#/components/schemas/{name}"


def read() -> dict[str, Any]:
    """The content of the file."""
    description: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return description


def bodies() -> Iterator[type[msgspec.Struct]]:
    """The types of all bodies and of their parts."""
    for module in MODULES:
        for name, kind in vars(module).items():
            declared_here = getattr(kind, "__module__", None) == module.__name__
            if declared_here and isinstance(kind, type) and issubclass(kind, msgspec.Struct) and name[0] != "_":
                yield kind


def generated() -> dict[str, Any]:
    """The components that follow from the types."""
    _, components = msgspec.json.schema_components([*bodies()], ref_template=REFERENCE)
    return {name: _tidied(schema) for name, schema in sorted(components.items())}


def regenerated(description: dict[str, Any]) -> dict[str, Any]:
    """The description with the current version and the generated components."""
    description = copy.deepcopy(description)
    description["info"]["version"] = __version__
    schemas = description["components"]["schemas"]
    description["components"]["schemas"] = dict(sorted({**schemas, **generated()}.items()))
    return description


def text(description: dict[str, Any]) -> str:
    """The description in the form of the file."""
    return json.dumps(description, indent=2, ensure_ascii=False) + "\n"


def _tidied(node: Any) -> Any:
    """msgspec's schema without redundant parts."""
    if isinstance(node, list):
        return [_tidied(each) for each in node]
    if not isinstance(node, dict):
        return node
    # A field may have this name, too.
    schema = {key: _tidied(value) for key, value in node.items() if key != "title" or not isinstance(value, str)}
    if "$ref" in schema:
        # The referenced schema has the type.
        schema.pop("type", None)
    match schema.get("anyOf"):
        case [{"type": str(kind), **rest}, {"type": "null"}] if "enum" not in rest:
            del schema["anyOf"]
            schema = {**schema, "type": [kind, "null"], **rest}
    if schema.get("required") == []:
        del schema["required"]
    return schema


if __name__ == "__main__":
    FILE.write_text(text(regenerated(read())), encoding="utf-8")
