"""The project that exists from the first start on, as the settings ask for it. Done again at each start.

A key that was revoked stays revoked, whatever the settings say. A secret changed in the settings replaces the stored
one. Where nothing changed in the settings, nothing is written.
"""

from sqlalchemy.orm import Session

from pipeline.registry import keys, projects
from pipeline.registry.entities import InitialProject, NewKey, Organization, Project
from pipeline.registry.errors import RegistryError
from pipeline.registry.models import ProjectRow

DEFAULT_PROJECT = "default"


def ensure_initial_project(session: Session, initial: InitialProject) -> tuple[Project, NewKey | None]:
    """The project and, where its secret is known (given or just made), its key.

    Raises RegistryError where only one half of a key is given, or the public key belongs to another project.
    """
    if bool(initial.public_key) != bool(initial.secret_key):
        raise RegistryError(
            "Only one half of the initial project's key is set.",
            remedy="Set both SPANFOLD_INIT_PROJECT_PUBLIC_KEY and SPANFOLD_INIT_PROJECT_SECRET_KEY, or neither.",
        )
    row = _existing(session, initial)
    made = row is None
    row = row or _create(session, initial)
    if initial.project_name:
        row.name = initial.project_name
    key = _ensure_key(session, row, initial) if initial.public_key else None
    if made and key is None:
        key = keys.create_key(session, row.id)
    return projects.as_project(row), key


def _existing(session: Session, initial: InitialProject) -> ProjectRow | None:
    if initial.given:
        return session.get(ProjectRow, initial.project_id or DEFAULT_PROJECT)
    return projects.oldest_project(session)


def _create(session: Session, initial: InitialProject) -> ProjectRow:
    default = projects.DEFAULT_ORGANIZATION
    org = Organization(initial.org_id or default.id, initial.org_name or initial.org_id or default.name)
    project_id = initial.project_id or DEFAULT_PROJECT
    return projects.create_project(session, initial.project_name or project_id, project_id=project_id, org=org)


def _ensure_key(session: Session, project: ProjectRow, initial: InitialProject) -> NewKey:
    row = keys.find_key(session, initial.public_key)
    if row is None:
        return keys.create_key(session, project.id, public_key=initial.public_key, secret_key=initial.secret_key)
    if row.project_id != project.id:
        raise RegistryError(
            f"The public key {initial.public_key!r} belongs to the project {row.project_id!r}, not {project.id!r}.",
            remedy="Set another SPANFOLD_INIT_PROJECT_PUBLIC_KEY or that project's id.",
        )
    keys.set_secret(row, initial.secret_key)
    return NewKey(initial.public_key, initial.secret_key)
