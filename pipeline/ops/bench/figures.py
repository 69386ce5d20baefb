"""What a measured process says about its CPU time, and what that makes per event."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from pipeline.errors import SpanfoldError

MEANING = {  # of the stages, in the order of the data
    "framework": "Kafka's client and Faust (a thread of its own), the loop",
    "decode": "bytes to events, validated",
    "fold": "events into open traces, archive rows",
    "build": "merge, price, tree, totals, settling",
    "rows": "rows as the tables want them",
    "store": "encode, compress, send (threads beside the loop)",
}
_MICRO = 1e6


class BenchError(SpanfoldError):
    """A benchmark could not be finished; there is no figure."""


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU of one run in µs per event, user and system time, from the process being ready to its last commit."""

    total: float
    stages: Mapping[str, float]
    peak_bytes: int  # of memory, start included


def read_cost(path: Path, events: int) -> Cost:
    """From the file that the process wrote when it stopped (its form: pipeline/stream/stages.py). Raises BenchError."""
    try:
        said = json.loads(path.read_text())
        process, store = (said["flushed"][clock] - said["ready"][clock] for clock in ("process", "store"))
        timed: dict[str, float] = said["stages"]
        peak = int(said["peak_bytes"])
    except (OSError, ValueError, KeyError) as error:
        raise BenchError(
            f"{path.name}, where the measured process leaves its figures, cannot be read: {error!r}.",
            remedy="Its log is shown with `spanfold bench --keep`.",
        ) from error
    stages = {**timed, "store": store, "framework": process - store - sum(timed.values())}
    per_event = {name: seconds * _MICRO / events for name, seconds in stages.items()}
    return Cost(process * _MICRO / events, {name: per_event[name] for name in MEANING if name in per_event}, peak)


def middle(costs: list[Cost]) -> Cost:
    """The run whose total is the median (the lower of two): its stages add up."""
    return sorted(costs, key=lambda cost: cost.total)[(len(costs) - 1) // 2]


def spread(costs: list[Cost]) -> tuple[float, float, float]:
    """Smallest, median, largest total."""
    totals = [cost.total for cost in costs]
    return min(totals), median(totals), max(totals)
