"""Users with least privilege, on the real engine as far as it goes.

The embedded engine keeps no users of its own making, so CREATE USER is checked by its parser alone. What the grants and
policies allow is tried for true: the engine is started with the one user it has, given exactly those rights by file.
"""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape

import pytest

from pipeline.config import Settings
from pipeline.ops.clickhouse_users import (
    ANALYST,
    GRANTS,
    OWNER,
    READER,
    VIEWS,
    WITH_PROJECT,
    WRITER,
    Users,
    own_rows,
    statements,
)
from pipeline.store.migrate import read_migrations, render
from tests.fixtures.clickhouse import ClickHouseProcess

SETTINGS = Settings(clickhouse_database="spanfold", clickhouse_cluster="")
NASTY = "it's \\ one"
ENGINE = """
import chdb, json, sys
asked = json.load(sys.stdin)
connection, told = chdb.connect(asked["connection"]), []
for query in asked["queries"]:
    try:
        told.append(str(connection.query(query, "TSV")))
    except Exception as error:
        told.append("refused: " + str(error))
print(json.dumps(told))
"""


def ask(connection: str, *queries: str) -> list[str]:
    """What an engine of its own answers to each query."""
    outcome = subprocess.run(
        [sys.executable, "-c", ENGINE],
        input=json.dumps({"connection": connection, "queries": queries}),
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return [str(each) for each in json.loads(outcome.stdout)]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A database with a trace of each of three projects."""
    folder = tmp_path_factory.mktemp("users")
    made = [render(migration, SETTINGS) for migration in read_migrations()]
    projects = ("shop", "bank", NASTY)
    made += [
        f"INSERT INTO spanfold.traces_rows (project_id, trace_id, name, first_seen, row_version) VALUES"
        f" ('{project.replace(chr(92), chr(92) * 2).replace(chr(39), chr(92) + chr(39))}', 't', 'n', now64(6), 2)"
        for project in projects
    ]
    assert not [told for told in ask(str(folder / "data"), *made) if told.startswith("refused")]
    yield folder


def with_rights(folder: Path, role: str, project: str | None = None) -> str:
    """The connection of a user that has the rights of a role, and sees one project's rows only."""
    grants = "".join(f"<query>GRANT {grant.format(database='spanfold')}</query>" for grant in GRANTS[role])
    rows = ""
    if project is not None:
        only = f"<filter>{escape(own_rows(project))}</filter>"
        rows = f"<databases><spanfold>{''.join(f'<{t}>{only}</{t}>' for t in WITH_PROJECT)}</spanfold></databases>"
    user = f"<password/><networks><ip>::/0</ip></networks><profile>default</profile><grants>{grants}</grants>{rows}"
    users, config = folder / f"{role}.users.xml", folder / f"{role}.config.xml"
    users.write_text(
        f"<clickhouse><users><default>{user}<quota>default</quota></default></users>"
        "<profiles><default/></profiles><quotas><default/></quotas></clickhouse>"
    )
    config.write_text(
        f"<clickhouse><user_directories><users_xml><path>{users}</path></users_xml></user_directories></clickhouse>"
    )
    return f"{folder / 'data'}?config-file={config}"


def refused(told: list[str]) -> list[bool]:
    return ["ACCESS_DENIED" in each for each in told]


def test_an_analyst_sees_the_rows_of_one_project_in_every_view_and_no_other_table(data: Path) -> None:
    views = [name for name in VIEWS if name != "trace_tree"]
    told = ask(
        with_rights(data, ANALYST, NASTY),
        "SELECT project_id FROM spanfold.traces",
        "SELECT project_id FROM spanfold.traces_rows",
        *(f"SELECT count() FROM spanfold.{name} WHERE project_id IN ('shop', 'bank')" for name in views),
        "SELECT count() FROM spanfold.trace_tree(project = 'shop', trace = 't')",
        "SELECT count() FROM spanfold.offset_ranges",
        "SELECT count() FROM spanfold.reprice_values",
        "INSERT INTO spanfold.traces_rows (project_id) VALUES ('shop')",
        "ALTER TABLE spanfold.traces_rows DELETE WHERE 1",
        "DROP TABLE spanfold.traces_rows",
        "SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'a String')",
    )
    assert told[0].strip() == told[1].strip() == NASTY.replace("\\", "\\\\").replace("'", "\\'")
    assert [each.strip() for each in told[2 : 3 + len(views)]] == ["0"] * (len(views) + 1)
    assert refused(told[3 + len(views) :]) == [True] * 6


def test_a_reader_reads_all_and_a_writer_writes_and_neither_changes_tables(data: Path) -> None:
    change = ("ALTER TABLE spanfold.traces_rows DELETE WHERE 1", "DROP VIEW spanfold.traces", "CREATE DATABASE mine")
    insert = "INSERT INTO spanfold.offset_ranges (topic, stored_at) VALUES ('t', now64(6))"
    told = ask(with_rights(data, READER), "SELECT count() FROM spanfold.traces", insert, *change)
    assert told[0].strip() == "3"
    assert refused(told[1:]) == [True] * 4
    told = ask(with_rights(data, WRITER), insert, "SELECT count() FROM spanfold.offset_ranges", *change)
    assert told[1].strip() == "1"
    assert refused(told) == [False, False, True, True, True]


def test_an_owner_fills_shadow_tables_moves_them_into_the_live_ones_and_drops_no_other_database(data: Path) -> None:
    """What `spanfold replay --into shadow` and `swap` do, statement by statement, as the operator's user."""
    there = SETTINGS.model_copy(update={"clickhouse_database": "spanfold_shadow"})
    row = "(project_id, trace_id, name, first_seen, row_version) VALUES ('shop', 'moved', 'n', now64(6), 2)"
    (partition,) = ask(str(data / "data"), "SELECT any(_partition_id) FROM spanfold.traces_rows")
    move = f"MOVE PARTITION ID '{partition.strip()}' TO TABLE spanfold.traces_rows"
    allowed = [
        *(render(migration, there) for migration in read_migrations()),
        f"INSERT INTO spanfold_shadow.traces_rows {row}",
        f"ALTER TABLE spanfold_shadow.traces_rows {move}",
        "DROP DATABASE spanfold_shadow SYNC",
        "DELETE FROM spanfold.traces_rows WHERE trace_id = 'moved'",
    ]
    others = ("DROP DATABASE spanfold", "CREATE DATABASE mine", "CREATE TABLE default.mine (a Int8) ENGINE = Memory")
    told = ask(with_rights(data, OWNER), *allowed, *others)
    assert [each for each in told[: len(allowed)] if each.startswith("refused")] == []
    assert refused(told[len(allowed) :]) == [True] * len(others)


def test_every_statement_is_understood_by_the_engine_s_parser(clickhouse: ClickHouseProcess) -> None:
    users = Users(analysts={"ann": "shop", "bob": NASTY})
    digest = hashlib.sha256(b"x").hexdigest(), "AB"
    client = clickhouse.client()
    for cluster in ("", "main"):
        settings = SETTINGS.model_copy(update={"clickhouse_cluster": cluster})
        for statement in statements(settings, users, dict.fromkeys(users.roles(), digest)):
            client.query("SELECT formatQuery(%(statement)s)", parameters={"statement": statement})
            assert ("ON CLUSTER main" in statement) == bool(cluster)
    client.close()
