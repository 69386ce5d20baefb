"""The rows that Spanfold writes, field by field in the order of the tables' columns.

Each annotation says two things: the Python type a writer must give and, inside `Annotated`, the ClickHouse type the
column has (tables.py reads it; a test compares it with the engine's own answer). Units: times are microseconds since
the Unix epoch, UTC; durations are milliseconds; money is US dollars with up to 12 decimals. A missing string is ''; a
missing number is None, never 0.
"""

from decimal import Decimal
from typing import Annotated, NamedTuple

from pipeline.store.retention import FOREVER

Text = Annotated[str, "String"]
Word = Annotated[str, "LowCardinality(String)"]  # few distinct values: stored once per part, then by number
Words = Annotated[list[str], "Array(LowCardinality(String))"]
Texts = Annotated[list[str], "Array(String)"]
TextMap = Annotated[dict[str, str], "Map(LowCardinality(String), String)"]
Payload = Annotated[bytes, "String"]
Identity = Annotated[bytes, "FixedString(16)"]
Flag = Annotated[bool, "Bool"]
Deleted = Annotated[int, "UInt8"]
Partition = Annotated[int, "UInt32"]
Count = Annotated[int, "UInt64"]
SmallCount = Annotated[int, "UInt32"]
MaybeSmallCount = Annotated[int | None, "Nullable(UInt32)"]
Counts = Annotated[list[int], "Array(UInt64)"]
Partitions = Annotated[list[int], "Array(UInt32)"]
Places = Annotated[list[int], "Array(UInt16)"]
Times = Annotated[list[int], "Array(DateTime64(6, 'UTC'))"]
CountMap = Annotated[dict[str, int], "Map(LowCardinality(String), UInt64)"]
Time = Annotated[int, "DateTime64(6, 'UTC')"]
Expiry = Annotated[int, "DateTime('UTC')"]  # seconds since the epoch: see store/retention.py
MaybeTime = Annotated[int | None, "Nullable(DateTime64(6, 'UTC'))"]
MaybeNumber = Annotated[float | None, "Nullable(Float64)"]
MaybeMoney = Annotated[Decimal | None, "Nullable(Decimal(18, 12))"]  # one call: below 1,000,000 USD
MaybeTotal = Annotated[Decimal | None, "Nullable(Decimal(38, 12))"]  # a sum over calls
MoneyMap = Annotated[dict[str, Decimal], "Map(LowCardinality(String), Decimal(18, 12))"]

EPOCH_STEP = 2**40  # row_version counts events below it and price books above it


class TraceRow(NamedTuple):
    """One version of one trace, in `traces_rows`; analysts see the newest one in the view `traces`."""

    project_id: Word
    trace_id: Text
    name: Word
    user_id: Text
    session_id: Text
    environment: Word
    release: Word
    version: Word
    tags: Words
    public: Flag
    metadata: TextMap
    input: Text
    output: Text
    start_time: Time
    end_time: MaybeTime
    latency_ms: MaybeNumber
    level: Word
    status: Word
    error_count: Count
    observation_count: Count
    usage: CountMap
    total_tokens: Count
    cost: MoneyMap
    total_cost: MaybeTotal
    root_observation_id: Text
    settled: Flag
    flags: Words
    first_seen: Time
    updated_at: Time
    row_version: Count
    is_deleted: Deleted = 0
    expires_at: Expiry = FOREVER


class ObservationRow(NamedTuple):
    """One version of one observation, in `observations_rows`; the newest one is in the view `observations`."""

    project_id: Word
    trace_id: Text
    observation_id: Text
    parent_observation_id: Text
    type: Word
    name: Word
    start_time: Time
    end_time: MaybeTime
    completion_start_time: MaybeTime
    latency_ms: MaybeNumber
    time_to_first_token_ms: MaybeNumber
    level: Word
    status_message: Text
    version: Word
    environment: Word
    model: Word
    priced_model: Word
    model_parameters: Text
    input: Text
    output: Text
    metadata: TextMap
    usage: CountMap
    usage_provided: CountMap
    usage_source: Word
    usage_rule: Word
    cost: MoneyMap
    total_cost: MaybeMoney
    cost_source: Word
    price_id: Word
    prompt_name: Word
    prompt_version: MaybeSmallCount
    tool_calls: Texts
    depth: SmallCount
    path: Texts
    child_count: SmallCount
    subtree_cost: MaybeTotal
    subtree_tokens: Count
    orphan: Flag
    flags: Words
    trace_name: Word
    user_id: Text
    session_id: Text
    tags: Words
    release: Word
    first_seen: Time
    updated_at: Time
    row_version: Count
    is_deleted: Deleted = 0
    expires_at: Expiry = FOREVER


class ScoreRow(NamedTuple):
    """One version of one score, in `scores_rows`; the newest one is in the view `scores`."""

    project_id: Word
    score_id: Text
    trace_id: Text
    observation_id: Text
    session_id: Text
    dataset_run_id: Text
    name: Word
    data_type: Word
    value: MaybeNumber
    string_value: Text
    comment: Text
    source: Word
    evaluator: Word
    environment: Word
    metadata: TextMap
    at: Time
    first_seen: Time
    updated_at: Time
    row_version: Count
    is_deleted: Deleted = 0
    expires_at: Expiry = FOREVER
    score_group: Text = ""  # session:ID or run:ID, part of the key; '' where there is a trace


class RawEventRow(NamedTuple):
    """One event as it came, in `raw_events`. `trace_hash` and `identity` are made by events/keys.py."""

    project_id: Word
    trace_id: Text
    trace_hash: Count
    event_id: Text
    identity: Identity
    kind: Word
    entity_id: Text
    content_type: Word
    value: Payload  # the original bytes, not necessarily UTF-8
    receiver: Word
    received_at: Time
    topic: Word
    partition: Partition
    offset: Count
    position: SmallCount  # index of the event inside its record
    timestamp: Time  # LogAppendTime of the record
    first_seen: Time  # the trace's
    expires_at: Expiry = FOREVER


class OffsetRangeRow(NamedTuple):
    """One stored chunk, in `offset_ranges`: offsets `first` to `last`, both included, and what became of them.

    `projects` to `amounts` have an element for each group of records; see the table's migration.
    """

    topic: Word
    partition: Partition
    first: Count
    last: Count
    records: Count
    events: Count
    new: Count
    duplicate: Count
    rejected: Count
    stored_at: Time
    expires_at: Expiry
    projects: Words
    receivers: Words
    minutes: Times
    outcomes: Words
    amounts: Counts
    places: Places
    offsets: Counts


class EdgeCountRow(NamedTuple):
    """What one front door has accepted since it last told, in `edge_counts`."""

    instance: Text
    number: Count
    published_at: Time
    topic: Word
    projects: Words
    partitions: Partitions
    minutes: Times
    records: Counts
    firsts: Counts
    lasts: Counts
    expires_at: Expiry
