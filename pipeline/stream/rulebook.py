"""The evaluation rules of all projects, read from the registry now and then: the hot path sees a dict."""

import asyncio

from pipeline.evaluate.requests import Rule
from pipeline.registry import Registry
from pipeline.stream.registry_book import RegistryBook


class RuleBook(RegistryBook):
    """Call it with a project's id for its enabled rules."""

    name = "rules"

    def __init__(self, registry: Registry) -> None:
        super().__init__(registry)
        self._by_project: dict[str, list[Rule]] = {}

    def __call__(self, project_id: str) -> list[Rule]:
        """Enabled rules of a project."""
        return self._by_project.get(project_id, [])

    async def refresh(self) -> None:
        """Read all rules once."""
        by_project: dict[str, list[Rule]] = {}
        for rule in await asyncio.to_thread(self._registry.rules):
            if rule.enabled:
                known = Rule(rule.id, rule.name, rule.evaluator, dict(rule.parameters), rule.sampling_rate)
                by_project.setdefault(rule.project_id, []).append(known)
        self._by_project = by_project
