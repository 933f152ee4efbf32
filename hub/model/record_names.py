"""The names of the record: the columns that the hub knows, and what a database calls them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

import msgspec

from statushub.hub.model.names import DEFAULT_TENANT
from statushub.hub.model.spelling import closest
from statushub.hub.model.video_tenants import VideoTenants, check_job_tenant, video_tenants

TABLE: Final = "contents"
"""The table, where no other is named."""

COLUMNS: Final = (
    *("id", "channel_id", "provider_id", "url", "img_url", "video_url", "title", "description", "category"),
    *("status", "processing_status", "ai_gen_metadata", "link_preview_metadata"),
    *("hls_path", "duration", "error_reason", "created_at", "updated_at"),
)
"""The columns that the hub knows. Any other column is passed on under its own name."""

NEEDED: Final = ("id", "channel_id", "updated_at")
"""Those without which no row can be found, or told whether it is newer than another."""

DIALECTS: Final = ("postgresql", "mysql", "mariadb", "sqlite")
"""The databases that may hold the record, as their addresses begin."""

IDENTIFIER_CHARACTERS: Final = 63
"""Longest name of a column or a table: PostgreSQL's, the shortest of the databases'."""

_IDENTIFIER: Final = re.compile(r"[^\W\d][\w$]*")


class RecordNames(msgspec.Struct, frozen=True, kw_only=True):
    """What a database calls the table, its columns, and the tenants."""

    table: str = TABLE
    """With the schema before it, where it is named: `public.contents`."""
    columns: Mapping[str, str] = MappingProxyType({})
    """The column of each name in `COLUMNS` that differs from it."""
    tenant_column: str = ""
    """The column that names a row's tenant; empty where all rows belong to the `tenants`."""
    tenants: tuple[str, ...] = (DEFAULT_TENANT,)
    """Who reads a table without such a column."""
    values: VideoTenants = VideoTenants({}, {})
    """What the tenants are called in that column."""

    def column(self, name: str) -> str:
        """What the database calls the column `name`."""
        return self.columns.get(name, name)

    def tenant_value(self, tenant: str) -> str | None:
        """The tenant in the tenant column, empty where there is none; None where the tenant has no rows."""
        if not self.tenant_column:
            return "" if tenant in self.tenants else None
        return self.values.id_of(tenant)


def record_names(
    *, table: str = TABLE, columns: Sequence[str] = (), tenant_column: str = "", tenants: Sequence[str] = ()
) -> RecordNames:
    """The names that these texts give: `columns` such as `channel_id=board`, `tenants` such as `acme` or `acme=4711`.

    Raises `ValueError` where one is malformed, or two contradict each other, in words that fit behind the name of
    `columns` or `tenants`.
    """
    mapped: dict[str, str] = {}
    for text in columns:
        name, column = parse_column(text)
        if name in mapped:
            raise ValueError(f"names {name!r} twice")
        mapped[name] = column
    if not tenant_column:
        if mapped_tenant := next((text for text in tenants if "=" in text), None):
            raise ValueError(f"has {mapped_tenant!r}, which needs a tenant column")
        return RecordNames(table=table, columns=mapped, tenants=tuple(tenants) or (DEFAULT_TENANT,))
    values = video_tenants([text if "=" in text else f"{text}={text}" for text in tenants])
    return RecordNames(table=table, columns=mapped, tenant_column=tenant_column, values=values)


def parse_column(text: str) -> tuple[str, str]:
    """A name of `COLUMNS`, and the column of the database. Raises `ValueError` as `record_names`."""
    name, equals, column = (part.strip() for part in text.partition("="))
    if not equals or not column:
        raise ValueError("is not NAME=COLUMN, such as channel_id=board")
    if name not in COLUMNS:
        close = closest(name, COLUMNS)
        hint = "" if close is None else f" Did you mean {close!r}?"
        raise ValueError(f"names no column that the hub knows: {', '.join(COLUMNS)}.{hint}")
    check_identifier(column)
    return name, column


def check_identifier(text: str) -> None:
    """Raises `ValueError` where `text` is no name of a column."""
    if len(text) > IDENTIFIER_CHARACTERS or _IDENTIFIER.fullmatch(text) is None:
        raise ValueError(
            f"is no name of a column or table: up to {IDENTIFIER_CHARACTERS} letters, digits and _, and no digit first"
        )


def check_table(text: str) -> None:
    """Raises `ValueError` where `text` is no name of a table, with or without its schema."""
    parts = text.split(".")
    if len(parts) > 2:
        raise ValueError("is no name of a table: NAME or SCHEMA.NAME")
    for part in parts:
        check_identifier(part)


def check_record_tenant(text: str) -> None:
    """Raises `ValueError` where `text` is neither a tenant nor TENANT=VALUE."""
    if "=" in text:
        video_tenants([text])
    else:
        check_job_tenant(text)
