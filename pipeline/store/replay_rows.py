"""The row by which a replay remembers what it was asked for and how far it has come, in `replay_runs`."""

from typing import NamedTuple

from pipeline.store.rows import CountMap, SmallCount, Text, Time, Word


class ReplayRunRow(NamedTuple):
    """One state of one replay; the newest one holds. Times in microseconds."""

    run: Text
    state: Word
    target: Word
    scope: Text
    until: Time
    epoch: SmallCount
    code: Word
    started_at: Time
    updated_at: Time
    after_project: Text
    after_trace: Text
    counts: CountMap
