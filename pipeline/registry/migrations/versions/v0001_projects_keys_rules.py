"""Organizations, projects, API keys and evaluation rules."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_TIME = sa.DateTime(timezone=True)
_ID = sa.String(200)
_UUID = sa.String(36)


def upgrade() -> None:
    """Make the four tables."""
    op.create_table(
        "organizations",
        sa.Column("id", _ID, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_organizations"),
    )
    op.create_table(
        "projects",
        sa.Column("id", _ID, nullable=False),
        sa.Column("organization_id", _ID, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("metadata", sa.JSON, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_projects"),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name="fk_projects_organization_id"),
    )
    op.create_index("ix_projects_organization_id", "projects", ["organization_id"])
    _create_api_keys()
    _create_rules()


def _create_api_keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", _UUID, nullable=False),
        sa.Column("project_id", _ID, nullable=False),
        sa.Column("public_key", _ID, nullable=False),
        sa.Column("secret_hash", sa.String, nullable=False),
        sa.Column("display_tail", sa.String, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("revoked_at", _TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_api_keys_project_id"),
        sa.UniqueConstraint("public_key", name="uq_api_keys_public_key"),
    )
    op.create_index("ix_api_keys_project_id", "api_keys", ["project_id"])


def _create_rules() -> None:
    op.create_table(
        "evaluation_rules",
        sa.Column("id", _UUID, nullable=False),
        sa.Column("project_id", _ID, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("evaluator", sa.String, nullable=False),
        sa.Column("parameters", sa.JSON, nullable=False),
        sa.Column("sampling_rate", sa.Double, nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_evaluation_rules"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_evaluation_rules_project_id"),
        sa.UniqueConstraint("project_id", "name", name="uq_evaluation_rules_project_id_name"),
        sa.CheckConstraint("sampling_rate >= 0 AND sampling_rate <= 1", name=op.f("ck_evaluation_rules_sampling_rate")),
    )
