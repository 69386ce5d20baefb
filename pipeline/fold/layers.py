"""Last writer wins, per field: the opinions of one entity's events, kept as layers in the order of their stamps.

A layer is what one event said, stamped with (event time, event id, identity): a total order that no arrival can
change. The entity's state is the layers laid over each other, oldest first. So adding is an append in the common
case, and the result depends on the set alone. An old field under a newer one can never be seen again: `_compact`
drops it, which bounds an entity's memory by the number of its fields and not of its events.
"""

from array import array
from bisect import insort
from collections.abc import Iterable
from itertools import chain
from typing import Any, cast

from pipeline.events.model import Fields, Micros
from pipeline.fold.metadata import laid, lay_under, live_part, without_nulls

Stamp = tuple[Micros, str, bytes]
Layer = tuple[Stamp, Fields]

COMPACT_ABOVE = 8


def _stamp(layer: Layer) -> Stamp:
    return layer[0]


class Layers:
    """The opinions about one entity. `add` each distinct event once; `merged` at any time."""

    __slots__ = ("_compact_above", "_dropped", "_layers", "first_at", "let_go")

    def __init__(self) -> None:
        self._layers: list[Layer] = []
        self._compact_above = COMPACT_ABOVE
        self._dropped: array[int] | None = None  # event times of layers that compaction left nothing of
        self.first_at = Micros(0)  # the oldest event time, microseconds; 0 before the first event
        self.let_go = 0  # opinions that `unload` let go

    def __bool__(self) -> bool:
        """True once anything was said."""
        return bool(self._layers)

    def add(self, stamp: Stamp, fields: Fields) -> None:
        """Take in what one event said; its place is given by its stamp, not by the call."""
        layers = self._layers
        if "metadata" in fields and (metadata := without_nulls(fields["metadata"])) is not fields["metadata"]:
            fields = {**fields, "metadata": metadata}
        if not layers:
            layers.append((stamp, fields))
            self.first_at = stamp[0]
            return
        if layers[-1][0] < stamp:
            layers.append((stamp, fields))
        else:
            insort(layers, (stamp, fields), key=_stamp)
        if stamp[0] < self.first_at:
            self.first_at = stamp[0]
        if len(layers) > self._compact_above:
            self._compact()

    def merged(self) -> Fields:
        """All opinions laid over each other. Treat the result as read-only: a single layer is not copied."""
        layers = self._layers
        if len(layers) == 1:
            return layers[0][1]
        merged: dict[str, Any] = {}
        metadata: list[dict[str, Any]] = []
        tags: list[list[str]] = []
        for _, fields in layers:
            merged.update(fields)
            if "metadata" in fields:
                metadata.append(fields["metadata"])
            if "tags" in fields:
                tags.append(fields["tags"])
        if len(metadata) > 1:
            merged["metadata"] = laid(metadata)
        if len(tags) > 1:
            merged["tags"] = list(chain.from_iterable(tags))
        return cast(Fields, merged)

    def latest(self) -> Micros:
        """The event time of the newest opinion, microseconds; 0 before the first."""
        return self._layers[-1][0][0] if self._layers else Micros(0)

    def hide(self, until: Micros) -> None:
        """Forget every opinion whose event time is not after `until`, as a tombstone asks."""
        self._layers = [layer for layer in self._layers if layer[0][0] > until]
        dropped = [at for at in self._dropped or () if at > until]
        self._dropped = array("q", dropped) if dropped else None
        self.first_at = Micros(min(chain(dropped, (layer[0][0] for layer in self._layers)), default=0))

    def unload(self) -> None:
        """Let the opinions go; `load` must bring them back before anything else is asked. Says how many they were."""
        self.let_go = len(self._layers) + len(self._dropped or ())
        del self._layers

    @property
    def loaded(self) -> bool:
        """False between `unload` and `load`."""
        return hasattr(self, "_layers")

    def load(self, layers: Iterable[Layer]) -> None:
        """The opinions that were let go, in any order."""
        self._layers = []
        self._compact_above = COMPACT_ABOVE
        self._dropped = None
        for stamp, fields in layers:
            self.add(stamp, fields)

    def _compact(self) -> None:
        """Drop what newer layers hide, and layers that say nothing more; the newest stays, its stamp is asked for."""
        seen: dict[str, Any] = {}
        kept: list[Layer] = []
        for stamp, fields in reversed(self._layers):
            live = dict(_visible(cast(dict[str, Any], fields), seen))
            _note(seen, live)
            if live or not kept:
                kept.append((stamp, cast(Fields, live)))
            else:
                self._dropped = self._dropped or array("q")
                self._dropped.append(stamp[0])
        kept.reverse()
        self._layers = kept
        self._compact_above = max(COMPACT_ABOVE, 2 * len(kept))


def _visible(fields: dict[str, Any], seen: dict[str, Any]) -> list[tuple[str, Any]]:
    """The fields of a layer that newer ones, summed up in `seen`, do not hide."""
    visible: list[tuple[str, Any]] = []
    for key, value in fields.items():
        if key == "metadata" and key in seen:
            value = live_part(value, seen[key])
            if value:
                visible.append((key, value))
        elif key == "tags":
            fresh = [tag for tag in value if tag not in seen.get("tags", ())]
            if fresh:
                visible.append((key, fresh))
        elif key not in seen:
            visible.append((key, value))
    return visible


def _note(seen: dict[str, Any], live: dict[str, Any]) -> None:
    for key, value in live.items():
        if key == "metadata":
            lay_under(seen.setdefault(key, {}), value)
        elif key == "tags":
            seen.setdefault(key, set()).update(value)
        else:
            seen[key] = True
