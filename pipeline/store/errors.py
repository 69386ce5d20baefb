"""What a failed insert means: wait and send it again, or look for the row that is at fault.

Problem: ClickHouse has some 800 error codes. Retrying one that a row causes stops the pipeline; refusing rows for one
that the server causes loses them.
Rule: a table of codes (error_codes.py). Errors without a code are the network's and are retried: a timeout, a
connection that was cut in the middle of a body or before the answer came. The insert may have been done; sent again
under its token it leaves no second part. A server that hangs becomes such an error by the client's timeout (client.py).
"""

import re

from clickhouse_connect.driver.exceptions import Error as DriverError

from pipeline.errors import AbsentError, SpanfoldError
from pipeline.store.error_codes import CODES, Blame
from pipeline.store.native import EncodeError


class StoreError(SpanfoldError):
    """ClickHouse cannot be reached, or does not hold what it should."""


class StoreAbsentError(StoreError, AbsentError):
    """ClickHouse did not answer in time."""


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
