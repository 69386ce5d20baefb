"""Projects, API keys and evaluation rules: the configuration that people make, in SQLite or PostgreSQL.

This package knows nothing of events, Kafka or ClickHouse. Start at `registry.open_registry`.
"""

from pipeline.registry.entities import (
    InitialProject,
    Key,
    NewKey,
    Organization,
    Pin,
    Project,
    PublishedPrices,
    RateLimits,
    RetentionDays,
    Rule,
)
from pipeline.registry.errors import RegistryError
from pipeline.registry.registry import Registry, open_registry

__all__ = [
    "InitialProject",
    "Key",
    "NewKey",
    "Organization",
    "Pin",
    "Project",
    "PublishedPrices",
    "RateLimits",
    "Registry",
    "RegistryError",
    "RetentionDays",
    "Rule",
    "open_registry",
]
