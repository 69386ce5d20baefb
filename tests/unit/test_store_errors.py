"""Which errors are retried, which single out a row, and which have to be told apart by experiment."""

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError

from pipeline.store.error_codes import CODES, Blame
from pipeline.store.errors import blame, error_code
from pipeline.store.native import EncodeError


@pytest.mark.parametrize("code", [60, 159, 164, 202, 209, 210, 242, 243, 252, 319, 516, 999])
def test_what_passes_with_time_is_the_servers_fault(code: int) -> None:
    assert blame(DatabaseError("failed", code=code)) is Blame.SERVER


@pytest.mark.parametrize("code", [69, 117, 128, 131, 321, 407, 469])
def test_what_depends_on_a_value_is_the_rows_fault(code: int) -> None:
    assert blame(DatabaseError("failed", code=code)) is Blame.ROW


def test_too_little_memory_asks_for_a_smaller_block() -> None:
    assert blame(DatabaseError("failed", code=241)) is Blame.MEMORY


# What can be at fault but the row, by the way in which an operator meets it.
FAULTS = {
    "too many parts": 252, "no memory": 241, "read-only": 164, "read-only table": 242, "disk full": 243,
    "cut in the body": 33, "damaged on the way": 40, "cut by the client": 735, "session": 372, "locked session": 373,
    "password": 516, "grant": 497, "role": 511, "deploy in flight, table": 60, "column": 16, "database": 81,
    "keeper": 999, "replicas": 285, "shutting down": 236, "timeout": 159, "object storage": 499,
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_no_fault_of_the_server_is_a_rows(fault: str) -> None:
    assert CODES[FAULTS[fault]].blame in (Blame.SERVER, Blame.MEMORY)


def test_what_the_engine_throws_for_both_is_not_classified() -> None:
    assert CODES.keys().isdisjoint({36, 49, 1001})


def test_a_code_that_nobody_classified_is_unknown() -> None:
    assert 395 not in CODES
    assert blame(DatabaseError("failed", code=395)) is Blame.UNKNOWN


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("Error executing HTTP request"),
        ConnectionResetError("reset"),
        TimeoutError("late"),
        DatabaseError("HTTP driver received HTTP status 502, server response: bad gateway"),
        DatabaseError("HTTP driver received HTTP status 429"),
        DatabaseError("HTTP driver received HTTP status 404"),
    ],
)
def test_the_network_and_its_proxies_are_retried(error: Exception) -> None:
    assert blame(error) is Blame.SERVER
    assert error_code(error) is None


def test_a_proxy_that_finds_the_body_too_large_asks_for_a_smaller_block() -> None:
    assert blame(DatabaseError("HTTP driver received HTTP status 413")) is Blame.SIZE


def test_a_bad_request_without_a_code_is_unknown() -> None:
    assert blame(DatabaseError("HTTP driver received HTTP status 400")) is Blame.UNKNOWN


def test_a_value_that_cannot_be_encoded_is_the_rows_fault() -> None:
    assert blame(EncodeError("scores_rows", "value", ValueError("x"))) is Blame.ROW
