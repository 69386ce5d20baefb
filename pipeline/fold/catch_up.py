"""How the rows of a giant trace become durable while it is lively, so that commits go on.

Problem: an event deep in a chain changes the sums on every row above it. Where the content of more of these was let go
than comes back for one flush (fold/shed.py), the next event comes before the last row is written: the trace is never
whole, and the offsets of its partition would wait for as long as it is lively.
Rule: it goes in rounds. A round begins with all rows that are out of date, which are written in that order (what gets
out of date meanwhile comes behind them). When the last of them is written, all events that were folded before the round
are in rows, and may be committed, whatever came since: that is for the next round.
So no event waits for longer than two rounds, of `rows / AT_ONCE` flushes each, and the wait between them.
"""

from collections.abc import Iterable

from pipeline.fold.observation import Observation


class Round:
    """Rows that have to be written yet; `holder` is the part of events that came after it began (stream/part.py)."""

    __slots__ = ("holder", "owed")

    def __init__(self, owed: Iterable[Observation]) -> None:
        self.owed = dict.fromkeys(owed)
        self.holder: object | None = None

    def wrote(self, nodes: Iterable[Observation]) -> bool:
        """These rows are on their way; True where none is owed any more."""
        for node in nodes:
            self.owed.pop(node, None)
        return not self.owed
