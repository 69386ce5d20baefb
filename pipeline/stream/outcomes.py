"""What became of each record of a chunk, by project and by the minute in which the log took it: the ledger's entries.

A record is what was sent: one element of a batch, one span. It is `stored` where an event of it was new, `duplicate`
where all of them were known, `rejected` where it could not be decoded, `ignored` where nobody stores what it says.
"""

from array import array
from enum import StrEnum

from pipeline.events import headers
from pipeline.events.model import Record
from pipeline.stream.dead_letter_row import project_of

_RECEIVER, _MOVED, _FROM = headers.RECEIVER, headers.MOVED, headers.MOVED_FROM
_ONCE_MORE = b"moved"  # instead of the route, with where it was first: no front door was acknowledged this copy
_LONGEST_ORIGIN = 280  # characters: no topic's name is longer than 249
MINUTE = 60_000_000  # microseconds
OTHERS = "(others)"  # beyond so many groups in one chunk, which no honest traffic has
MOST_GROUPS = 60_000  # `places` numbers them with 16 bits


class Outcome(StrEnum):
    """What became of a record."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"
    IGNORED = "ignored"
    MOVED = "moved"  # sent to another partition, where it becomes one of the others (moves.py)


Group = tuple[str, bytes, int, str]
"""What the records of a group have in common: project, route (b"": not told), minute since the epoch, outcome."""


class Outcomes(dict[Group, "array[int]"]):
    """The offsets of one chunk, by group: 8 bytes for each record, until its chunk is committed."""

    __slots__ = ()

    def note(self, record: Record, project_id: str, outcome: str) -> None:
        """This (the value of an Outcome: members are slow to look up by) became of the record."""
        receiver = b""
        for name, content in record.headers:
            if name == _FROM and content is not None and len(content) <= _LONGEST_ORIGIN:
                receiver = _ONCE_MORE + b":" + content
                break
            if name == _MOVED:  # by a version that did not tell from where
                receiver = _ONCE_MORE
                break
            if name == _RECEIVER:
                receiver = receiver or content or b""
        minute = record.timestamp // MINUTE
        offsets = self.get((project_id, receiver, minute, outcome))
        if offsets is None:
            few = len(self) < MOST_GROUPS
            whose = (project_id, receiver) if few else (OTHERS, b"")
            offsets = self.setdefault((*whose, minute, outcome), array("Q"))
        offsets.append(record.offset)

    def note_ignored(self, record: Record) -> None:
        """It held no event."""
        self.note(record, project_of(record.key, record.headers), Outcome.IGNORED.value)

    def note_moved(self, record: Record) -> None:
        """It is accounted for where it goes."""
        self.note(record, project_of(record.key, record.headers), Outcome.MOVED.value)

    def note_refused(self, record: Record) -> None:
        """It was noted as moved, and nothing took it: it became a dead letter."""
        for group, offsets in self.items():
            if group[3] == Outcome.MOVED.value and record.offset in offsets:
                offsets.remove(record.offset)
                if not offsets:
                    del self[group]
                break
        self.note_rejected(record)

    def note_rejected(self, record: Record) -> None:
        """It became a dead letter."""
        self.note(record, project_of(record.key, record.headers), Outcome.REJECTED.value)
