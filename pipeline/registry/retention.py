"""How long projects keep their data, and the traces that are kept for ever."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.registry.entities import Pin, RetentionDays
from pipeline.registry.errors import RegistryError
from pipeline.registry.models import PinRow, ProjectRow, RetentionRow

EVERYONE = ""  # the project whose retention holds for all that have none of their own
LONGEST = 36_500  # days


def list_retention(session: Session) -> dict[str, RetentionDays]:
    """What each project says for itself, and under EVERYONE what holds for the others."""
    return {row.project_id: _days(row) for row in session.scalars(select(RetentionRow))}


def set_retention(session: Session, project_id: str, days: RetentionDays) -> None:
    """Replace a project's retention. Raises RegistryError for an unknown project or days out of range."""
    if project_id != EVERYONE:
        _check_project(session, project_id)
    if any(each is not None and not 0 <= each <= LONGEST for each in days):
        raise RegistryError(
            f"The retention of {project_id or 'all'!r} cannot be {tuple(days)}.",
            remedy=f"Use 0 (for ever) to {LONGEST} days.",
        )
    session.merge(RetentionRow(project_id=project_id, **days._asdict()))
    session.flush()


def list_pins(session: Session, project_id: str | None = None) -> list[Pin]:
    """The pinned traces of one project or of all."""
    query = select(PinRow).order_by(PinRow.project_id, PinRow.pinned_at, PinRow.trace_id)
    if project_id is not None:
        query = query.where(PinRow.project_id == project_id)
    return [Pin(row.project_id, row.trace_id, row.note, row.pinned_at) for row in session.scalars(query)]


def pin(session: Session, project_id: str, trace_id: str, note: str) -> bool:
    """Keep a trace for ever; False where it is pinned already. Raises RegistryError for an unknown project."""
    _check_project(session, project_id)
    if session.get(PinRow, (project_id, trace_id)) is not None:
        return False
    session.add(PinRow(project_id=project_id, trace_id=trace_id, note=note))
    session.flush()
    return True


def unpin(session: Session, project_id: str, trace_id: str) -> bool:
    """Let a trace go by its project's retention again; False where it was not pinned."""
    row = session.get(PinRow, (project_id, trace_id))
    if row is None:
        return False
    session.delete(row)
    return True


def _check_project(session: Session, project_id: str) -> None:
    if session.get(ProjectRow, project_id) is None:
        raise RegistryError(f"There is no project with the id {project_id!r}.", remedy="`spanfold keys` names all.")


def _days(row: RetentionRow) -> RetentionDays:
    return RetentionDays(row.archive, row.rows, row.dead_letters, row.cost_history)
