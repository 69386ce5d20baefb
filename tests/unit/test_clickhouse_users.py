"""The statements that make users of ClickHouse: what they hold and what they never do."""

import hashlib
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.config import Settings
from pipeline.errors import SettingError
from pipeline.ops.clickhouse_users import (
    ANALYST,
    GRANTS,
    OWNER,
    VIEWS,
    WITH_PROJECT,
    WRITER,
    Users,
    read_hashes,
    statements,
)
from pipeline.store.migrate import read_migrations

HASH = ("AB", "CD")


def made(users: Users, **settings: str) -> list[str]:
    return statements(Settings(**settings), users, dict.fromkeys(users.roles(), HASH))  # type: ignore[arg-type]


def test_passwords_are_made_for_their_owner_only_and_printed_as_salted_hashes(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    outcome = CliRunner().invoke(app, ["clickhouse-users", "--passwords", str(folder), "--analyst", "ann=shop"])
    assert outcome.exit_code == 0
    files = {path.name: path.read_text() for path in folder.iterdir()}
    assert set(files) == {"spanfold_migrate", "spanfold_roles", "spanfold_read", "ann"}
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    for name, password in files.items():
        assert password not in outcome.output
        (line,) = [line for line in outcome.output.splitlines() if f"CREATE USER OR REPLACE {name} " in line]
        found = re.search(r"BY '(\w+)' SALT '(\w+)'", line)
        assert found
        assert found[1] == hashlib.sha256((password + found[2]).encode()).hexdigest().upper()
    again = read_hashes(folder, ["ann"])
    assert (folder / "ann").read_text() == files["ann"]
    assert again["ann"] != read_hashes(folder, ["ann"])["ann"]  # another salt each time


def test_only_the_owner_changes_tables_and_only_it_and_the_writer_write() -> None:
    all_ = made(Users(analysts={"ann": "shop"}))
    assert {role for role, grants in GRANTS.items() if "INSERT" in " ".join(grants)} == {OWNER, WRITER}
    changing = [role for role, grants in GRANTS.items() if re.search("ALTER|CREATE|DROP|TRUNCATE", " ".join(grants))]
    assert changing == ["spanfold_owner"]
    assert not [line for line in all_ if "GRANT OPTION" in line or "*.*" in line]


def test_an_analyst_is_bound_on_every_table_it_may_read() -> None:
    all_ = made(Users(analysts={"ann": "it's"}))
    for table in WITH_PROJECT:
        (own,) = [line for line in all_ if f"spanfold_ann ON spanfold.{table} " in line]
        assert own.endswith(r"USING project_id = 'it\'s' TO ann")
        (others,) = [line for line in all_ if f"spanfold_all ON spanfold.{table} " in line]
        assert others.endswith(f"TO ALL EXCEPT {ANALYST}")  # analysts of an earlier run stay bound


def test_analysts_are_granted_views_and_tables_that_exist() -> None:
    text = "\n".join(migration.sql for migration in read_migrations())
    views = set(re.findall(r"VIEW (?:IF NOT EXISTS )?\{database\}\.(\w+)", text))
    tables = set(re.findall(r"CREATE TABLE IF NOT EXISTS \{database\}\.(\w+)", text))
    assert set(VIEWS) <= views
    assert set(WITH_PROJECT) <= tables


@pytest.mark.parametrize(
    "users",
    [
        Users(owner="a;b"),
        Users(writer=""),
        Users(analysts={"an n": "p"}),
        Users(owner="x", writer="x"),
        Users(readers=("ann",), analysts={"ann": "p"}),
    ],
)
def test_names_that_are_none_or_stand_for_two_are_refused(users: Users) -> None:
    with pytest.raises(SettingError):
        made(users)


def test_a_short_password_and_a_bad_pair_are_refused(tmp_path: Path) -> None:
    (tmp_path / "ann").write_text("short\n")
    with pytest.raises(SettingError, match="too short"):
        read_hashes(tmp_path, ["ann"])
    for pair in ("ann", "ann="):
        outcome = CliRunner().invoke(app, ["clickhouse-users", "--passwords", str(tmp_path), "--analyst", pair])
        assert isinstance(outcome.exception, SettingError)
