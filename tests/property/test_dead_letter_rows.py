"""I5: whatever is in the dead-letter topic has a row that can be written; what failed is told by it byte for byte."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.events import headers
from pipeline.events.model import Headers, Micros, Record
from pipeline.events.reasons import Reason
from pipeline.store.native import encode
from pipeline.store.tables import DEAD_LETTERS, TABLES
from pipeline.stream.dead_letter_row import IN_TABLE, dead_letter_row, row_of
from pipeline.stream.deadletters import DeadLetter

OURS = sorted({value for name, value in vars(headers).items() if name.isupper() and isinstance(value, str)})
NOW = 1_800_000_000_000_000
bytes_or_none = st.none() | st.binary(max_size=20) | st.integers(-1, 2**70).map(lambda number: b"%d" % number)
some_headers = st.lists(st.tuples(st.sampled_from(OURS) | st.text(max_size=5), bytes_or_none), max_size=20).map(tuple)
records = st.builds(
    Record,
    st.text(max_size=5),
    st.integers(0, 2**31 - 1),
    st.integers(0, 2**63 - 1),
    st.integers(1, NOW).map(Micros),
    bytes_or_none,
    bytes_or_none,
    some_headers,
)


@given(records)
def test_any_record_of_the_topic_has_a_row_that_can_be_written(record: Record) -> None:
    row = dead_letter_row(record)
    if row is None:
        assert dict(record.headers)[headers.DEAD_KEPT] == IN_TABLE
        return
    encode(TABLES[DEAD_LETTERS], [row])
    assert (row.key, row.value) == (record.key, record.value)
    assert 0 < row.failed_at <= record.timestamp + 86_400_000_000


@given(records, st.sampled_from(Reason), st.text(max_size=2_000))
def test_the_row_of_a_letter_tells_which_record_failed(record: Record, reason: Reason, detail: str) -> None:
    letter = DeadLetter(record, reason, detail, "decode", Micros(NOW))
    sent = Record("dead", 0, 1, Micros(NOW + 5), record.key, record.value, tuple(letter.headers()))
    row = dead_letter_row(sent)
    assert row is not None
    assert row == row_of(letter)
    encode(TABLES[DEAD_LETTERS], [row])
    told = (row.topic.encode(), row.partition, row.offset, row.timestamp, row.key, row.value, row.reason, row.failed_at)
    wanted = (record.topic.encode(), record.partition, record.offset, record.timestamp, record.key, record.value)
    assert told == (*wanted, reason, NOW)
    own: Headers = tuple(each for each in record.headers if not each[0].startswith(headers.DEAD_PREFIX))
    assert tuple(zip(row.header_names, row.header_values, strict=True)) == own
