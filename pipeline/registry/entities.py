"""What the registry hands out: frozen values, detached from the database session that read them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple


@dataclass(frozen=True, slots=True)
class Organization:
    """Owner of projects."""

    id: str
    name: str


class RateLimits(NamedTuple):
    """What a project may send in a second; None where only the settings say, 0 for no limit."""

    requests: int | None = None
    events: int | None = None
    bytes: int | None = None


class RetentionDays(NamedTuple):
    """Days that a project keeps what it has; None where what holds for all says it, 0 for ever."""

    archive: int | None = None
    rows: int | None = None
    dead_letters: int | None = None
    cost_history: int | None = None


class Pin(NamedTuple):
    """A trace that is kept for ever."""

    project_id: str
    trace_id: str
    note: str
    pinned_at: datetime


NO_LIMITS_OF_ITS_OWN = RateLimits()


@dataclass(frozen=True, slots=True)
class Project:
    """What events belong to; nothing is shared between two of them."""

    id: str
    name: str
    organization: Organization
    created_at: datetime
    metadata: Mapping[str, Any] = field(default_factory=dict)
    limits: RateLimits = NO_LIMITS_OF_ITS_OWN


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key pair at the only moment when its secret is known; `repr` does not show the secret."""

    public_key: str
    secret_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Key:
    """A key pair as it may be shown; `tail` are the last four characters of its secret."""

    public_key: str
    project_id: str
    tail: str
    created_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class Rule:
    """Which evaluator runs on which share (0 to 1) of a project's settled traces."""

    id: str
    project_id: str
    name: str
    evaluator: str
    parameters: Mapping[str, Any]
    sampling_rate: float
    enabled: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class PublishedPrices:
    """One published price document. Its epoch numbers it; it never changes. `base`: the data that it stands on."""

    epoch: int
    document: Mapping[str, Any]
    base: str
    note: str
    published_at: datetime


@dataclass(frozen=True, slots=True)
class InitialProject:
    """The project that settings ask for at start; empty strings stand for "not set"."""

    project_id: str = ""
    project_name: str = ""
    org_id: str = ""
    org_name: str = ""
    public_key: str = ""
    secret_key: str = field(default="", repr=False)

    @property
    def given(self) -> bool:
        """True where any setting is set."""
        return any((self.project_id, self.project_name, self.org_id, self.org_name, self.public_key, self.secret_key))
