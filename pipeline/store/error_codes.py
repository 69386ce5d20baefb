"""Which of ClickHouse's error codes say that a row is at fault, and which that the server is: one table.

Sources: "connector", what ClickHouse's Kafka Connect sink or Java client retry (their documentation and
`isRetryable`); "engine", what the error means in the engine's own source (where it is thrown); "operator", somebody
has to act (grant, migrate, add disk) while the rows are innocent: blocks carry the types that the tables have, so even
a type mismatch says that a migration is missing, not that a row is bad, and an unknown table that one is under way.
Left out on purpose: LOGICAL_ERROR (49), BAD_ARGUMENTS (36), STD_EXCEPTION (1001) and others that the engine throws for
both. A code that is not in the table is UNKNOWN: insert.py finds out by experiment, and says so loudly.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Literal, NamedTuple


class Blame(StrEnum):
    """What is at fault when an insert fails, and so what to do."""

    SERVER = "server"  # retried for ever
    MEMORY = "memory"  # retried, then halved; a single row is retried for minutes, then told apart by experiment
    SIZE = "size"  # a limit: retried a little, then halved; a single row is told apart by experiment
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
    8: Code("THERE_IS_NO_COLUMN", Blame.SERVER, "operator"),
    10: Code("NOT_FOUND_COLUMN_IN_BLOCK", Blame.SERVER, "operator"),
    16: Code("NO_SUCH_COLUMN_IN_TABLE", Blame.SERVER, "operator"),
    19: Code("SIZE_OF_FIXED_STRING_DOESNT_MATCH", Blame.ROW, "engine"),
    20: Code("NUMBER_OF_COLUMNS_DOESNT_MATCH", Blame.SERVER, "operator"),
    23: Code("CANNOT_READ_FROM_ISTREAM", Blame.SERVER, "engine"),
    25: Code("CANNOT_PARSE_ESCAPE_SEQUENCE", Blame.ROW, "engine"),
    26: Code("CANNOT_PARSE_QUOTED_STRING", Blame.ROW, "engine"),
    27: Code("CANNOT_PARSE_INPUT_ASSERTION_FAILED", Blame.ROW, "engine"),
    32: Code("ATTEMPT_TO_READ_AFTER_EOF", Blame.SERVER, "engine"),
    33: Code("CANNOT_READ_ALL_DATA", Blame.SERVER, "engine"),
    38: Code("CANNOT_PARSE_DATE", Blame.ROW, "engine"),
    39: Code("TOO_LARGE_SIZE_COMPRESSED", Blame.SIZE, "engine"),
    40: Code("CHECKSUM_DOESNT_MATCH", Blame.SERVER, "engine"),
    41: Code("CANNOT_PARSE_DATETIME", Blame.ROW, "engine"),
    43: Code("ILLEGAL_TYPE_OF_ARGUMENT", Blame.SERVER, "operator"),
    44: Code("ILLEGAL_COLUMN", Blame.SERVER, "operator"),
    46: Code("UNKNOWN_FUNCTION", Blame.SERVER, "operator"),
    47: Code("UNKNOWN_IDENTIFIER", Blame.SERVER, "operator"),
    50: Code("UNKNOWN_TYPE", Blame.SERVER, "operator"),
    53: Code("TYPE_MISMATCH", Blame.SERVER, "operator"),
    60: Code("UNKNOWN_TABLE", Blame.SERVER, "operator"),
    69: Code("ARGUMENT_OUT_OF_BOUND", Blame.ROW, "engine"),
    70: Code("CANNOT_CONVERT_TYPE", Blame.SERVER, "operator"),
    72: Code("CANNOT_PARSE_NUMBER", Blame.ROW, "engine"),
    74: Code("CANNOT_READ_FROM_FILE_DESCRIPTOR", Blame.SERVER, "engine"),
    75: Code("CANNOT_WRITE_TO_FILE_DESCRIPTOR", Blame.SERVER, "engine"),
    76: Code("CANNOT_OPEN_FILE", Blame.SERVER, "engine"),
    77: Code("CANNOT_CLOSE_FILE", Blame.SERVER, "engine"),
    81: Code("UNKNOWN_DATABASE", Blame.SERVER, "operator"),
    95: Code("CANNOT_READ_FROM_SOCKET", Blame.SERVER, "engine"),
    96: Code("CANNOT_WRITE_TO_SOCKET", Blame.SERVER, "engine"),
    99: Code("UNKNOWN_PACKET_FROM_CLIENT", Blame.SERVER, "engine"),
    101: Code("UNEXPECTED_PACKET_FROM_CLIENT", Blame.SERVER, "engine"),
    107: Code("FILE_DOESNT_EXIST", Blame.SERVER, "connector"),
    115: Code("UNKNOWN_SETTING", Blame.SERVER, "operator"),
    117: Code("INCORRECT_DATA", Blame.ROW, "engine"),
    128: Code("TOO_LARGE_ARRAY_SIZE", Blame.ROW, "engine"),
    131: Code("TOO_LARGE_STRING_SIZE", Blame.ROW, "engine"),
    158: Code("TOO_MANY_ROWS", Blame.SIZE, "engine"),
    159: Code("TIMEOUT_EXCEEDED", Blame.SERVER, "connector"),
    160: Code("TOO_SLOW", Blame.SERVER, "engine"),
    164: Code("READONLY", Blame.SERVER, "connector"),
    172: Code("CANNOT_CREATE_DIRECTORY", Blame.SERVER, "engine"),
    173: Code("CANNOT_ALLOCATE_MEMORY", Blame.MEMORY, "engine"),
    190: Code("SIZES_OF_ARRAYS_DONT_MATCH", Blame.ROW, "engine"),
    192: Code("UNKNOWN_USER", Blame.SERVER, "operator"),
    193: Code("WRONG_PASSWORD", Blame.SERVER, "operator"),
    194: Code("REQUIRED_PASSWORD", Blame.SERVER, "operator"),
    195: Code("IP_ADDRESS_NOT_ALLOWED", Blame.SERVER, "operator"),
    198: Code("DNS_ERROR", Blame.SERVER, "engine"),
    201: Code("QUOTA_EXCEEDED", Blame.SERVER, "engine"),
    202: Code("TOO_MANY_SIMULTANEOUS_QUERIES", Blame.SERVER, "connector"),
    203: Code("NO_FREE_CONNECTION", Blame.SERVER, "connector"),
    204: Code("CANNOT_FSYNC", Blame.SERVER, "engine"),
    209: Code("SOCKET_TIMEOUT", Blame.SERVER, "connector"),
    210: Code("NETWORK_ERROR", Blame.SERVER, "connector"),
    214: Code("CANNOT_STATVFS", Blame.SERVER, "engine"),
    216: Code("QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING", Blame.SERVER, "engine"),
    218: Code("TABLE_IS_DROPPED", Blame.SERVER, "engine"),
    225: Code("NO_ZOOKEEPER", Blame.SERVER, "engine"),
    236: Code("ABORTED", Blame.SERVER, "engine"),
    241: Code("MEMORY_LIMIT_EXCEEDED", Blame.MEMORY, "connector"),
    242: Code("TABLE_IS_READ_ONLY", Blame.SERVER, "connector"),
    243: Code("NOT_ENOUGH_SPACE", Blame.SERVER, "operator"),
    244: Code("UNEXPECTED_ZOOKEEPER_ERROR", Blame.SERVER, "engine"),
    246: Code("CORRUPTED_DATA", Blame.SERVER, "operator"),
    248: Code("INVALID_PARTITION_VALUE", Blame.ROW, "engine"),
    252: Code("TOO_MANY_PARTS", Blame.SERVER, "connector"),
    254: Code("NO_ACTIVE_REPLICAS", Blame.SERVER, "engine"),
    255: Code("TOO_MANY_RETRIES_TO_FETCH_PARTS", Blame.SERVER, "engine"),
    265: Code("NO_AVAILABLE_REPLICA", Blame.SERVER, "engine"),
    271: Code("CANNOT_DECOMPRESS", Blame.SERVER, "engine"),
    279: Code("ALL_CONNECTION_TRIES_FAILED", Blame.SERVER, "engine"),
    285: Code("TOO_FEW_LIVE_REPLICAS", Blame.SERVER, "connector"),
    286: Code("UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE", Blame.SERVER, "engine"),
    291: Code("DATABASE_ACCESS_DENIED", Blame.SERVER, "operator"),
    294: Code("CANNOT_WRITE_TO_FILE", Blame.SERVER, "engine"),
    297: Code("SHARD_HAS_NO_CONNECTIONS", Blame.SERVER, "engine"),
    307: Code("TOO_MANY_BYTES", Blame.SIZE, "engine"),
    319: Code("UNKNOWN_STATUS_OF_INSERT", Blame.SERVER, "connector"),
    321: Code("VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE", Blame.ROW, "engine"),
    349: Code("CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN", Blame.ROW, "engine"),
    364: Code("RECEIVED_ERROR_TOO_MANY_REQUESTS", Blame.SERVER, "engine"),
    369: Code("ALL_REPLICAS_ARE_STALE", Blame.SERVER, "engine"),
    372: Code("SESSION_NOT_FOUND", Blame.SERVER, "engine"),
    373: Code("SESSION_IS_LOCKED", Blame.SERVER, "engine"),
    376: Code("CANNOT_PARSE_UUID", Blame.ROW, "engine"),
    384: Code("PART_IS_TEMPORARILY_LOCKED", Blame.SERVER, "engine"),
    392: Code("QUERY_IS_PROHIBITED", Blame.SERVER, "operator"),
    394: Code("QUERY_WAS_CANCELLED", Blame.SERVER, "engine"),
    396: Code("TOO_MANY_ROWS_OR_BYTES", Blame.SIZE, "engine"),
    407: Code("DECIMAL_OVERFLOW", Blame.ROW, "engine"),
    410: Code("EXTERNAL_SERVER_IS_NOT_RESPONDING", Blame.SERVER, "engine"),
    415: Code("ALL_REPLICAS_LOST", Blame.SERVER, "operator"),
    416: Code("REPLICA_STATUS_CHANGED", Blame.SERVER, "engine"),
    425: Code("SYSTEM_ERROR", Blame.SERVER, "connector"),
    439: Code("CANNOT_SCHEDULE_TASK", Blame.SERVER, "engine"),
    452: Code("SETTING_CONSTRAINT_VIOLATION", Blame.SERVER, "operator"),
    469: Code("VIOLATED_CONSTRAINT", Blame.ROW, "engine"),
    472: Code("READONLY_SETTING", Blame.SERVER, "operator"),
    473: Code("DEADLOCK_AVOIDED", Blame.SERVER, "engine"),
    481: Code("PATH_ACCESS_DENIED", Blame.SERVER, "operator"),
    495: Code("ACCESS_STORAGE_READONLY", Blame.SERVER, "operator"),
    497: Code("ACCESS_DENIED", Blame.SERVER, "operator"),
    499: Code("S3_ERROR", Blame.SERVER, "engine"),
    500: Code("AZURE_BLOB_STORAGE_ERROR", Blame.SERVER, "engine"),
    511: Code("UNKNOWN_ROLE", Blame.SERVER, "operator"),
    512: Code("SET_NON_GRANTED_ROLE", Blame.SERVER, "operator"),
    516: Code("AUTHENTICATION_FAILED", Blame.SERVER, "operator"),
    517: Code("CANNOT_ASSIGN_ALTER", Blame.SERVER, "engine"),
    529: Code("NOT_A_LEADER", Blame.SERVER, "engine"),
    568: Code("RAFT_ERROR", Blame.SERVER, "engine"),
    571: Code("DATABASE_REPLICATION_FAILED", Blame.SERVER, "engine"),
    574: Code("DISTRIBUTED_TOO_MANY_PENDING_BYTES", Blame.SERVER, "engine"),
    586: Code("CANNOT_CREATE_FILE", Blame.SERVER, "engine"),
    618: Code("LZ4_DECODER_FAILED", Blame.SERVER, "engine"),
    660: Code("HDFS_ERROR", Blame.SERVER, "engine"),
    662: Code("FS_METADATA_ERROR", Blame.SERVER, "engine"),
    668: Code("INVALID_STATE", Blame.SERVER, "engine"),
    677: Code("THREAD_WAS_CANCELED", Blame.SERVER, "engine"),
    691: Code("UNKNOWN_ELEMENT_OF_ENUM", Blame.ROW, "engine"),
    692: Code("TOO_MANY_MUTATIONS", Blame.SERVER, "engine"),
    693: Code("AWS_ERROR", Blame.SERVER, "engine"),
    700: Code("USER_SESSION_LIMIT_EXCEEDED", Blame.SERVER, "engine"),
    707: Code("GCP_ERROR", Blame.SERVER, "engine"),
    720: Code("USER_EXPIRED", Blame.SERVER, "operator"),
    722: Code("ASYNC_LOAD_WAIT_FAILED", Blame.SERVER, "engine"),
    733: Code("TABLE_IS_BEING_RESTARTED", Blame.SERVER, "engine"),
    735: Code("QUERY_WAS_CANCELLED_BY_CLIENT", Blame.SERVER, "engine"),
    737: Code("GOOGLE_CLOUD_ERROR", Blame.SERVER, "engine"),
    738: Code("PART_IS_LOCKED", Blame.SERVER, "engine"),
    745: Code("SERVER_OVERLOADED", Blame.SERVER, "engine"),
    749: Code("TCP_CONNECTION_LIMIT_REACHED", Blame.SERVER, "engine"),
    760: Code("UNICODE_ERROR", Blame.ROW, "engine"),
    762: Code("HTTP_CONNECTION_LIMIT_REACHED", Blame.SERVER, "engine"),
    763: Code("SESSION_REFUSED", Blame.SERVER, "engine"),
    774: Code("TABLE_IS_PERMANENTLY_READ_ONLY", Blame.SERVER, "operator"),
    776: Code("RESOURCE_LIMIT_EXCEEDED", Blame.SERVER, "engine"),
    777: Code("MEMORY_RESERVATION_KILLED", Blame.MEMORY, "engine"),
    778: Code("MEMORY_RESERVATION_FAILED", Blame.MEMORY, "engine"),
    999: Code("KEEPER_EXCEPTION", Blame.SERVER, "connector"),
    1000: Code("POCO_EXCEPTION", Blame.SERVER, "engine"),
    1002: Code("UNKNOWN_EXCEPTION", Blame.SERVER, "connector"),
    1016: Code("TABLE_SIZE_LIMIT_EXCEEDED", Blame.SERVER, "operator"),
    1019: Code("QUERY_SLOT_ACQUISITION_TIMEOUT", Blame.SERVER, "engine"),
    1020: Code("MEMORY_RESERVATION_ACQUISITION_TIMEOUT", Blame.MEMORY, "engine"),
}
CODES: Mapping[int, Code] = MappingProxyType(_TABLE)
