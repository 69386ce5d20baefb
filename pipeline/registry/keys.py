"""API keys: a public half that names a project and a secret half that proves the right to write to it."""

from uuid import uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.registry import secret_hash
from pipeline.registry.entities import Key, NewKey, Project
from pipeline.registry.errors import RegistryError
from pipeline.registry.models import ApiKeyRow, ProjectRow, now
from pipeline.registry.projects import MAKE_PROJECT, as_project

_NOBODY = secret_hash.hash_secret("")  # compared against where there is no such key, so that the time tells nothing


def find_key(session: Session, public_key: str) -> ApiKeyRow | None:
    """The key with this public half, revoked or not."""
    return session.scalars(select(ApiKeyRow).where(ApiKeyRow.public_key == public_key)).one_or_none()


def create_key(
    session: Session, project_id: str, *, public_key: str | None = None, secret_key: str | None = None
) -> NewKey:
    """Add a key pair, random where not given. Raises RegistryError for an unknown project or a taken public key."""
    key = NewKey(public_key or secret_hash.new_public_key(), secret_key or secret_hash.new_secret_key())
    if session.get(ProjectRow, project_id) is None:
        raise RegistryError(f"There is no project with the id {project_id!r}.", remedy=MAKE_PROJECT)
    if find_key(session, key.public_key):
        raise RegistryError(f"The public key {key.public_key!r} is taken.", remedy="Choose another or leave it out.")
    session.add(
        ApiKeyRow(
            id=str(uuid4()),
            project_id=project_id,
            public_key=key.public_key,
            secret_hash=secret_hash.hash_secret(key.secret_key),
            display_tail=key.secret_key[-4:],
        )
    )
    session.flush()
    return key


def list_keys(session: Session) -> list[Key]:
    """All keys, revoked ones too, by project, oldest first."""
    rows = session.scalars(select(ApiKeyRow).order_by(ApiKeyRow.project_id, ApiKeyRow.created_at, ApiKeyRow.id))
    return [Key(row.public_key, row.project_id, row.display_tail, row.created_at, row.revoked_at) for row in rows]


def set_secret(row: ApiKeyRow, secret_key: str) -> None:
    """Replace the secret where it differs."""
    if not secret_hash.secret_matches(secret_key, row.secret_hash):
        row.secret_hash = secret_hash.hash_secret(secret_key)
        row.display_tail = secret_key[-4:]


def revoke_key(session: Session, public_key: str) -> None:
    """End a key's validity for good; again is fine. Raises RegistryError where there is no such key."""
    row = find_key(session, public_key)
    if row is None:
        raise RegistryError(f"There is no key {public_key!r}.", remedy="Check the public key.")
    row.revoked_at = row.revoked_at or now()


def authenticate(session: Session, public_key: str, secret: str) -> Project | None:
    """The project of a valid pair, else None."""
    row = find_key(session, public_key)
    matches = secret_hash.secret_matches(secret, row.secret_hash if row else _NOBODY)
    return as_project(row.project) if row and matches and row.revoked_at is None else None


def project_by_public_key(session: Session, public_key: str) -> Project | None:
    """The project that a valid public key names, else None; proves nothing but that the key exists."""
    row = find_key(session, public_key)
    return as_project(row.project) if row and row.revoked_at is None else None
