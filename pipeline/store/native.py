"""Rows to one block of ClickHouse's Native format: column by column, as cheap as Python can make it.

Problem: a block must be encoded once, sent as often as it takes, and be the same bytes every time.
Rule: the columns are written by clickhouse-connect's own codecs, as a single block, so that an insert is one part per
partition or nothing. Money is written as the scaled integer that a Decimal column holds anyway; the codec's way over
text costs five times as much and checks no bounds.
Failure: a value that its column cannot hold raises `EncodeError` with the column's name; nothing is cut or clamped
but decimals beyond the twelfth, which are rounded half to even.
"""

import struct
from collections.abc import Callable, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from functools import lru_cache, partial
from itertools import accumulate
from typing import Any, NamedTuple

from clickhouse_connect.datatypes.base import ClickHouseType
from clickhouse_connect.datatypes.container import Map
from clickhouse_connect.datatypes.registry import get_from_name
from clickhouse_connect.driver import options
from clickhouse_connect.driver.common import write_leb128
from clickhouse_connect.driver.exceptions import Error as DriverError
from clickhouse_connect.driver.insert import InsertContext

from pipeline.errors import SpanfoldError
from pipeline.store.tables import Table

_ = options.np  # looked for at the first number that is written, 0.3 s; now, because the first flush must not wait
_VALUE_ERRORS = (DriverError, TypeError, ValueError, AttributeError, ArithmeticError, struct.error)
_WIDE = Context(prec=76, rounding=ROUND_HALF_EVEN)  # more digits than any Decimal column has
_PLACES = 12
_MONEY = (("Decimal(18, 12)", "Int64", 10**18), ("Decimal(38, 12)", "Int128", 10**38))  # type, its integer, bound


class EncodeError(SpanfoldError):
    """A value does not fit its column."""

    def __init__(self, table: str, column: str, cause: Exception) -> None:
        super().__init__(
            f"A value for {table}.{column} cannot be written: {type(cause).__name__}: {cause}.",
            remedy="The row is refused alone; its event goes to the dead letters.",
        )
        self.column = column


Write = Callable[[Sequence[Any], bytearray, InsertContext], None]


class _Column(NamedTuple):
    """How to write one column: name and type as the block announces them, and what appends the values."""

    header: bytes
    write: Write


def encode(table: Table, rows: Sequence[NamedTuple]) -> bytearray:
    """One uncompressed Native block of `rows` (at least one) for `table`; raises EncodeError."""
    columns = _columns(table.name, tuple(table.columns.items()))
    context = InsertContext(table.name, list(table.columns), [])
    block = bytearray()
    write_leb128(len(columns), block)
    write_leb128(len(rows), block)
    for name, column, values in zip(table.columns, columns, zip(*rows, strict=True), strict=True):
        block += column.header
        context.start_column(name)
        try:
            column.write(values, block, context)
        except _VALUE_ERRORS as error:
            raise EncodeError(table.name, name, error) from error
    return block


@lru_cache
def _columns(_table: str, columns: tuple[tuple[str, str], ...]) -> list[_Column]:
    return [_column(name, type_name) for name, type_name in columns]


def _column(name: str, type_name: str) -> _Column:
    header = bytearray()
    for text in (name.encode(), type_name.encode()):
        write_leb128(len(text), header)
        header += text
    return _Column(bytes(header), _writer(type_name))


def _writer(type_name: str) -> Write:
    for money, integer, bound in _MONEY:
        if money in type_name:
            codec = get_from_name(type_name.replace(money, integer))
            if isinstance(codec, Map):
                return partial(_write_money_maps, codec, bound)
            return partial(_write_money, codec, bound)
    writer: Write = get_from_name(type_name).write_column
    return writer


def _write_money(
    codec: ClickHouseType, bound: int, amounts: Sequence[Decimal | None], block: bytearray, context: InsertContext
) -> None:
    codec.write_column(_scale(bound, amounts), block, context)


def _write_money_maps(
    codec: Map, bound: int, maps: Sequence[dict[str, Decimal]], block: bytearray, context: InsertContext
) -> None:
    """A Map is the running count of its entries, then all keys, then all values. No dict is built on the way."""
    codec.write_column_prefix(block)
    block += struct.pack(f"<{len(maps)}Q", *accumulate(map(len, maps)))
    codec.key_type.write_column_data([key for amounts in maps for key in amounts], block, context)
    flat = [amount for amounts in maps for amount in amounts.values()]
    codec.value_type.write_column_data(_scale(bound, flat), block, context)


def _scale(bound: int, amounts: Sequence[Decimal | None]) -> list[int | None]:
    """Decimals to integers of 10^-12 smaller than `bound`. Equal amounts come often: each is converted once."""
    integers: dict[Decimal | None, int | None] = {None: None}
    for amount in set(amounts):
        if amount is not None:
            integer = int(_WIDE.to_integral_value(_WIDE.scaleb(amount, _PLACES)))
            if abs(integer) >= bound:
                raise OverflowError(f"{amount} has more digits before the point than its column")
            integers[amount] = integer
    return [integers[amount] for amount in amounts]
