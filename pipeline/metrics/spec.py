"""What a metric is made of. Which there are is said in names.py."""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

SHORT = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds
LONG = (0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0, 7_200.0)  # seconds
SIZES = (1.0, 10.0, 100.0, 500.0, 1_000.0, 2_500.0, 5_000.0, 10_000.0, 20_000.0, 50_000.0, 100_000.0)  # events


class Kind(StrEnum):
    """How a metric behaves: a counter only grows, a gauge goes either way, a histogram counts by buckets."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Role(StrEnum):
    """The kinds of processes that show metrics."""

    INGEST = "ingest"  # the front door
    WORKER = "worker"
    EVALUATOR = "evaluator"


EVERY = frozenset(Role)
STREAM = frozenset({Role.WORKER, Role.EVALUATOR})


class Spec(NamedTuple):
    """One metric but for its name.

    `values` names what a label can say where that is known: such series exist from the start, at 0. (A series that
    appears with its first count has no increase to alert on.)
    """

    kind: Kind
    unit: str
    roles: frozenset[Role]
    help: str
    labels: tuple[str, ...] = ()
    values: Mapping[str, tuple[str, ...]] = {}
    buckets: tuple[float, ...] = ()  # upper bounds, rising


def _roles(roles: Role | frozenset[Role]) -> frozenset[Role]:
    return roles if isinstance(roles, frozenset) else frozenset({roles})


def counter(unit: str, roles: Role | frozenset[Role], text: str, *labels: str, **values: tuple[str, ...]) -> Spec:
    """A counter; labels are given by name, or with the values that are known."""
    return Spec(Kind.COUNTER, unit, _roles(roles), text, (*labels, *values), values)


def gauge(unit: str, roles: Role | frozenset[Role], text: str, *labels: str, **values: tuple[str, ...]) -> Spec:
    """A gauge; labels are given by name, or with the values that are known."""
    return Spec(Kind.GAUGE, unit, _roles(roles), text, (*labels, *values), values)


def histogram(
    unit: str,
    buckets: tuple[float, ...],
    roles: Role | frozenset[Role],
    text: str,
    *labels: str,
    **values: tuple[str, ...],
) -> Spec:
    """A histogram; labels are given by name, or with the values that are known."""
    return Spec(Kind.HISTOGRAM, unit, _roles(roles), text, (*labels, *values), values, buckets)
