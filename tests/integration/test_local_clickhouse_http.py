"""The embedded engine's HTTP interface answers as ClickHouse's does: routes, headers, statuses."""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import httpx
import lz4.frame
import pytest

from tests.fixtures.clickhouse import SLOW_SELECT, ClickHouseProcess

pytestmark = pytest.mark.stack


@pytest.fixture
def http(clickhouse: ClickHouseProcess, database: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=clickhouse.url, params={"database": database}, trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseProcess]:
    """A server that asks for a password."""
    server = ClickHouseProcess(tmp_path_factory.mktemp("guarded"), "--user", "writer", "--password", "s3cret")
    server.start()
    yield server
    server.stop()


def count(http: httpx.Client) -> int:
    return int(http.post("/", content="SELECT count() FROM t").text)


@pytest.mark.parametrize("path", ["/", "/ping", "/replicas_status"])
def test_health_routes_answer_ok(http: httpx.Client, path: str) -> None:
    assert http.get(path).text == "Ok.\n"


def test_an_answer_carries_clickhouses_headers(http: httpx.Client) -> None:
    answer = http.post("/", params={"query_id": "mine", "default_format": "JSON"}, content="SELECT 1 AS one")
    assert answer.json()["data"] == [{"one": 1}]
    assert answer.headers["X-ClickHouse-Query-Id"] == "mine"
    assert answer.headers["X-ClickHouse-Format"] == "JSON"
    assert answer.headers["X-ClickHouse-Timezone"]
    assert answer.headers["Content-Type"].startswith("application/json")
    assert {"read_rows", "written_rows", "elapsed_ns"} <= json.loads(answer.headers["X-ClickHouse-Summary"]).keys()


@pytest.mark.parametrize(
    ("sql", "code", "status"),
    [
        ("SELECT * FROM nope", 60, 404),
        ("SELEC 1", 62, 400),
        ("SELECT 1; SELECT 2", 62, 400),
        ("", 62, 400),
        ("SELECT nope", 47, 404),
        ("SELECT nope()", 46, 404),
        ("SELECT toUInt8('x')", 6, 400),
        ("SELECT 1 SETTINGS nope = 1", 115, 404),
        ("SELECT 1 INTO OUTFILE 'x'", 358, 500),
        ("SELECT throwIf(1)", 395, 500),
        ("INSERT INTO nope FORMAT TSV\n1", 60, 404),
        ("SELECT sleep(3) SETTINGS max_execution_time = 0.1", 159, 408),
    ],
)
def test_an_error_has_clickhouses_code_and_status(http: httpx.Client, sql: str, code: int, status: int) -> None:
    answer = http.post("/", content=sql)
    assert (answer.headers["X-ClickHouse-Exception-Code"], answer.status_code) == (str(code), status)
    assert answer.text.startswith(f"Code: {code}. DB::Exception: ")


def test_an_unknown_database_is_not_found(http: httpx.Client) -> None:
    answer = http.post("/", params={"database": "nope"}, content="SELECT 1")
    assert (answer.headers["X-ClickHouse-Exception-Code"], answer.status_code) == ("81", 404)


def test_an_unknown_url_parameter_is_an_unknown_setting(http: httpx.Client) -> None:
    for name in ("nope", "a = 1, b"):
        answer = http.post("/", params={name: "1"}, content="SELECT 1")
        assert (answer.headers["X-ClickHouse-Exception-Code"], answer.status_code) == ("115", 404)


def test_a_setting_value_cannot_break_out_of_its_quotes(http: httpx.Client) -> None:
    value = "x', max_threads = '9\\"
    answer = http.post("/", params={"insert_deduplication_token": value}, content="SELECT getSetting('max_threads')")
    assert answer.text.strip() != "9"
    sql = "SELECT getSetting('insert_deduplication_token') FORMAT TSVRaw"
    assert http.post("/", params={"insert_deduplication_token": value}, content=sql).text == f"{value}\n"


def test_get_reads_and_never_writes(http: httpx.Client) -> None:
    assert http.get("/", params={"query": "SELECT 1"}).text == "1\n"
    for sql in ("CREATE TABLE t (a UInt8) ENGINE = Memory", "INSERT INTO t FORMAT TSV", "SET max_threads = 1"):
        assert http.get("/", params={"query": sql}).headers["X-ClickHouse-Exception-Code"] == "164"


def test_statement_in_the_url_and_data_in_the_body(http: httpx.Client) -> None:
    http.post("/", content="CREATE TABLE t (a UInt8, b String) ENGINE = MergeTree ORDER BY a")
    answer = http.post("/", params={"query": "INSERT INTO t FORMAT TSV"}, content="1\tx\n2\ty\n")
    assert json.loads(answer.headers["X-ClickHouse-Summary"])["written_rows"] == "2"
    http.post("/", params={"query": "INSERT INTO t VALUES"}, content="(3, 'z;')")
    http.post("/", params={"param_b": "bound"}, content="INSERT INTO t VALUES (4, {b:String})")
    assert http.post("/", content="SELECT * FROM t ORDER BY a").text == "1\tx\n2\ty\n3\tz;\n4\tbound\n"


def test_several_lz4_frames_are_one_insert(http: httpx.Client) -> None:
    http.post("/", content="CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a")
    frames = [lz4.frame.compress(part) for part in (b"INSERT INTO t FORM", b"AT TSV\n1\n", b"2\n")]
    assert http.post("/", headers={"Content-Encoding": "lz4"}, content=b"".join(frames)).status_code == 200
    assert count(http) == 2


def test_a_damaged_insert_stores_nothing(http: httpx.Client) -> None:
    http.post("/", content="CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a")
    rows = b"INSERT INTO t FORMAT TSV\n" + b"1\n" * 100_000
    cut = http.post("/", headers={"Content-Encoding": "lz4"}, content=lz4.frame.compress(rows)[:-20])
    assert cut.headers["X-ClickHouse-Exception-Code"] == "271"
    wrong = http.post("/", content=rows + b"word\n")
    assert wrong.status_code == 400
    assert count(http) == 0


async def test_an_insert_whose_client_leaves_half_way_stores_nothing(
    clickhouse: ClickHouseProcess, http: httpx.Client
) -> None:
    http.post("/", content="CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a")
    _, writer = await asyncio.open_connection(clickhouse.host, clickhouse.port)
    body = b"INSERT INTO t FORMAT TSV\n1\n"
    writer.write(b"POST /?%s HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n" % str(http.params).encode() + body)
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert count(http) == 0


async def test_a_select_stops_when_its_client_leaves(clickhouse: ClickHouseProcess, http: httpx.Client) -> None:
    params = {"log_comment": "left", "cancel_http_readonly_queries_on_client_close": "1"}
    seen = "SELECT count() FROM system.processes WHERE Settings['log_comment'] LIKE 'left %'"

    def wait_for(number: str) -> None:
        deadline = time.monotonic() + 20
        while http.post("/", content=seen).text.strip() != number:
            assert time.monotonic() < deadline

    async with aiohttp.ClientSession() as session:
        asking = asyncio.create_task(session.post(clickhouse.url, params=params, data=SLOW_SELECT))
        await asyncio.to_thread(wait_for, "1")
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    await asyncio.to_thread(wait_for, "0")


def test_answers_are_compressed_only_when_asked_for(http: httpx.Client) -> None:
    headers = {"Accept-Encoding": "lz4"}
    plain = http.post("/", headers=headers, content="SELECT 1")
    assert "Content-Encoding" not in plain.headers
    packed = http.post("/", headers=headers, params={"enable_http_compression": "1"}, content="SELECT 1")
    assert packed.headers["Content-Encoding"] == "lz4"
    assert lz4.frame.decompress(packed.content) == b"1\n"


def test_totals_are_part_of_the_answer(http: httpx.Client) -> None:
    answer = http.post(
        "/", content="SELECT number, count() FROM numbers(2) GROUP BY number WITH TOTALS ORDER BY number"
    )
    assert answer.text == "0\t1\n1\t1\n\n0\t2\n"


def test_a_missing_session_is_named(http: httpx.Client) -> None:
    answer = http.post("/", params={"session_id": "none", "session_check": "1"}, content="SELECT 1")
    assert answer.headers["X-ClickHouse-Exception-Code"] == "372"


def test_a_form_carries_statement_and_parameters(http: httpx.Client) -> None:
    form = {"query": (None, "SELECT {x:String}"), "param_x": (None, "form")}
    assert http.post("/", files=form).text == "form\n"
    table = http.post("/", files={**form, "ext": ("ext.tsv", b"1\n")})
    assert table.status_code == 501


def test_an_unknown_path_is_not_found(http: httpx.Client) -> None:
    assert http.get("/nope").status_code == 404


def test_each_way_to_log_in_works_and_a_wrong_password_does_not(guarded: ClickHouseProcess) -> None:
    right, wrong = ("writer", "s3cret"), ("writer", "other")
    with httpx.Client(base_url=guarded.url, params={"query": "SELECT 1"}, trust_env=False) as http:
        assert http.get("/", auth=right).text == "1\n"
        assert http.get("/", headers={"X-ClickHouse-User": right[0], "X-ClickHouse-Key": right[1]}).text == "1\n"
        assert http.get("/", params={"query": "SELECT 1", "user": right[0], "password": right[1]}).text == "1\n"
        for refused in (http.get("/", auth=wrong), http.get("/")):
            assert (refused.headers["X-ClickHouse-Exception-Code"], refused.status_code) == ("516", 403)
    assert guarded.client(username=right[0], password=right[1]).command("SELECT 2") == 2


def test_nothing_is_written_outside_the_data_directory(guarded: ClickHouseProcess) -> None:
    assert {path.name for path in Path(guarded.data).parent.iterdir()} == {"data", "clickhouse.log"}
