"""From a failed record to its letter, and from the letter to its row: nothing is lost, nothing can be forged."""

from pipeline import __version__
from pipeline.events import headers
from pipeline.events.model import Micros, Record
from pipeline.events.reasons import Reason
from pipeline.store.retention import expiry
from pipeline.stream.dead_letter_row import IN_TABLE, dead_letter_row, row_of
from pipeline.stream.deadletters import DeadLetter

OURS = ((headers.CONTENT_TYPE, b"x"), (headers.PROJECT, b"p"), ("twice", b"1"), ("twice", b"2"))
AT = Micros(1_800_000_000_000_000)


def failed(**changes: object) -> DeadLetter:
    record = Record("events", 3, 1027, Micros(AT - 5), b"p/t", b"\x00\xff", OURS)
    return DeadLetter(record._replace(**changes), Reason.MALFORMED, "no JSON", "decode", AT)  # type: ignore[arg-type]


def sent(letter: DeadLetter) -> Record:
    """The letter as it comes from the dead-letter topic."""
    return Record("dead", 0, 9, Micros(AT + 99), letter.record.key, letter.record.value, tuple(letter.headers()))


def test_a_row_has_the_bytes_the_headers_the_reason_and_the_origin() -> None:
    row = dead_letter_row(sent(failed()))
    assert row is not None
    assert row[:4] == ("events", 3, 1027, AT - 5)
    assert (row.project_id, row.reason, row.stage, row.detail) == ("p", "malformed", "decode", "no JSON")
    assert (row.key, row.value) == (b"p/t", b"\x00\xff")
    assert list(zip(row.header_names, row.header_values, strict=True)) == list(OURS)
    assert (row.attempts, row.first_failed_at, row.failed_at, row.replay_of) == (1, AT, AT, "")
    assert row.code_version == __version__


def test_a_letter_that_was_not_sent_has_the_same_row() -> None:
    assert row_of(failed()) == dead_letter_row(sent(failed()))


def test_it_stays_as_long_as_its_project_says() -> None:
    by_default, told = dead_letter_row(sent(failed())), dead_letter_row(sent(failed()), lambda *asked: hash(asked))
    assert by_default is not None and told is not None
    assert by_default.expires_at == expiry(by_default.failed_at, 90)
    assert told == by_default._replace(expires_at=hash((told.project_id, told.failed_at)))


def test_a_record_without_key_value_and_headers_stays_one_without() -> None:
    row = dead_letter_row(sent(failed(key=None, value=None, headers=())))
    assert row is not None
    assert (row.key, row.value, row.header_names, row.project_id) == (None, None, [], "")


def test_headers_without_a_value_are_kept_without_one() -> None:
    own = (("a", None), (headers.PROJECT, None), (headers.ATTEMPT, None), ("b", b""))
    row = dead_letter_row(sent(failed(headers=own)))
    assert row is not None
    assert list(zip(row.header_names, row.header_values, strict=True)) == list(own)
    assert (row.project_id, row.attempts) == ("p", 1)


def test_the_project_is_the_headers_or_the_keys() -> None:
    for key, own, project in (
        (b"k/t", (), "k"), (b"k/t", ((headers.PROJECT, b"h"),), "h"), (b"k", (), ""), (b"\xff/t", (), "\ufffd"),
    ):  # fmt: skip
        row = row_of(failed(key=key, headers=own))
        assert row.project_id == project


def test_a_replay_that_fails_again_counts_its_attempts_and_keeps_its_first_time() -> None:
    again = ((headers.ATTEMPT, b"3"), (headers.FIRST_FAILED, b"1700000000000000"), (headers.REPLAY_OF, b"events/3/7"))
    row = row_of(failed(headers=OURS + again))
    assert (row.attempts, row.first_failed_at, row.failed_at) == (3, 1_700_000_000_000_000, AT)
    assert row.replay_of == "events/3/7"


def test_headers_of_our_names_in_a_record_change_nothing() -> None:
    forged = (
        (headers.DEAD_OFFSET, b"1"), (headers.DEAD_KEPT, IN_TABLE), (headers.DEAD_REASON, b"mine"),
        (headers.ATTEMPT, b"-1"), (headers.FIRST_FAILED, b"9" * 19),
    )  # fmt: skip
    row = dead_letter_row(sent(failed(headers=forged)))
    assert row is not None
    assert (row.offset, row.reason, row.attempts, row.first_failed_at) == (1027, "malformed", 1, AT)


def test_somebody_elses_record_in_the_topic_is_a_letter_too() -> None:
    row = dead_letter_row(Record("dead", 0, 9, AT, None, b"hello", ((headers.DEAD_OFFSET, b"x" * 99),)))
    assert row is not None
    assert (row.topic, row.partition, row.offset, row.timestamp) == ("dead", 0, 9, AT)
    assert (row.reason, row.value, row.header_names) == ("unlabelled", b"hello", [headers.DEAD_OFFSET])


def test_numbers_that_are_none_are_put_right() -> None:
    letter = sent(failed())
    broken = tuple((name, b"99999999999999999999" if "dead" in name else value) for name, value in letter.headers)
    row = dead_letter_row(letter._replace(headers=broken))
    assert row is not None
    assert (row.partition, row.offset, row.timestamp, row.attempts) == (0, 0, AT + 99, 1)


def test_a_letter_whose_bytes_are_in_the_table_gives_no_row() -> None:
    letter = sent(failed())
    assert dead_letter_row(letter._replace(headers=(*letter.headers, (headers.DEAD_KEPT, IN_TABLE)))) is None
