"""What the demo sent and was told to be stored: what everything else is measured against."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum


class Source(StrEnum):
    """Where a record of the events topic came from; the value is what the archive calls the receiver."""

    HTTP = "ingestion"
    KAFKA = "kafka"
    EVALUATOR = "evaluator"


@dataclass(slots=True)
class Entities:
    """Ids of distinct entities: as many rows must be in the views."""

    traces: set[str] = field(default_factory=set)
    observations: set[str] = field(default_factory=set)
    scores: set[str] = field(default_factory=set)

    def add(self, other: "Entities") -> None:
        """Take the ids of `other` in."""
        self.traces |= other.traces
        self.observations |= other.observations
        self.scores |= other.scores


@dataclass(slots=True)
class Sent:
    """`accepted` counts acknowledged events by source, `refused` those that the front door answered no for."""

    accepted: Counter[Source] = field(default_factory=Counter)
    refused: int = 0
    entities: Entities = field(default_factory=Entities)
