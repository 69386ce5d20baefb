"""The evaluation rules of all projects, read from the registry now and then: the hot path sees a dict.

A rule that somebody wrote into the table by hand may say what no rule can: it is left out, and told of once.
"""

import asyncio

import structlog

from pipeline.evaluate.requests import Rule
from pipeline.registry import Registry
from pipeline.registry import Rule as RegisteredRule
from pipeline.stream.registry_book import RegistryBook

log = structlog.get_logger(__name__)


class RuleBook(RegistryBook):
    """Call it with a project's id for its enabled rules."""

    name = "rules"

    def __init__(self, registry: Registry) -> None:
        super().__init__(registry)
        self._by_project: dict[str, list[Rule]] = {}
        self._wrong: set[str] = set()  # ids of rules that were told of

    def __call__(self, project_id: str) -> list[Rule]:
        """Enabled rules of a project."""
        return self._by_project.get(project_id, [])

    async def refresh(self) -> None:
        """Read all rules once."""
        by_project: dict[str, list[Rule]] = {}
        for rule in await asyncio.to_thread(self._registry.rules):
            if rule.enabled and (known := self._known(rule)) is not None:
                by_project.setdefault(rule.project_id, []).append(known)
        self._by_project = by_project

    def _known(self, rule: RegisteredRule) -> Rule | None:
        try:
            if not rule.name:
                raise ValueError("a score has a name")
            known = Rule(rule.id, rule.name, rule.evaluator, dict(rule.parameters), rule.sampling_rate)
        except (TypeError, ValueError) as error:
            if rule.id not in self._wrong:
                self._wrong.add(rule.id)
                log.error("rule_left_out", rule=rule.id, project=rule.project_id, error=str(error)[:300])
            return None
        self._wrong.discard(rule.id)
        return known
