"""Evaluation rules: which evaluator looks at which share of a project's traces."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.registry.entities import Rule
from pipeline.registry.errors import RegistryError
from pipeline.registry.models import ProjectRow, RuleRow
from pipeline.registry.projects import MAKE_PROJECT


def as_rule(row: RuleRow) -> Rule:
    """The frozen value of a row."""
    return Rule(
        row.id,
        row.project_id,
        row.name,
        row.evaluator,
        row.parameters,
        row.sampling_rate,
        row.enabled,
        row.created_at,
    )


def list_rules(session: Session, project_id: str | None = None) -> list[Rule]:
    """The rules of one project or of all, disabled ones too, oldest first."""
    query = select(RuleRow).order_by(RuleRow.created_at, RuleRow.id)
    if project_id is not None:
        query = query.where(RuleRow.project_id == project_id)
    return [as_rule(row) for row in session.scalars(query)]


def add_rule(
    session: Session,
    project_id: str,
    name: str,
    evaluator: str,
    *,
    parameters: Mapping[str, Any] | None = None,
    sampling_rate: float = 1.0,
    enabled: bool = True,
) -> Rule:
    """Add a rule. Raises RegistryError for an unknown project, a taken name or a rate outside 0 to 1."""
    if not 0 <= sampling_rate <= 1:
        raise RegistryError(f"The rule {name!r} has the sampling rate {sampling_rate}.", remedy="Use 0 to 1.")
    if session.get(ProjectRow, project_id) is None:
        raise RegistryError(f"There is no project with the id {project_id!r}.", remedy=MAKE_PROJECT)
    if any(rule.name == name for rule in list_rules(session, project_id)):
        raise RegistryError(f"The project {project_id!r} has a rule {name!r} already.", remedy="Choose another name.")
    row = RuleRow(
        id=str(uuid4()),
        project_id=project_id,
        name=name,
        evaluator=evaluator,
        parameters=dict(parameters or {}),
        sampling_rate=sampling_rate,
        enabled=enabled,
    )
    session.add(row)
    session.flush()
    return as_rule(row)


def switch_rule(session: Session, rule_id: str, *, enabled: bool) -> None:
    """Turn a rule on or off. Raises RegistryError where there is no such rule."""
    row = session.get(RuleRow, rule_id)
    if row is None:
        raise RegistryError(f"There is no rule with the id {rule_id!r}.", remedy="List the project's rules.")
    row.enabled = enabled
