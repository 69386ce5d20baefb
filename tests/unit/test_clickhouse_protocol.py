"""What must hold of ClickHouse's HTTP protocol before any statement runs."""

import gzip
import zlib
from collections.abc import Callable, Iterator

import cramjam
import lz4.frame
import pytest

from pipeline.local.clickhouse.compression import PIECE_BYTES, choose_encoding, decompressed, encoder
from pipeline.local.clickhouse.errors import ClickHouseError, Code
from pipeline.local.clickhouse.protocol import Insert, Request, read_request, read_statement
from pipeline.local.clickhouse.statement import (
    answers_in_blocks,
    changes_session,
    first_word,
    output_format,
    split_insert,
)

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "lz4": lz4.frame.compress,
    "zstd": lambda data: bytes(cramjam.zstd.compress(data)),
    "br": lambda data: bytes(cramjam.brotli.compress(data)),
    "gzip": gzip.compress,
    "deflate": zlib.compress,
}


def request(body: bytes = b"", headers: dict[str, str] | None = None, **url: str) -> Request:
    return read_request(url, headers or {}, iter([body] if body else []), query_id="q", read_only=False)


@pytest.mark.parametrize(
    ("text", "head", "data_format", "data"),
    [
        (b"INSERT INTO `t` (`a`) FORMAT Native\n\x01\n\x00", "INSERT INTO `t` (`a`)", "Native", b"\x01\n\x00"),
        (b"INSERT INTO t FORMAT Native\n\n\n", "INSERT INTO t", "Native", b"\n\n"),
        (b"insert into format format CSV 1,2", "insert into format", "CSV", b"1,2"),
        (b"INSERT INTO t FORMAT CSV;\r\n1", "INSERT INTO t", "CSV", b"1"),
        (b"INSERT INTO t (`x FORMAT y`) FORMAT TSV\n1", "INSERT INTO t (`x FORMAT y`)", "TSV", b"1"),
        (b"INSERT INTO t SETTINGS a='FORMAT x' FORMAT TSV\n1", "INSERT INTO t SETTINGS a='FORMAT x'", "TSV", b"1"),
        (b"/* FORMAT x */ INSERT INTO t -- FORMAT y\n FORMAT TSV\n1", None, "TSV", b"1"),
    ],
)
def test_an_insert_is_cut_exactly_where_its_data_begins(
    text: bytes, head: str | None, data_format: str, data: bytes
) -> None:
    found = split_insert(text)
    assert found is not None
    assert found.format == data_format
    assert text[found.data_at :] == data
    assert head is None or found.sql == head


@pytest.mark.parametrize(
    "text",
    [
        b"INSERT INTO t VALUES (1, 'FORMAT Native')",
        b"INSERT INTO t SELECT 1 FORMAT Native",
        b"INSERT INTO t FORMAT Values (1)",
        b"SELECT 1 FORMAT Native",
        b"",
        b"INSERT INTO t",
    ],
)
def test_statements_that_carry_no_formatted_data_stay_whole(text: bytes) -> None:
    assert split_insert(text) is None


def test_data_is_not_searched_for_words() -> None:
    found = split_insert(b"INSERT INTO t FORMAT JSONEachRow\n" + b'{"a": "INSERT INTO x FORMAT CSV"}' * 3)
    assert found is not None
    assert found.format == "JSONEachRow"


@pytest.mark.parametrize(
    ("sql", "name"),
    [
        ("SELECT 1 FORMAT JSON", "JSON"),
        ("SELECT 1\n format Native settings max_threads=1;", "Native"),
        ("SELECT 'FORMAT JSON'", ""),
        ("SELECT 1", ""),
    ],
)
def test_the_output_format_is_the_closing_clause(sql: str, name: str) -> None:
    assert output_format(sql) == name


def test_kinds_of_statements_are_told_by_their_first_word() -> None:
    assert answers_in_blocks("-- note\n (SELECT 1) UNION ALL (SELECT 2)")
    assert answers_in_blocks("WITH 1 AS x SELECT x")
    assert not answers_in_blocks("SHOW TABLES")
    assert changes_session("set a = 1")
    assert not changes_session("SELECT 1")
    assert first_word("") == b""


@pytest.mark.parametrize("encoding", sorted(COMPRESS))
def test_bodies_come_out_as_they_were_compressed(encoding: str) -> None:
    data = b"some rows " * 300_000
    pieces = list(decompressed(encoding, COMPRESS[encoding](data)))
    assert b"".join(pieces) == data
    if encoding in ("lz4", "gzip", "deflate"):
        assert max(map(len, pieces)) <= PIECE_BYTES


@pytest.mark.parametrize("encoding", ["lz4", "zstd", "gzip"])
def test_every_frame_of_a_body_is_read(encoding: str) -> None:
    body = b"".join(COMPRESS[encoding](b"block %d;" % number) for number in range(5))
    assert b"".join(decompressed(encoding, body)) == b"block 0;block 1;block 2;block 3;block 4;"


@pytest.mark.parametrize("encoding", sorted(COMPRESS))
def test_a_body_that_was_cut_is_an_error_and_never_a_shorter_body(encoding: str) -> None:
    body = COMPRESS[encoding](bytes(range(256)) * 50)
    with pytest.raises(ClickHouseError) as caught:
        list(decompressed(encoding, body[:-9]))
    assert caught.value.code == Code.CANNOT_DECOMPRESS


def test_an_unknown_encoding_is_refused() -> None:
    with pytest.raises(ClickHouseError) as caught:
        list(decompressed("snappy", b"x"))
    assert caught.value.http_status == 501


@pytest.mark.parametrize("encoding", sorted(COMPRESS))
def test_an_answer_in_pieces_is_one_compressed_stream(encoding: str) -> None:
    encode = encoder(encoding)
    body = encode.add(b"first ") + encode.add(b"second") + encode.end()
    assert b"".join(decompressed(encoding, body)) == b"first second"
    empty = encoder(encoding)
    assert b"".join(decompressed(encoding, empty.add(b"") + empty.end())) == b""


def test_the_first_encoding_that_the_client_names_and_we_know_is_taken() -> None:
    assert choose_encoding("snappy, lz4;q=1.0, gzip") == "lz4"
    assert choose_encoding("identity") == ""


def test_parameters_settings_and_transport_are_kept_apart() -> None:
    found = request(b"SELECT {x:UInt8}", param_x="1", max_threads="2", database="db", session_id="s", query_id="mine")
    assert found.statement == "SELECT {x:UInt8}"
    assert found.parameters == {"x": "1"}
    assert found.settings == {"max_threads": "2"}
    assert (found.database, found.session_id) == ("db", "s")


def test_url_and_body_together_are_the_statement() -> None:
    assert request(b"+ 1", query="SELECT 1").statement == "SELECT 1\n+ 1"
    insert = request(b"\n\x00", query="INSERT INTO t FORMAT Native").statement
    assert isinstance(insert, Insert)
    assert b"".join(insert.data) == b"\n\x00"


def test_an_inserts_data_is_not_gathered_before_it_is_asked_for() -> None:
    taken = []

    def body() -> Iterator[bytes]:
        yield b"INSERT INTO t FORMAT Native\n" + b"x" * 300_000
        taken.append("more")
        yield b"y"

    insert = read_statement("", body())
    assert isinstance(insert, Insert)
    assert taken == []
    assert b"".join(insert.data) == b"x" * 300_000 + b"y"


def test_output_comes_from_the_statement_then_the_url_then_the_header() -> None:
    headers = {"X-ClickHouse-Format": "CSV", "X-ClickHouse-Database": "db"}
    assert request(b"SELECT 1 FORMAT JSON", headers, default_format="TSV").output == "JSON"
    assert request(b"SELECT 1", headers, default_format="TSV").output == "TSV"
    assert request(b"SELECT 1", headers).output == "CSV"
    assert request(b"SELECT 1", headers).database == "db"
    assert request(b"SELECT 1").output == "TabSeparated"


@pytest.mark.parametrize(
    ("url", "body", "code"),
    [
        ({"decompress": "1"}, b"SELECT 1", Code.NOT_IMPLEMENTED),
        ({"compress": "1"}, b"SELECT 1", Code.NOT_IMPLEMENTED),
        ({}, b"INSERT INTO t SELECT * FROM input('a Int8') FORMAT TSV\n1", Code.NOT_IMPLEMENTED),
        ({}, b"  ", Code.SYNTAX_ERROR),
        ({}, b"SELECT '\xff'", Code.SYNTAX_ERROR),
        ({"session_id": "s", "session_timeout": "x"}, b"SELECT 1", Code.BAD_ARGUMENTS),
        ({"session_id": "s", "session_timeout": "99999"}, b"SELECT 1", Code.BAD_ARGUMENTS),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(url: dict[str, str], body: bytes, code: Code) -> None:
    with pytest.raises(ClickHouseError) as caught:
        request(body, **url)
    assert caught.value.code == code


def test_only_reads_stop_with_their_client_and_only_if_asked() -> None:
    setting = {"cancel_http_readonly_queries_on_client_close": "1"}
    assert request(b"SELECT 1", **setting).stops_with_client
    assert not request(b"SELECT 1").stops_with_client
    assert not request(b"INSERT INTO t FORMAT TSV\n1", **setting).stops_with_client
    assert not request(b"INSERT INTO t SELECT 1", **setting).stops_with_client


def test_the_tag_keeps_the_clients_own_comment() -> None:
    assert request(b"SELECT 1", log_comment="mine").tag == "mine q"
    assert request(b"SELECT 1").tag == "q"


def test_the_engines_message_gives_code_status_and_text() -> None:
    text = "Streaming query failed: Code: 60. DB::Exception: no t. (UNKNOWN_TABLE) (version 26.9.2.1)"
    error = ClickHouseError.from_engine(text)
    assert (error.code, error.http_status) == (60, 404)
    assert error.body("26.9") == "Code: 60. DB::Exception: no t. (UNKNOWN_TABLE) (version 26.9 (official build))\n"


def test_a_message_without_a_code_is_a_server_error() -> None:
    error = ClickHouseError.from_engine("gone")
    assert (error.code, error.http_status) == (1001, 500)


def test_only_inserts_that_bring_their_rows_and_quick_statements_have_lanes_of_their_own() -> None:
    assert request(b"INSERT INTO t FORMAT TSV\n1").brings_rows
    assert request(b"INSERT INTO t VALUES (1)").brings_rows
    assert not request(b"INSERT INTO t SELECT 1").brings_rows
    assert request(b"KILL QUERY WHERE 1").light
    assert not request(b"SELECT 1").light
