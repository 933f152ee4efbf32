"""The settings of the system of record, as `Config` has them."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from statushub.hub.marks import Flag, Rule
from statushub.hub.model.record_names import check_identifier, check_record_tenant, check_table, parse_column


def _check_column(text: str) -> None:
    parse_column(text)


Source = Annotated[
    str,
    Meta(
        description="Database with the contents, which the hub answers from where it has no state, and whose columns "
        "it adds where it has one: `postgresql://…`, `mysql://…`, `mariadb://…` or `sqlite:///FILE`. It needs the "
        "extra `sql`."
    ),
    Flag(metavar="URL"),
]
SourceTable = Annotated[
    str,
    Meta(description="Table of the contents, with its schema where it is not the user's own."),
    Flag(metavar="TABLE"),
    Rule(check_table),
]
SourceColumns = Annotated[
    tuple[str, ...],
    Meta(description="Column that the table calls otherwise than the hub: `channel_id=board`."),
    Flag(name="--source-column", metavar="NAME=COLUMN"),
    Rule(_check_column),
]
SourceTenantColumn = Annotated[
    str,
    Meta(description="Column that names the tenant of a row. Without one the table has no tenants."),
    Flag(metavar="COLUMN"),
    Rule(check_identifier),
]
SourceTenants = Annotated[
    tuple[str, ...],
    Meta(
        description="Tenant that reads a table without a tenant column, by default `default`; with such a column "
        "`acme=4711`: the tenant, and its value there, which by default is its name."
    ),
    Flag(name="--source-tenant", metavar="TENANT"),
    Rule(check_record_tenant),
]
RecordMode = Annotated[
    Literal["off", "endings", "all"],
    Meta(
        description="What is written back into the rows of `--source`: nothing, the endings of contents, or all of "
        "their states, one a second of each. The hub only updates rows that are there, and none that is newer."
    ),
    Flag(metavar="WHAT"),
]
