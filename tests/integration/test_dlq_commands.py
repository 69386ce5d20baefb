"""The dead-letter commands on real tables: choices, marks that delete nothing, replays that change nothing twice."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from clickhouse_connect.driver.client import Client

from pipeline.events import headers
from pipeline.events.model import Micros, Record
from pipeline.events.reasons import Reason
from pipeline.ops.dlq import letters as letters_module
from pipeline.ops.dlq.letters import Choice, Content, Letter, contents, counts, newest, pages, sql
from pipeline.ops.dlq.replay import Report, record_headers, replay
from pipeline.ops.kafka_admin import BrokerUnreachableError
from pipeline.ops.moments import moment
from pipeline.store.native import encode
from pipeline.store.tables import DEAD_LETTER_STATES, DEAD_LETTERS, TABLES
from pipeline.stream.dead_letter_row import row_of
from pipeline.stream.deadletters import DeadLetter
from tests.fixtures.clickhouse import ClickHouseProcess
from tests.fixtures.store import migrated

START = 1_795_600_000_000_000  # 2026-11-25 09:46:40 UTC
MINUTE = 60_000_000
TOPICS = frozenset({"events"})


@pytest.fixture(scope="module")
def tables(clickhouse: ClickHouseProcess) -> Iterator[Client]:
    """One database for all; each test finds its own letters."""
    name = f"dlq_{uuid4().hex}"
    with migrated(clickhouse.url, name) as client:
        yield client
        client.command(f"DROP DATABASE {name} SYNC")


@pytest.fixture
def store(tables: Client) -> Client:
    """Ten letters: a minute apart, of two projects and two reasons; the last of a topic that is not read."""
    for table in (DEAD_LETTERS, DEAD_LETTER_STATES):
        tables.command(f"TRUNCATE TABLE {table}")
    put(tables, *(letter(number) for number in range(9)), letter(9, topic="elsewhere"))
    return tables


def letter(number: int, *, at: int = 0, **changes: Any) -> DeadLetter:
    reason = Reason.INVALID if number % 3 else Reason.MALFORMED
    project = b"one" if number % 2 else b"two"
    record = Record(
        "events", 1, number, Micros(START), project + b"/t", b"\x00\xff%d" % number, ((headers.PROJECT, project),)
    )
    failed_at = Micros(at or START + number * MINUTE)
    return DeadLetter(record._replace(**changes), reason, f"detail {number}", "decode", failed_at)


def put(client: Client, *letters: DeadLetter) -> None:
    table = TABLES[DEAD_LETTERS]
    rows = [row_of(each) for each in letters]
    client.raw_insert(table.name, list(table.columns), bytes(encode(table, rows)), fmt="Native")


def offsets(letters: list[Letter]) -> list[int]:
    return [each.offset for each in letters]


class Topic:
    """Takes what is sent, but for offsets that are too large; away after so many."""

    def __init__(self, *, too_large: int = -1, away_after: int = 1_000) -> None:
        self.sent: list[tuple[str, int, Content]] = []
        self._too_large, self._away_after = too_large, away_after

    async def send(self, topic: str, letter: Letter, content: Content) -> bool:
        if len(self.sent) >= self._away_after:
            raise BrokerUnreachableError("away")
        if letter.offset == self._too_large:
            return False
        self.sent.append((topic, letter.offset, content))
        return True

    def offsets(self) -> list[int]:
        return [offset for _, offset, _ in self.sent]


def replayed(client: Client, choice: Choice, topic: Topic, rate: float = 0.0) -> Report:
    report = Report(sum(each.letters for each in counts(client, choice)))
    asyncio.run(replay(client, choice, topic, TOPICS, report, rate=rate))
    return report


OPEN = Choice(state="open")


@pytest.mark.parametrize(
    ("choice", "chosen"),
    [
        (Choice(), range(10)),
        (Choice(reason="malformed"), [0, 3, 6, 9]),
        (Choice(project="one"), [1, 3, 5, 7, 9]),
        (Choice(project=""), []),
        (Choice(ids=("events/1/4", "events/1/6", "events/1/99")), [4, 6]),
        (Choice(start=moment("", "2026-11-25T09:48:40"), until=moment("", "2026-11-25T09:50:40")), [2, 3]),
        (Choice(reason="malformed", project="one", start=moment("", "2026-11-25T09:50:00")), [9]),
        (Choice(state="replayed"), []),
        (Choice(project="' OR 1 --"), []),
    ],
)
def test_letters_are_chosen(store: Client, choice: Choice, chosen: list[int]) -> None:
    assert offsets(newest(store, choice, 100)) == sorted(chosen, reverse=True)
    assert [offset for page in pages(store, choice) for offset in offsets(page)] == list(chosen)
    assert sum(each.letters for each in counts(store, choice)) == len(chosen)


def test_pages_hold_all_letters_once(store: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    put(store, *(letter(number, at=START) for number in range(20, 40)))  # the same moment
    for page, size in ((3, 10**9), (1, 10**9), (100, 1), (100, 7)):
        monkeypatch.setattr(letters_module, "PAGE", page)
        monkeypatch.setattr(letters_module, "PAGE_BYTES", size)
        found = [offset for page_ in pages(store, Choice()) for offset in offsets(page_)]
        assert sorted(found) == [*range(10), *range(20, 40)]


def test_a_replay_sends_the_records_as_they_were_and_marks_them(store: Client) -> None:
    topic = Topic()
    report = replayed(store, OPEN, topic)
    assert (report.chosen, report.replayed, report.skipped, report.failed) == (10, 9, 1, 0)
    assert topic.offsets() == list(range(9)), "those that failed first go first"
    _, _, content = topic.sent[3]
    assert content == Content(b"one/t", b"\x00\xff3", [(headers.PROJECT, b"one")])
    assert offsets(newest(store, OPEN, 100)) == [9], "what is not read here stays open"
    assert replayed(store, OPEN, topic).replayed == 0, "what was sent is not open any more"


def test_a_replay_that_broke_off_goes_on(store: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(letters_module, "PAGE", 2)
    topic = Topic(away_after=4)
    with pytest.raises(BrokerUnreachableError):
        replayed(store, OPEN, topic)
    again = Topic()
    replayed(store, OPEN, again)
    assert topic.offsets() + again.offsets() == list(range(9))


def test_what_a_topic_does_not_take_stays_open(store: Client) -> None:
    report = replayed(store, Choice(project="two", state="open"), Topic(too_large=4))
    assert (report.replayed, report.failed) == (4, 1)
    assert offsets(newest(store, Choice(project="two", state="open"), 100)) == [4]


def test_a_letter_that_failed_again_is_open_again_and_counts_its_tries(store: Client) -> None:
    choice = Choice(ids=("events/1/5",))
    replayed(store, choice, Topic())
    [before] = newest(store, choice, 1)
    put(store, letter(5, at=2 * START))
    [after] = newest(store, choice, 1)
    assert (before.state, before.attempts, after.state, after.attempts) == ("replayed", 1, "open", 2)
    assert dict(record_headers(after, Content(None, None, [(headers.ATTEMPT, b"7"), ("mine", b"1")]))) == {
        "mine": b"1", headers.ATTEMPT: b"3", headers.FIRST_FAILED: str(2 * START).encode(),
        headers.REPLAY_OF: b"events/1/5",
    }  # fmt: skip


def test_what_fails_while_letters_are_replayed_is_not_replayed_by_the_same_run(store: Client) -> None:
    class Failing(Topic):
        async def send(self, topic: str, letter_: Letter, content: Content) -> bool:
            put(store, letter(100 + letter_.offset, at=2 * START))
            return await super().send(topic, letter_, content)

    topic = Failing()
    replayed(store, OPEN, topic)
    assert topic.offsets() == list(range(9))


def test_a_letter_that_comes_twice_is_one(store: Client) -> None:
    for _ in range(3):
        put(store, letter(3))
    assert offsets(newest(store, Choice(ids=("events/1/3",)), 100)) == [3]


def test_a_discarded_letter_keeps_its_bytes_and_is_no_longer_open(store: Client) -> None:
    choice = Choice(reason="malformed", state="open")
    store.command(sql("discard"), parameters=choice.parameters() | {"note": "it's a \\ test"})
    assert offsets(newest(store, OPEN, 100)) == [8, 7, 5, 4, 2, 1]
    notes = store.query("SELECT DISTINCT note FROM dead_letters WHERE state = 'discarded'").result_rows
    assert notes == [("it's a \\ test",)]
    discarded = newest(store, Choice(state="discarded"), 100)
    values = {content.value for content in contents(store, discarded).values()}
    assert values == {b"\x00\xff%d" % number for number in (0, 3, 6, 9)}
    put(store, letter(3, at=2 * START))
    assert offsets(newest(store, Choice(state="discarded"), 100)) == [3, 9, 6, 0], "it failed again: still not wanted"


def test_of_a_topic_that_was_made_anew_both_records_are_kept(store: Client) -> None:
    put(store, letter(3, timestamp=Micros(2 * START), value=b"other"))
    both = newest(store, Choice(ids=("events/1/3",)), 100)
    assert {content.value for content in contents(store, both).values()} == {b"\x00\xff3", b"other"}


def test_json_and_text_show_a_letter(store: Client, capsys: pytest.CaptureFixture[str]) -> None:
    from pipeline.ops.dlq.show import print_counts, print_letter, print_letters

    put(store, letter(50, value='{"text": "\x1b[31m日本"}'.encode(), key=None))
    [shown] = newest(store, Choice(ids=("events/1/50",)), 1)
    content = contents(store, [shown])[shown.place]
    print_letter(shown, content, as_json=False)
    text = capsys.readouterr().out
    assert "\\x1b[31m日本" in text
    assert "\x1b" not in text
    print_letter(shown, content, as_json=True)
    assert json.loads(capsys.readouterr().out)["id"] == "events/1/50"
    print_letters([shown], 11, as_json=False)
    print_counts(counts(store, Choice()), as_json=False)
    assert "11 dead letters" in capsys.readouterr().out
