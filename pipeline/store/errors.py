"""What a failed insert means: wait and send it again, or look for the row that is at fault.

Problem: ClickHouse has some 800 error codes. Retrying one that a row causes stops the pipeline; refusing rows for one
that the server causes loses them.
Rule: a table of codes, each with its class and where that class comes from. Errors without a code are the network's
and are retried. A code that is not in the table is UNKNOWN: insert.py finds out by experiment.
Sources: "connector", what ClickHouse's Kafka Connect sink or Java client retry (their documentation and
`isRetryable`); "engine", what the error means in the engine's own source; "operator", somebody has to act (grant,
migrate, add disk) while the rows are innocent: blocks carry the types that the tables have, so even a type mismatch
says that a migration is missing, not that a row is bad.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Literal, NamedTuple

from clickhouse_connect.driver.exceptions import Error as DriverError

from pipeline.errors import SpanfoldError
from pipeline.store.native import EncodeError


class StoreError(SpanfoldError):
    """ClickHouse cannot be reached, or does not hold what it should."""


class Blame(StrEnum):
    """What is at fault when an insert fails, and so what to do."""

    SERVER = "server"  # retried for ever
    SIZE = "size"  # retried, then halved; a single row is retried for ever
    ROW = "row"  # halved until the row is alone, which is refused
    UNKNOWN = "unknown"  # told apart by experiment


class Code(NamedTuple):
    """One ClickHouse error code; a test asks the engine whether the names are right."""

    name: str
    blame: Blame
    source: Literal["connector", "engine", "operator"]


_TABLE = {
    3: Code("UNEXPECTED_END_OF_FILE", Blame.SERVER, "connector"),
    6: Code("CANNOT_PARSE_TEXT", Blame.ROW, "engine"),
    16: Code("NO_SUCH_COLUMN_IN_TABLE", Blame.SERVER, "operator"),
    20: Code("NUMBER_OF_COLUMNS_DOESNT_MATCH", Blame.SERVER, "operator"),
    33: Code("CANNOT_READ_ALL_DATA", Blame.SERVER, "engine"),
    38: Code("CANNOT_PARSE_DATE", Blame.ROW, "engine"),
    41: Code("CANNOT_PARSE_DATETIME", Blame.ROW, "engine"),
    43: Code("ILLEGAL_TYPE_OF_ARGUMENT", Blame.SERVER, "operator"),
    44: Code("ILLEGAL_COLUMN", Blame.SERVER, "operator"),
    53: Code("TYPE_MISMATCH", Blame.SERVER, "operator"),
    60: Code("UNKNOWN_TABLE", Blame.SERVER, "operator"),
    69: Code("ARGUMENT_OUT_OF_BOUND", Blame.ROW, "engine"),
    70: Code("CANNOT_CONVERT_TYPE", Blame.SERVER, "operator"),
    72: Code("CANNOT_PARSE_NUMBER", Blame.ROW, "engine"),
    74: Code("CANNOT_READ_FROM_FILE_DESCRIPTOR", Blame.SERVER, "engine"),
    75: Code("CANNOT_WRITE_TO_FILE_DESCRIPTOR", Blame.SERVER, "engine"),
    76: Code("CANNOT_OPEN_FILE", Blame.SERVER, "engine"),
    81: Code("UNKNOWN_DATABASE", Blame.SERVER, "operator"),
    107: Code("FILE_DOESNT_EXIST", Blame.SERVER, "connector"),
    115: Code("UNKNOWN_SETTING", Blame.SERVER, "operator"),
    117: Code("INCORRECT_DATA", Blame.ROW, "engine"),
    128: Code("TOO_LARGE_ARRAY_SIZE", Blame.ROW, "engine"),
    131: Code("TOO_LARGE_STRING_SIZE", Blame.ROW, "engine"),
    159: Code("TIMEOUT_EXCEEDED", Blame.SERVER, "connector"),
    160: Code("TOO_SLOW", Blame.SERVER, "engine"),
    164: Code("READONLY", Blame.SERVER, "connector"),
    173: Code("CANNOT_ALLOCATE_MEMORY", Blame.SERVER, "engine"),
    190: Code("SIZES_OF_ARRAYS_DONT_MATCH", Blame.ROW, "engine"),
    192: Code("UNKNOWN_USER", Blame.SERVER, "operator"),
    193: Code("WRONG_PASSWORD", Blame.SERVER, "operator"),
    194: Code("REQUIRED_PASSWORD", Blame.SERVER, "operator"),
    198: Code("DNS_ERROR", Blame.SERVER, "engine"),
    201: Code("QUOTA_EXCEEDED", Blame.SERVER, "engine"),
    202: Code("TOO_MANY_SIMULTANEOUS_QUERIES", Blame.SERVER, "connector"),
    203: Code("NO_FREE_CONNECTION", Blame.SERVER, "connector"),
    209: Code("SOCKET_TIMEOUT", Blame.SERVER, "connector"),
    210: Code("NETWORK_ERROR", Blame.SERVER, "connector"),
    218: Code("TABLE_IS_DROPPED", Blame.SERVER, "engine"),
    225: Code("NO_ZOOKEEPER", Blame.SERVER, "engine"),
    236: Code("ABORTED", Blame.SERVER, "engine"),
    241: Code("MEMORY_LIMIT_EXCEEDED", Blame.SIZE, "connector"),
    242: Code("TABLE_IS_READ_ONLY", Blame.SERVER, "connector"),
    243: Code("NOT_ENOUGH_SPACE", Blame.SERVER, "operator"),
    244: Code("UNEXPECTED_ZOOKEEPER_ERROR", Blame.SERVER, "engine"),
    252: Code("TOO_MANY_PARTS", Blame.SERVER, "connector"),
    254: Code("NO_ACTIVE_REPLICAS", Blame.SERVER, "engine"),
    265: Code("NO_AVAILABLE_REPLICA", Blame.SERVER, "engine"),
    279: Code("ALL_CONNECTION_TRIES_FAILED", Blame.SERVER, "engine"),
    285: Code("TOO_FEW_LIVE_REPLICAS", Blame.SERVER, "connector"),
    286: Code("UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE", Blame.SERVER, "engine"),
    307: Code("TOO_MANY_BYTES", Blame.SIZE, "engine"),
    319: Code("UNKNOWN_STATUS_OF_INSERT", Blame.SERVER, "connector"),
    321: Code("VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE", Blame.ROW, "engine"),
    349: Code("CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN", Blame.ROW, "engine"),
    364: Code("RECEIVED_ERROR_TOO_MANY_REQUESTS", Blame.SERVER, "engine"),
    384: Code("PART_IS_TEMPORARILY_LOCKED", Blame.SERVER, "engine"),
    394: Code("QUERY_WAS_CANCELLED", Blame.SERVER, "engine"),
    407: Code("DECIMAL_OVERFLOW", Blame.ROW, "engine"),
    410: Code("EXTERNAL_SERVER_IS_NOT_RESPONDING", Blame.SERVER, "engine"),
    425: Code("SYSTEM_ERROR", Blame.SERVER, "connector"),
    439: Code("CANNOT_SCHEDULE_TASK", Blame.SERVER, "engine"),
    469: Code("VIOLATED_CONSTRAINT", Blame.ROW, "engine"),
    473: Code("DEADLOCK_AVOIDED", Blame.SERVER, "engine"),
    497: Code("ACCESS_DENIED", Blame.SERVER, "operator"),
    499: Code("S3_ERROR", Blame.SERVER, "engine"),
    516: Code("AUTHENTICATION_FAILED", Blame.SERVER, "operator"),
    574: Code("DISTRIBUTED_TOO_MANY_PENDING_BYTES", Blame.SERVER, "engine"),
    691: Code("UNKNOWN_ELEMENT_OF_ENUM", Blame.ROW, "engine"),
    692: Code("TOO_MANY_MUTATIONS", Blame.SERVER, "engine"),
    733: Code("TABLE_IS_BEING_RESTARTED", Blame.SERVER, "engine"),
    745: Code("SERVER_OVERLOADED", Blame.SERVER, "engine"),
    763: Code("SESSION_REFUSED", Blame.SERVER, "engine"),
    999: Code("KEEPER_EXCEPTION", Blame.SERVER, "connector"),
    1002: Code("UNKNOWN_EXCEPTION", Blame.SERVER, "connector"),
}
CODES: Mapping[int, Code] = MappingProxyType(_TABLE)

_HTTP_STATUS = re.compile(r"HTTP driver received HTTP status (\d{3})")
_CLIENT_STATUSES = range(400, 500)
_RETRIED_STATUSES = frozenset({401, 403, 404, 408, 425, 429})  # a proxy's answer while the store is away or locked


def blame(error: Exception) -> Blame:
    """Who is at fault for `error`, raised by encoding or sending a block."""
    if isinstance(error, EncodeError):
        return Blame.ROW
    code = error_code(error)
    if code is not None:
        return CODES[code].blame if code in CODES else Blame.UNKNOWN
    status = _HTTP_STATUS.search(str(error))
    if status is None:
        return Blame.SERVER
    number = int(status.group(1))
    if number == 413:  # content too large: a proxy's limit
        return Blame.SIZE
    if number in _CLIENT_STATUSES and number not in _RETRIED_STATUSES:
        return Blame.UNKNOWN
    return Blame.SERVER


def error_code(error: Exception) -> int | None:
    """ClickHouse's error code, or None where the error is not one of the engine's."""
    return error.code if isinstance(error, DriverError) else None
