"""Records that are moved, accepted once and stored once: what left a place must have come to another one. Pure.

A record leaves the events topic for the home of its trace or for the overflow (outcome `moved`), or a front door puts
it into the overflow at once (a count of the edge). Each copy names where the record was first, so that however often it
is moved on, its end is held against its beginning: project, partition and minute. More ends than beginnings is no
finding, since a crash between sending and committing sends twice; such a second copy may hide a loss in that minute.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from pipeline.ops.ledger.balance import MOVED, Accounted, Edge, Slot
from pipeline.ops.ledger.log import Bounds


class Place(NamedTuple):
    """Where records were first: a topic, and a project's minute in one of its partitions."""

    topic: str
    slot: Slot


class Left(NamedTuple):
    """So many records left a place. Offsets (both included) where they are known; the last was noted at `stored_last`
    (microseconds, 0: unknown)."""

    place: Place
    records: int
    first: int | None = None
    last: int | None = None
    stored_last: int = 0


def left_events(topic: str, accounted: Iterable[Accounted]) -> list[Left]:
    """What left the events topic; what was moved before is counted where it was first."""
    found: dict[Slot, Left] = {}
    for each in accounted:
        if each.outcome == MOVED and not each.receiver.startswith(MOVED):
            known = found.get(each.slot, Left(Place(topic, each.slot), 0))
            last = max(known.stored_last, each.stored_last)
            found[each.slot] = known._replace(records=known.records + each.records, stored_last=last)
    return list(found.values())


def left_overflow(topic: str, edges: Iterable[Edge], bounds: Mapping[int, Bounds]) -> list[Left]:
    """What front doors put into the overflow and is no longer there: taken by a worker, or by retention."""
    found = []
    for edge in edges:
        bound = bounds.get(edge.slot.partition)
        first, last = (edge.first, edge.last) if edge.first <= edge.last else (None, None)
        if bound is not None and max(bound.committed or 0, bound.begin) > (bound.end - 1 if last is None else last):
            found.append(Left(Place(topic, edge.slot), edge.records, first, last))
    return found


def ends(accounted: Iterable[Accounted]) -> dict[Place, int]:
    """How many copies came to their end, by where their record was first."""
    found: dict[Place, int] = {}
    for each in accounted:
        place = _origin(each)
        if place is not None and each.outcome != MOVED:
            found[place] = found.get(place, 0) + each.records
    return found


def lost(left: Iterable[Left], came: Mapping[Place, int], untraced: Iterable[str]) -> list[Left]:
    """Places that more records left than came; `records` is how many. Projects of `untraced` are left out: they have
    copies that do not say where from, made by an older version."""
    names = frozenset(untraced)
    return [
        each._replace(records=each.records - came.get(each.place, 0))
        for each in left
        if each.records > came.get(each.place, 0) and each.place.slot.project_id not in names
    ]


def untraced(accounted: Iterable[Accounted]) -> set[str]:
    """Projects with moved copies that do not say where from."""
    return {each.slot.project_id for each in accounted if each.receiver == MOVED}


def _origin(each: Accounted) -> Place | None:
    parts = each.receiver.removeprefix(MOVED + ":").rsplit("/", 2)
    if len(parts) != 3 or not (parts[1].isdecimal() and parts[2].isdecimal()):
        return None
    return Place(parts[0], Slot(each.slot.project_id, int(parts[2]) * 60, int(parts[1])))
