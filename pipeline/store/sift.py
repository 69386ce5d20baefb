"""Finding the rows that are at fault in a block, all of them, without storing the block in crumbs.

Problem: halving a block until each bad row is alone takes some fifteen requests for every bad row, and leaves the good
ones in as many small parts. One project whose rows are refused would so slow everybody's inserts a hundredfold.
Rule, where ClickHouse names the row that violates a constraint (it names the first): rows are tried in slices, each
with a row at its end that is known to be bad. Such an insert always fails and stores nothing; if it fails at the last
row, the slice is clean, else the row that it names is bad and the rest of the slice is tried on. The clean rows are
then stored together.
Rule, where a value cannot be encoded: halves are encoded, nothing is sent.
Failure: where an answer names no row, the rows that are not decided are given back as clean; whoever stores them finds
out. Source of the message: ClickHouse, CheckConstraintsTransform, "is violated at row N", counted from 1.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from pipeline.store.error_codes import CODES
from pipeline.store.errors import error_code
from pipeline.store.native import EncodeError, encode
from pipeline.store.tables import Table

SLICE = 200  # rows, at first
_VIOLATED = 469
_ROW = re.compile(r"is violated at row (\d+)\.")
_EXPRESSION = re.compile(r"Expression: \((.*?)\)\. Column values:", re.DOTALL)  # what follows are the row's own values
_WORD = re.compile(r"\w+")

Attempt = Callable[[Sequence[NamedTuple]], Awaitable[Exception | None]]


class Refused(NamedTuple):
    """A row that ClickHouse does not take, whatever its neighbours; `code` is None where encoding failed already."""

    row: NamedTuple
    code: int | None
    message: str

    @property
    def is_known(self) -> bool:
        """Whether somebody has said that this is a row's fault, or it was found out by experiment."""
        return self.code is None or self.code in CODES


class Sifted(NamedTuple):
    """Rows that are not known to be at fault, in their order, and those that are."""

    clean: list[NamedTuple]
    refused: list[Refused]


def violated_row(error: Exception, rows: int) -> int | None:
    """Index of the row that a constraint refuses, where the error names one of `rows` rows."""
    if error_code(error) != _VIOLATED:
        return None
    found = _ROW.search(str(error))
    index = int(found.group(1)) - 1 if found else -1
    return index if 0 <= index < rows else None


async def sift(rows: Sequence[NamedTuple], first: Exception, attempt: Attempt) -> Sifted | None:
    """Find all that a constraint refuses; `first` is how the whole failed. None where it names no row."""
    at = violated_row(first, len(rows))
    if at is None:
        return None
    known_bad, alike = rows[at], Alike()
    sifted = Sifted(list(rows[:at]), [alike.refuse(known_bad, first)])
    rest, size = rows[at + 1 :], SLICE
    while rest:
        some, rest = alike.without(rest[:size], sifted.refused), rest[size:]
        if not some:
            continue
        error = await attempt([*some, known_bad])
        found = None if error is None else violated_row(error, len(some) + 1)
        if error is None or found is None:
            sifted.clean.extend(some)
            continue
        sifted.clean.extend(some[:found])
        if found == len(some):
            size *= 2
            continue
        sifted.refused.append(alike.refuse(some[found], error))
        rest, size = [*some[found + 1 :], *rest], max(size // 2, SLICE)
    return sifted


class Alike:
    """Rows that equal a refused one in every column that the constraint's expression names."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], dict[str, Refused]] = {}  # columns -> their values -> how it was refused

    def refuse(self, row: NamedTuple, error: Exception) -> Refused:
        """Remember a row that was refused."""
        refused = Refused(row, error_code(error), str(error))
        expression = _EXPRESSION.search(str(error))
        words = set(_WORD.findall(expression.group(1))) if expression else set()
        if columns := tuple(name for name in row._fields if name in words):
            self._known.setdefault(columns, {})[_values(row, columns)] = refused
        return refused

    def without(self, rows: Sequence[NamedTuple], refused: list[Refused]) -> Sequence[NamedTuple]:
        """The rows that are like none of these; the others are appended to `refused`."""
        for columns, known in self._known.items():
            verdicts = [(row, known.get(_values(row, columns))) for row in rows]
            refused += [like._replace(row=row) for row, like in verdicts if like is not None]
            rows = [row for row, like in verdicts if like is None]
        return rows


def _values(row: NamedTuple, columns: tuple[str, ...]) -> str:
    return repr([getattr(row, column) for column in columns])


def sift_encodable(table: Table, rows: Sequence[NamedTuple]) -> Sifted:
    """Find all rows with a value that its column cannot hold."""
    try:
        encode(table, rows)
    except EncodeError as error:
        if len(rows) == 1:
            return Sifted([], [Refused(rows[0], None, str(error))])
        middle = len(rows) // 2
        left, right = sift_encodable(table, rows[:middle]), sift_encodable(table, rows[middle:])
        return Sifted(left.clean + right.clean, left.refused + right.refused)
    return Sifted(list(rows), [])
