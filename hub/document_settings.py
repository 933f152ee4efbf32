"""The settings of document counts, as `Config` has them."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from statushub.hub.marks import Flag, Rule, Secret
from statushub.hub.model.document_source import check_document_url

Documents = Annotated[
    str,
    Meta(
        description="Folder whose documents are counted by `/api/documents/`; its sub-folders are the categories. "
        "Needs `--jobs`, or with Redis a `statushub worker` that has the same settings."
    ),
    Flag(metavar="FOLDER"),
]
DocumentsIndex = Annotated[
    str,
    Meta(description="SQLite file of the index of that folder; by default one in `~/.cache/statushub`."),
    Flag(metavar="FILE"),
]
DocumentsUrl = Annotated[
    str,
    Meta(
        description="Address of a search API whose results are counted instead of the documents of a folder, with "
        "`{keyword}` and, where each category has an address of its own, `{category}` in it."
    ),
    Flag(metavar="URL"),
    Rule(check_document_url),
]
DocumentsCategories = Annotated[
    tuple[str, ...],
    Meta(
        description="Category of that API, and where in its JSON the number of results is: `NAME=PATH`, such as "
        "`blog=total`, or `NAME:WORD=PATH`, where `WORD` and not the name stands for `{category}`."
    ),
    Flag(name="--documents-category", metavar="CATEGORY"),
]
DocumentsHeaders = Annotated[
    tuple[str, ...],
    Meta(
        description="Headers that the API needs, such as `X-Client-Id: abc`, separated by commas. It has no flag, "
        "because other users of the machine can read a command line."
    ),
    Secret(),
]
DocumentsCounter = Annotated[
    str,
    Meta(
        pattern=r"^([A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*)?\Z",
        description="Function that counts instead: `async def count(keyword)`, which returns a mapping of categories "
        "to numbers; as `MODULE:FUNCTION`, looked for in the working directory, too.",
    ),
    Flag(metavar="FUNCTION", form="a function of a module, such as app.search:count"),
]
DocumentsPace = Annotated[
    float,
    Meta(ge=0, le=3600, description="Least seconds between two look-ups of keywords."),
    Flag(metavar="SECONDS"),
]
DocumentsRetry = Annotated[
    float,
    Meta(
        ge=0,
        le=24 * 3600,
        description="Seconds after which a keyword that could not be counted is tried again; the next time twice as "
        "many.",
    ),
    Flag(metavar="SECONDS"),
]
DocumentsQueue = Annotated[
    bool,
    Meta(description="Let a batch that is started while another one runs wait for its turn, instead of refusing it."),
]
