"""The registry's tables. Every time is UTC and comes back with its time zone, whatever the database keeps."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    CheckConstraint,
    DateTime,
    Dialect,
    ForeignKey,
    MetaData,
    String,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.types import TypeDecorator

ID_LENGTH = 200


def now() -> datetime:
    """The present moment, UTC."""
    return datetime.now(UTC)


class UtcDateTime(TypeDecorator[datetime]):
    """A moment. SQLite keeps no time zone, so it is put back on reading; a naive value is refused on writing."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Aware time to UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Stored time to aware UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Names constraints by rule, so that later migrations can address them on every database."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class OrganizationRow(Base):
    """Owner of projects."""

    __tablename__ = "organizations"

    id: Mapped[str] = mapped_column(String(ID_LENGTH), primary_key=True)
    name: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


class ProjectRow(Base):
    """What events belong to."""

    __tablename__ = "projects"

    id: Mapped[str] = mapped_column(String(ID_LENGTH), primary_key=True)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"), index=True)
    name: Mapped[str]
    extra: Mapped[dict[str, Any]] = mapped_column("metadata", JSON, default=dict)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)

    organization: Mapped[OrganizationRow] = relationship(lazy="joined", innerjoin=True)
    limits: Mapped["IngestLimitsRow | None"] = relationship(lazy="joined", uselist=False)


class IngestLimitsRow(Base):
    """What a project may send in a second, where that is not what the settings say; null: the settings' limit."""

    __tablename__ = "ingest_limits"
    __table_args__ = (CheckConstraint("requests >= 0 AND events >= 0 AND bytes >= 0", name="not_negative"),)

    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"), primary_key=True)
    requests: Mapped[int | None]
    events: Mapped[int | None]
    bytes: Mapped[int | None]


class ApiKeyRow(Base):
    """A key pair; of the secret only a salted hash and its last four characters, for people to recognise it."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"), index=True)
    public_key: Mapped[str] = mapped_column(String(ID_LENGTH), unique=True)
    secret_hash: Mapped[str]
    display_tail: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    project: Mapped[ProjectRow] = relationship(lazy="joined", innerjoin=True)


class RuleRow(Base):
    """Which evaluator runs on which share of a project's traces."""

    __tablename__ = "evaluation_rules"
    __table_args__ = (
        UniqueConstraint("project_id", "name"),
        CheckConstraint("sampling_rate >= 0 AND sampling_rate <= 1", name="sampling_rate"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    name: Mapped[str]
    evaluator: Mapped[str]
    parameters: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    sampling_rate: Mapped[float] = mapped_column(default=1.0)
    enabled: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


class PriceBookRow(Base):
    """One published price document: what is published once never changes, a correction is another epoch."""

    __tablename__ = "price_books"

    epoch: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    document: Mapped[dict[str, Any]] = mapped_column(JSON)
    base: Mapped[str]
    note: Mapped[str] = mapped_column(default="")
    published_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


class RetentionRow(Base):
    """How long a project keeps what it has, in days; null: as for all, which is the row of the project ''."""

    __tablename__ = "retention"
    __table_args__ = (
        CheckConstraint("archive >= 0 AND rows >= 0 AND dead_letters >= 0 AND cost_history >= 0", name="not_negative"),
    )

    project_id: Mapped[str] = mapped_column(String(ID_LENGTH), primary_key=True)
    archive: Mapped[int | None]
    rows: Mapped[int | None]
    dead_letters: Mapped[int | None]
    cost_history: Mapped[int | None]


class PinRow(Base):
    """A trace that is kept for ever."""

    __tablename__ = "pins"

    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"), primary_key=True)
    trace_id: Mapped[str] = mapped_column(primary_key=True)
    note: Mapped[str] = mapped_column(default="")
    pinned_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
