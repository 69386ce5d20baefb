"""Which dead letters a command is about, and what the table holds of them.

Rule: lists never read the records' bytes, which may be megabytes each; they are read for a few letters at a time.
Failure: StoreError and clickhouse-connect's errors pass through.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from clickhouse_connect.driver.client import Client

from pipeline.errors import SettingError
from pipeline.events.reasons import Reason

SQL = Path(__file__).parent / "sql"
STATES = ("open", "replayed", "discarded")
ANY = "any"
PAGE = 5_000  # letters; a page is a look at the whole table
PAGE_BYTES = 16 * 2**20  # of their records, read at a time
PAGE_RECORDS = 500  # and so many of them
_AS_INTEGERS = {"DateTime64": "int"}
_AS_BYTES: dict[str, str | dict[str, str]] = {"key": "bytes", "value": "bytes", "header_values": "bytes"}
_ALWAYS = (datetime(1970, 1, 1, tzinfo=UTC), datetime(2261, 1, 1, tzinfo=UTC))

Place = tuple[str, int, int, int]  # topic, partition, offset, timestamp (microseconds)


@dataclass(frozen=True, slots=True)
class Choice:
    """Dead letters by id, reason, project, state and time of the last failure (from included, until excluded)."""

    ids: tuple[str, ...] = ()
    reason: str = ""
    project: str | None = None  # '' for those whose project nothing tells
    state: str = ANY
    start: datetime = _ALWAYS[0]
    until: datetime = _ALWAYS[1]

    def check(self) -> None:
        """Raises SettingError for a reason, state or id that cannot be."""
        if self.reason and self.reason not in set(Reason):
            raise SettingError(f"--reason is {self.reason!r}.", remedy=f"One of: {', '.join(sorted(Reason))}.")
        if self.state not in (*STATES, ANY):
            raise SettingError(f"--state is {self.state!r}.", remedy=f"One of: {', '.join((*STATES, ANY))}.")
        for id_ in self.ids:
            if not is_id(id_):
                raise SettingError(
                    f"{id_!r} is no dead letter's id.", remedy="It is TOPIC/PARTITION/OFFSET; `spanfold dlq ls` shows."
                )

    def parameters(self) -> dict[str, Any]:
        """As the queries name them."""
        return {
            "ids": " ".join(self.ids),
            "reason": self.reason,
            "any_project": int(self.project is None),
            "project": self.project or "",
            "state": self.state,
            "start": _text(self.start),
            "until": _text(self.until),
        }


class Letter(NamedTuple):
    """A dead letter without its bytes; times in microseconds, `size` in bytes."""

    id: str
    project_id: str
    reason: str
    stage: str
    detail: str
    state: str
    state_at: int | None
    attempts: int
    first_failed_at: int
    failed_at: int
    replay_of: str
    code_version: str
    topic: str
    partition: int
    offset: int
    timestamp: int
    replays: int
    size: int

    @property
    def place(self) -> Place:
        """Which record it is."""
        return self.topic, self.partition, self.offset, self.timestamp


class Content(NamedTuple):
    """The record of a dead letter as it came."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]


class Count(NamedTuple):
    """Letters of one kind; times in microseconds."""

    project_id: str
    reason: str
    state: str
    letters: int
    first: int
    last: int


def newest(client: Client, choice: Choice, limit: int) -> list[Letter]:
    """The chosen letters that failed last."""
    result = client.query(_sql("newest"), choice.parameters() | {"limit": limit}, query_formats=_AS_INTEGERS)
    return [Letter(*row) for row in result.result_rows]


def counts(client: Client, choice: Choice) -> list[Count]:
    """How many are chosen, by kind."""
    result = client.query(_sql("counts"), choice.parameters(), query_formats=_AS_INTEGERS)
    return [Count(*row) for row in result.result_rows]


def pages(client: Client, choice: Choice) -> Iterator[list[Letter]]:
    """The chosen letters in the order of their failures, as many at a time as are handled with ease."""
    after = {"failed_at": 0, "topic": "", "partition": 0, "offset": 0, "timestamp": 0}
    while True:
        parameters = choice.parameters() | after | {"limit": PAGE}
        letters = [
            Letter(*row) for row in client.query(_sql("page"), parameters, query_formats=_AS_INTEGERS).result_rows
        ]
        yield from _by_bytes(letters)
        if len(letters) < PAGE:
            return
        after = {name: getattr(letters[-1], name) for name in after}


def contents(client: Client, letters: Sequence[Letter]) -> dict[Place, Content]:
    """The records of these letters."""
    places = tuple((letter.topic, letter.partition, letter.offset) for letter in letters)
    result = client.query(_sql("contents"), {"places": places}, query_formats=_AS_INTEGERS, column_formats=_AS_BYTES)
    found: dict[Place, Content] = {}
    for topic, partition, offset, timestamp, key, value, names, values in result.result_rows:
        headers = list(zip(names, values, strict=True))
        found[topic, partition, offset, timestamp] = Content(key, value, headers)
    return found


def sql(name: str) -> str:
    """The text of a query, the choice filled in."""
    return _sql(name)


def is_id(text: str) -> bool:
    """True for TOPIC/PARTITION/OFFSET."""
    topic, _, place = text.partition("/")
    partition, _, offset = place.partition("/")
    return bool(topic) and partition.isdecimal() and offset.isdecimal() and " " not in text


def _by_bytes(letters: Sequence[Letter]) -> Iterator[list[Letter]]:
    page: list[Letter] = []
    size = 0
    for letter in letters:
        if page and (size + letter.size > PAGE_BYTES or len(page) == PAGE_RECORDS):
            yield page
            page, size = [], 0
        page.append(letter)
        size += letter.size
    if page:
        yield page


@cache
def _sql(name: str) -> str:
    chosen = (SQL / "chosen.sql").read_text("utf-8").strip()
    return (SQL / f"{name}.sql").read_text("utf-8").replace("{chosen}", chosen)


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
