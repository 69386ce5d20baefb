"""The rows about dead letters, field by field in the order of the tables' columns; units as in rows.py."""

from typing import Annotated, NamedTuple

from pipeline.store.rows import Count, Expiry, Partition, SmallCount, Text, Texts, Time, Word

MaybePayload = Annotated[bytes | None, "Nullable(String)"]
MaybePayloads = Annotated[list[bytes | None], "Array(Nullable(String))"]


class DeadLetterRow(NamedTuple):
    """One record that could not be processed, in `dead_letters_rows`; `topic` to `timestamp` say where it came from."""

    topic: Word
    partition: Partition
    offset: Count
    timestamp: Time  # LogAppendTime of the record
    project_id: Word  # as the record's header or key tells; '' where neither does
    reason: Word
    stage: Word
    detail: Text
    key: MaybePayload
    value: MaybePayload  # the original bytes
    header_names: Texts  # of the record itself; one name may come twice
    header_values: MaybePayloads
    attempts: SmallCount  # how often it was tried, this failure included
    first_failed_at: Time
    failed_at: Time
    replay_of: Text  # id of the letter that this record was a replay of; '' for none
    code_version: Word
    expires_at: Expiry


class DeadLetterStateRow(NamedTuple):
    """What was done about a dead letter, in `dead_letter_states`; the newest row counts."""

    topic: Word
    partition: Partition
    offset: Count
    timestamp: Time
    state: Word  # open, replayed or discarded
    state_at: Time
    replays: SmallCount  # how often it was replayed
    note: Text
