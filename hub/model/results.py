"""Where the results of a content are: in a folder of its tenant and channel, and below a URL of the same parts."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote, unquote

from statushub.hub.model.errors import Invalid

_ESCAPED: Final = re.compile(r"[%/\\]|^\.")


def folder_name(name: str) -> str:
    """The folder of a channel or a content: its name, in which `%`, slashes and a dot at the beginning are
    percent-encoded, so that two names never have the same folder, and none is hidden or leads elsewhere."""
    return _ESCAPED.sub(lambda match: f"%{ord(match[0]):02X}", name)


def name_of(folder: str) -> str:
    """The name whose folder this is. Raises `Invalid` where no name has it."""
    name = unquote(folder)
    if folder_name(name) != folder:
        raise Invalid(f"{folder!r:.80} is no folder of results", field="path")
    return name


def result_folder(tenant: str, channel: str, content_id: str) -> str:
    """The folder of a content's results, within that of all results."""
    return "/".join((tenant, folder_name(channel), folder_name(content_id)))


def result_path(channel: str, content_id: str) -> str:
    """The same as a URL, relative to `/results/`. The tenant is that of the reader."""
    return "/".join(quote(folder_name(name), safe="") for name in (channel, content_id))
