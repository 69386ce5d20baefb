"""How long a project's data stay, and the traces that stay for ever."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
_DAYS = ("archive", "rows", "dead_letters", "cost_history")


def upgrade() -> None:
    """Make the tables. The retention of the project '' holds for all that have none of their own."""
    op.create_table(
        "retention",
        sa.Column("project_id", sa.String(200), nullable=False),
        *(sa.Column(name, sa.Integer, nullable=True) for name in _DAYS),
        sa.PrimaryKeyConstraint("project_id", name="pk_retention"),
        sa.CheckConstraint(" AND ".join(f"{name} >= 0" for name in _DAYS), name=op.f("ck_retention_not_negative")),
    )
    op.create_table(
        "pins",
        sa.Column("project_id", sa.String(200), nullable=False),
        sa.Column("trace_id", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("pinned_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "trace_id", name="pk_pins"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_pins_project_id"),
    )
