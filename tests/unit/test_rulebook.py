"""The rules that a worker knows: what somebody wrote into the table by hand ends no worker and no other rule."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from pipeline.config import Settings
from pipeline.registry import Registry, open_registry
from pipeline.stream.rulebook import RuleBook


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    made = open_registry(Settings(data_dir=tmp_path).registry)
    made.create_project("p", project_id="p")
    for name in ("good", "bad"):
        made.add_rule("p", name, "has_errors", parameters={"a": 1})
    yield made
    made.close()


def write(tmp_path: Path, column: str, value: str) -> None:
    with closing(sqlite3.connect(tmp_path / "registry.sqlite", isolation_level=None)) as connection:
        connection.execute(f"UPDATE evaluation_rules SET {column} = ? WHERE name = 'bad'", (value,))


@pytest.mark.parametrize("value", ["null", "[1]", "3", "NaN", '"x"'])
def test_a_rule_with_parameters_that_are_none_is_left_out_and_told_of_once(
    registry: Registry, tmp_path: Path, value: str
) -> None:
    write(tmp_path, "parameters", value)
    book = RuleBook(registry)
    with capture_logs() as logs:
        asyncio.run(book.refresh())
        asyncio.run(book.refresh())
    assert [rule.name for rule in book("p")] == ["good"]
    assert [entry["event"] for entry in logs] == ["rule_left_out"]
    write(tmp_path, "parameters", "{}")
    asyncio.run(book.refresh())
    assert [rule.name for rule in book("p")] == ["good", "bad"]


def test_a_rule_without_a_name_is_left_out(registry: Registry, tmp_path: Path) -> None:
    """Its scores would all be dead letters."""
    write(tmp_path, "name", "")
    book = RuleBook(registry)
    asyncio.run(book.refresh())
    assert [rule.name for rule in book("p")] == ["good"]


async def test_a_table_that_cannot_be_read_leaves_the_rules_that_were_known(registry: Registry, tmp_path: Path) -> None:
    book = RuleBook(registry)
    await book.refresh()
    write(tmp_path, "parameters", '{"a":')
    book._refresh_seconds = 0.0
    with capture_logs() as logs:
        running = asyncio.create_task(book.run())
        async with asyncio.timeout(10):
            while not logs and not running.done():
                await asyncio.sleep(0)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    assert logs[0]["event"] == "rules_not_refreshed"
    assert len(book("p")) == 2
