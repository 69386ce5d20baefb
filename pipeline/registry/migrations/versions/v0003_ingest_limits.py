"""What a project may send in a second."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the table; a project without a row goes by the settings."""
    op.create_table(
        "ingest_limits",
        sa.Column("project_id", sa.String(200), nullable=False),
        sa.Column("requests", sa.Integer, nullable=True),
        sa.Column("events", sa.Integer, nullable=True),
        sa.Column("bytes", sa.Integer, nullable=True),
        sa.PrimaryKeyConstraint("project_id", name="pk_ingest_limits"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_ingest_limits_project_id"),
        sa.CheckConstraint("requests >= 0 AND events >= 0 AND bytes >= 0", name=op.f("ck_ingest_limits_not_negative")),
    )
