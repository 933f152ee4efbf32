"""The tables of the sync. No I/O."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import JSON, BigInteger, Column, DateTime, Index, Integer, MetaData, String, Table, Text
from sqlalchemy.dialects import mysql
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

ID_CHARACTERS: Final = 64
"""Longest id of the Graph API: about 20 digits, and some ids have two parts."""

EXECUTION_CHARACTERS: Final = 128
"""Longest id of a content in the hub, which an execution is."""

WORD_CHARACTERS: Final = 32
"""Longest word that the sync itself writes, such as a status."""

NAME_CHARACTERS: Final = 255
"""Longest name that is kept; Instagram's own limits are 30 for a user, and 150 for a name."""

DIGEST_CHARACTERS: Final = 64
"""SHA-256, in hexadecimal digits."""


class Moment(TypeDecorator[datetime]):
    """A time in UTC with microseconds; with its zone where the database keeps one."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name in ("mysql", "mariadb"):
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None or dialect.name == "postgresql":
            return value
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


METADATA: Final = MetaData()


def _table(name: str, *columns: Any) -> Table:
    # Captions hold emoji, and the ids of the Graph API are case-sensitive.
    options: dict[str, Any] = {
        f"{dialect}_{option}": value
        for dialect in ("mysql", "mariadb")
        for option, value in {"engine": "InnoDB", "charset": "utf8mb4", "collate": "utf8mb4_bin"}.items()
    }
    table: Table = Table(f"instagram_{name}", METADATA, *columns, **options)
    return table


def _key(name: str, kind: Any) -> Column[Any]:
    return Column(name, kind, primary_key=True, autoincrement=False)


ACCOUNTS: Final = _table(
    "accounts",
    _key("user_no", BigInteger),
    Column("ig_user_id", String(ID_CHARACTERS), nullable=False),
    Column("access_token", Text, nullable=False),
    # The digest of the token that was refused: another one is tried again.
    Column("refused_token", String(DIGEST_CHARACTERS)),
    Column("refused_reason", Text),
    Column("refused_at", Moment),
)
"""Written by the program that users connect their accounts with, but for the last three columns."""

PROFILES: Final = _table(
    "profiles",
    _key("user_no", BigInteger),
    Column("ig_user_id", String(ID_CHARACTERS), nullable=False),
    Column("username", String(NAME_CHARACTERS)),
    Column("name", String(NAME_CHARACTERS)),
    Column("biography", Text),
    Column("website", Text),
    Column("profile_picture_url", Text),
    Column("followers_count", BigInteger),
    Column("follows_count", BigInteger),
    Column("media_count", BigInteger),
    Column("synced_at", Moment, nullable=False),
)

MEDIA: Final = _table(
    "media",
    _key("user_no", BigInteger),
    _key("id", String(ID_CHARACTERS)),
    Column("media_type", String(WORD_CHARACTERS)),
    Column("media_product_type", String(WORD_CHARACTERS)),
    Column("caption", Text),
    Column("media_url", Text),
    Column("permalink", Text),
    Column("thumbnail_url", Text),
    Column("timestamp", Moment),
    Column("like_count", BigInteger),
    Column("comments_count", BigInteger),
    Column("synced_at", Moment, nullable=False),
    Index("ix_instagram_media_timestamp", "user_no", "timestamp"),
)

COMMENTS: Final = _table(
    "comments",
    _key("user_no", BigInteger),
    _key("id", String(ID_CHARACTERS)),
    Column("media_id", String(ID_CHARACTERS), nullable=False),
    Column("parent_id", String(ID_CHARACTERS)),
    Column("username", String(NAME_CHARACTERS)),
    Column("text", Text),
    Column("like_count", BigInteger),
    Column("timestamp", Moment),
    Column("synced_at", Moment, nullable=False),
    Index("ix_instagram_comments_media", "user_no", "media_id"),
)

INSIGHTS: Final = _table(
    "insights",
    _key("user_no", BigInteger),
    _key("metric", String(ID_CHARACTERS)),
    _key("period", String(WORD_CHARACTERS)),
    _key("starts_at", Moment),
    Column("ends_at", Moment, nullable=False),
    Column("value", BigInteger, nullable=False),
    Column("synced_at", Moment, nullable=False),
)

EXECUTIONS: Final = _table(
    "executions",
    _key("id", String(EXECUTION_CHARACTERS)),
    Column("execution_type", String(WORD_CHARACTERS), nullable=False),
    Column("target_user_no", BigInteger),
    Column("months", Integer, nullable=False),
    Column("status", String(WORD_CHARACTERS), nullable=False),
    Column("users", Integer),
    Column("completed", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("steps", JSON, nullable=False),
    Column("error", Text),
    Column("created_at", Moment, nullable=False),
    Column("started_at", Moment),
    Column("ended_at", Moment),
    Index("ix_instagram_executions_created_at", "created_at"),
)

EXECUTION_USERS: Final = _table(
    "execution_users",
    _key("execution_id", String(EXECUTION_CHARACTERS)),
    _key("user_no", BigInteger),
    Column("status", String(WORD_CHARACTERS), nullable=False),
    # The step that runs, or in which the user failed.
    Column("step", String(WORD_CHARACTERS)),
    Column("profile", Integer, nullable=False),
    Column("media", Integer, nullable=False),
    Column("comments", Integer, nullable=False),
    Column("insights", Integer, nullable=False),
    Column("error", Text),
    Column("updated_at", Moment, nullable=False),
)

ADMISSIONS: Final = _table("admissions", _key("id", Integer), Column("number", BigInteger, nullable=False))
"""One row, which the hubs lock while they admit an execution."""
