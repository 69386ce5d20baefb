"""A trace that events are told to, and what the fold makes of it."""

from decimal import Decimal
from typing import Any

from pipeline.cost.price import ObservationPricer
from pipeline.events.model import Event, Kind, Micros
from pipeline.fold.build import EVERYTHING, Want, build
from pipeline.fold.state import TraceState
from pipeline.fold.views import Built, ObservationView, TraceView

PRICE = ObservationPricer()
NOON = 1_728_993_600_000_000  # 2024-10-15 12:00 UTC
MS = 1000


SOON = Want(all=False)  # what has ended, and what is no observation


def held(until: int) -> Want:
    """As SOON, and what has waited since then or longer."""
    return Want(False, Micros(until))


class Story:
    """A trace that events are told to, one after the other."""

    def __init__(self) -> None:
        self.state = TraceState("p", "t", Micros(1))
        self.count = 0

    def say(self, kind: Kind, entity: str, at: int | None = None, **fields: Any) -> "Story":
        self.count += 1
        when = Micros(self.count if at is None else at)
        event = Event("p", "t", kind, entity, f"e{self.count}", when, fields)  # type: ignore[arg-type]
        self.state.add(event, b"%016d" % self.count, self.count, 1, Micros(self.count))
        return self

    def trace(self, **fields: Any) -> "Story":
        return self.say(Kind.TRACE, "t", **fields)

    def span(self, entity: str, **fields: Any) -> "Story":
        return self.say(Kind.OBSERVATION, entity, **fields)

    def score(self, entity: str, **fields: Any) -> "Story":
        return self.say(Kind.SCORE, entity, **fields)

    def steps(self, *steps: tuple[str, int, dict[str, Any]]) -> "Story":
        """(name, milliseconds, fields) one after the other without gaps."""
        start = NOON
        for name, length, fields in steps:
            end = start + length * MS
            self.span(name, start_time=start, end_time=end, parent_observation_id="root", **fields)
            start = end
        return self

    def build(self, want: Want = EVERYTHING) -> Built:
        return build(self.state, PRICE, want)

    def trace_row(self) -> TraceView:
        made = self.build().trace
        assert made is not None
        return made

    def observations(self, want: Want = EVERYTHING) -> dict[str, ObservationView]:
        return {view.observation_id: view for view in self.build(want).observations}


def usd(text: str) -> dict[str, Decimal]:
    return {"total": Decimal(text)}
