"""Types of fields that bodies share, each with its schema in openapi.json."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec


def lines_of(*names: str, **more: Any) -> msgspec.Meta:
    """Says of raw JSON that it is a list of these components."""
    components = [{"$ref": f"#/components/schemas/{name}"} for name in names]
    items = components[0] if len(components) == 1 else {"oneOf": components}
    return msgspec.Meta(extra_json_schema={"type": "array", "items": items, **more})


def component(name: str) -> msgspec.Meta:
    """Says of a field that its schema is this component of openapi.json, which is written by hand."""
    return msgspec.Meta(extra_json_schema={"$ref": f"#/components/schemas/{name}"})


NameText = Annotated[str, component("Name")]
PatternText = Annotated[str, component("Pattern")]
CursorText = Annotated[str, component("Cursor")]
PlaceText = Annotated[str, component("Place")]
EventType = Annotated[str, component("EventType")]
ContentStatus = Annotated[str, component("ContentStatus")]
ContentData = Annotated[msgspec.Raw, component("ContentData")]
ChangedData = Annotated[msgspec.Raw, component("ChangedData")]
Percent = Annotated[float, msgspec.Meta(ge=0, le=100)]
Count = Annotated[int, msgspec.Meta(ge=0)]
