"""What an installation needs before its first event: tables in ClickHouse, topics in Kafka, a project in the registry.

Rule: each step looks first and changes only what is missing, so all of it is done at every start.
Fails with the errors of the rooms it asks (StoreError, TopicError, RegistryError), each with its remedy.
Configured by the connections in Settings and by SPANFOLD_INIT_* (or LANGFUSE_INIT_*) for the project.
"""

import asyncio
from contextlib import closing
from pathlib import Path

from pipeline.config import Settings
from pipeline.ingest.server import initial_project
from pipeline.local.project import ProjectKeys, read_project, write_project
from pipeline.ops.topics import TopicState, ensure_topics
from pipeline.registry import Registry, open_registry
from pipeline.store.migrate import migrate


def prepare(settings: Settings) -> ProjectKeys:
    """All three; the keys of the initial project. Blocks, and must not be called from a running loop."""
    migrate(settings)
    asyncio.run(ensure_topics(settings))
    if settings.prices_file:
        from pipeline.ops.prices import publish  # loads the base book, which a start without prices does not need

        publish(settings, Path(settings.prices_file), note="at start")
    return prepare_project(settings)


def prepare_project(settings: Settings) -> ProjectKeys:
    """The initial project and a valid key pair of it: the one that is set, else the remembered, else a new one."""
    with closing(open_registry(settings.registry)) as registry:
        project, key = registry.ensure_initial_project(initial_project(settings))
        _ensure_first_rule(registry, project.id, settings.first_rule_sampling)
        remembered = read_project(settings.data_dir)
        if key is None and remembered and _is_valid(registry, remembered, project.id):
            return remembered
        key = key or registry.create_key(project.id)
        keys = ProjectKeys(project.id, key.public_key, key.secret_key)
        write_project(settings.data_dir, keys)
        return keys


def describe_migrations(applied: list[str]) -> str:
    """What `spanfold migrate` says."""
    if not applied:
        return "Nothing to do: the tables are of this version."
    return "\n".join([f"applied {name}" for name in applied] + [f"{len(applied)} migrations applied."])


def describe_topics(states: list[TopicState]) -> str:
    """What `spanfold topics` says: a line per topic, a warning below where one differs from what is needed."""
    lines = []
    for state in states:
        lines.append(f"{'made' if state.created else 'found'} {state.name} with {state.partitions} partitions")
        lines += [f"  warning: {state.warning}"] if state.warning else []
    return "\n".join(lines)


def _ensure_first_rule(registry: Registry, project_id: str, share: float) -> None:
    """A project without any rule gets one, so that evaluation is seen to work; switch it off to have none."""
    if share > 0 and not registry.rules(project_id):
        registry.add_rule(project_id, "has_output", "output_empty", sampling_rate=share)


def _is_valid(registry: Registry, keys: ProjectKeys, project_id: str) -> bool:
    owner = registry.authenticate(keys.public_key, keys.secret_key)
    return owner is not None and owner.id == project_id
