"""What became of each record of a chunk, by project and by the minute in which the log took it: the ledger's entries.

A record is what was sent: one element of a batch, one span. It is `stored` where an event of it was new, `duplicate`
where all of them were known, `rejected` where it could not be decoded, `ignored` where nobody stores what it says.
"""

from enum import StrEnum
from typing import NamedTuple

from pipeline.events import headers
from pipeline.events.model import Record
from pipeline.stream.dead_letter_row import project_of

MINUTE = 60_000_000  # microseconds
OTHERS = "(others)"  # beyond so many groups in one chunk, which no honest traffic has
MOST_GROUPS = 60_000  # `places` numbers them with 16 bits


class Outcome(StrEnum):
    """What became of a record."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"
    IGNORED = "ignored"


class Group(NamedTuple):
    """What the records of a group have in common; `minute` counts from the epoch."""

    project_id: str
    receiver: str
    minute: int
    outcome: Outcome


class Outcomes(dict[Group, list[int]]):
    """The offsets of one chunk, by group."""

    __slots__ = ()

    def note(self, record: Record, project_id: str, outcome: Outcome) -> None:
        """This became of the record."""
        group = Group(project_id, receiver_of(record), record.timestamp // MINUTE, outcome)
        offsets = self.get(group)
        if offsets is None:
            if len(self) >= MOST_GROUPS:
                group = Group(OTHERS, "", group.minute, outcome)
            offsets = self.setdefault(group, [])
        offsets.append(record.offset)

    def note_ignored(self, record: Record) -> None:
        """It held no event."""
        self.note(record, project_of(record.key, record.headers), Outcome.IGNORED)

    def note_rejected(self, record: Record) -> None:
        """It became a dead letter."""
        self.note(record, project_of(record.key, record.headers), Outcome.REJECTED)


def receiver_of(record: Record) -> str:
    """The route that took the record in; `kafka` where no header tells: a program that produces itself."""
    for name, content in record.headers:
        if name == headers.RECEIVER:
            return content.decode(errors="replace")
    return "kafka"
