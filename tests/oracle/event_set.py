"""The events that rows are made of: each once, in the order of their word, without what was deleted."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from pipeline.events.model import Event


class Known(NamedTuple):
    """An event, with the hash that stands for its bytes."""

    event: Event
    identity: bytes

    @property
    def stamp(self) -> tuple[int, str, bytes]:
        """What decides whose word is the last."""
        return self.event.at, self.event.event_id, self.identity


def distinct(events: Iterable[Known]) -> list[Known]:
    """Each event once, the oldest first: the same id with the same bytes is the same event."""
    once = {(each.event.event_id, each.identity): each for each in events}
    return sorted(once.values(), key=lambda each: each.stamp)


def visible(events: list[Known]) -> list[Known]:
    """What tombstones leave: a trace's hides all that is not newer, a score's the same of that score."""
    trace_end = max((e.event.at for e in events if _is_tombstone(e) and e.event.kind == "trace"), default=None)
    score_ends: dict[str, int] = {}
    for each in events:
        if _is_tombstone(each) and each.event.kind == "score":
            score_ends[each.event.entity_id] = each.event.at  # the oldest come first
    return [each for each in events if not _is_hidden(each.event, trace_end, score_ends)]


def _is_tombstone(known: Known) -> bool:
    return bool(known.event.fields.get("deleted"))


def _is_hidden(event: Event, trace_end: int | None, score_ends: Mapping[str, int]) -> bool:
    if trace_end is not None and event.at <= trace_end:
        return True
    return event.kind == "score" and event.entity_id in score_ends and event.at <= score_ends[event.entity_id]
