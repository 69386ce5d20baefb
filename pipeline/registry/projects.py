"""Projects and the organizations that own them. An id becomes part of Kafka keys (PROJECT/TRACE): it holds no slash."""

import re
from uuid import uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.registry.entities import Organization, Project, RateLimits
from pipeline.registry.errors import RegistryError
from pipeline.registry.models import ID_LENGTH, IngestLimitsRow, OrganizationRow, ProjectRow

LARGEST_LIMIT = 2**31 - 1  # of a second, whatever is counted
DEFAULT_ORGANIZATION = Organization("default", "Default")
MAKE_PROJECT = "`spanfold keys --create PROJECT --new-project` makes one."
_ID = re.compile(rf"[^\s/\x00-\x1f\x7f]{{1,{ID_LENGTH}}}")


def as_project(row: ProjectRow) -> Project:
    """The frozen value of a row."""
    organization = Organization(row.organization.id, row.organization.name)
    own = row.limits
    limits = RateLimits(own.requests, own.events, own.bytes) if own else RateLimits()
    return Project(row.id, row.name, organization, row.created_at, row.extra, limits)


def set_limits(session: Session, project_id: str, limits: RateLimits) -> ProjectRow:
    """Replace the project's limits. Raises RegistryError for an unknown project or a limit below 0."""
    row = find_project(session, project_id)
    if row is None:
        raise RegistryError(f"There is no project with the id {project_id!r}.", remedy="Check the id.")
    if any(limit is not None and not 0 <= limit <= LARGEST_LIMIT for limit in limits):
        raise RegistryError(
            f"The limits of {project_id!r} cannot be {tuple(limits)}.", remedy=f"Use 0 (no limit) to {LARGEST_LIMIT}."
        )
    row.limits = row.limits or IngestLimitsRow(project_id=project_id)
    row.limits.requests, row.limits.events, row.limits.bytes = limits
    session.flush()
    return row


def create_project(
    session: Session, name: str, *, project_id: str | None = None, org: Organization = DEFAULT_ORGANIZATION
) -> ProjectRow:
    """Add a project, and its organization where that is new. Raises RegistryError for a bad or a taken id."""
    project_id = project_id or str(uuid4())
    for value in (project_id, org.id):
        if not _ID.fullmatch(value):
            raise RegistryError(
                f"The id {value!r} cannot be used.", remedy=f"Use 1 to {ID_LENGTH} characters, no spaces and no slash."
            )
    if session.get(ProjectRow, project_id):
        raise RegistryError(f"A project with the id {project_id!r} exists already.", remedy="Choose another id.")
    owner = session.get(OrganizationRow, org.id) or OrganizationRow(id=org.id, name=org.name)
    row = ProjectRow(id=project_id, name=name, organization=owner, extra={})
    session.add(row)
    session.flush()
    return row


def find_project(session: Session, project_id: str) -> ProjectRow | None:
    """The project with this id."""
    return session.get(ProjectRow, project_id)


def oldest_project(session: Session) -> ProjectRow | None:
    """The project that was made first, or None in an empty registry."""
    return session.scalars(select(ProjectRow).order_by(ProjectRow.created_at, ProjectRow.id).limit(1)).one_or_none()
