"""ClickHouse's errors, as this server sends them.

Problem: clients decide by the error's code (a header) and the HTTP status, not by its text.
Rule: the code is read from the engine's own message; the status comes from `statuses.CODES_BY_STATUS`.
Fails: a message without a code is sent as 1001 (STD_EXCEPTION), status 500.
"""

import re
from enum import IntEnum

from pipeline.errors import SpanfoldError
from pipeline.local.clickhouse.statuses import CODES_BY_STATUS

_STATUS_OF_CODE = {code: status for status, codes in CODES_BY_STATUS.items() for code in codes}
_CODE = re.compile(r"Code: (\d+)\. DB::")
_VERSION = re.compile(r" \(version [^)]*\)\s*$")


class Code(IntEnum):
    """The codes that this server raises itself; the engine raises all others."""

    BAD_ARGUMENTS = 36
    NOT_IMPLEMENTED = 48
    SYNTAX_ERROR = 62
    UNKNOWN_SETTING = 115
    READONLY = 164
    TOO_MANY_SIMULTANEOUS_QUERIES = 202
    QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING = 216
    QUERY_IS_TOO_LARGE = 229
    CANNOT_DECOMPRESS = 271
    INTO_OUTFILE_NOT_ALLOWED = 358
    SESSION_NOT_FOUND = 372
    SESSION_IS_LOCKED = 373
    AUTHENTICATION_FAILED = 516
    STD_EXCEPTION = 1001


class ClickHouseError(SpanfoldError):
    """An error in ClickHouse's own form: `code`, and a message like "DB::Exception: … (UNKNOWN_TABLE)"."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = int(code)

    @classmethod
    def raised(cls, code: Code, message: str) -> "ClickHouseError":
        """An error of this server, in the form that ClickHouse gives to its own."""
        return cls(code, f"DB::Exception: {message} ({code.name})")

    @classmethod
    def from_engine(cls, text: str) -> "ClickHouseError":
        """Read the engine's message, whatever the Python binding has put before it."""
        found = _CODE.search(text)
        if found is None:
            return cls(Code.STD_EXCEPTION, f"DB::Exception: {text.strip()} (STD_EXCEPTION)")
        message = text[found.end() - len("DB::") :]
        return cls(int(found.group(1)), _VERSION.sub("", message).strip())

    @property
    def http_status(self) -> int:
        """The HTTP status that ClickHouse answers this code with."""
        return _STATUS_OF_CODE.get(self.code, 500)

    def body(self, version: str) -> str:
        """The text of the HTTP answer, as a ClickHouse server of that version writes it."""
        return f"Code: {self.code}. {self} (version {version} (official build))\n"
