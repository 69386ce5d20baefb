"""Every query in the pages about tables, cost, dead letters and operations runs."""

import re
from pathlib import Path

import pytest

from tests.fixtures.clickhouse import ClickHouseProcess
from tests.fixtures.store import migrated

NAMES = ("tables.md", "cost.md", "dead-letters.md", "operations.md")
PAGES = [Path(__file__).parents[2] / "docs" / name for name in NAMES]
BLOCK = re.compile(r"```sql\n(.*?)```|`spanfold sql \"([^\"]+)\"`", re.DOTALL)
FOUND = [found[1] or found[2] for page in PAGES for found in BLOCK.finditer(page.read_text("utf-8"))]
QUERIES = [query for query in FOUND if not query.lstrip().startswith(("BACKUP", "CREATE DATABASE"))]


def test_the_page_has_examples() -> None:
    assert len(QUERIES) >= 7


@pytest.fixture(scope="module")
def migrated_once(clickhouse: ClickHouseProcess) -> str:
    """A database for all queries; they change nothing that another would see."""
    with migrated(clickhouse.url, "documented"):
        return "documented"


@pytest.mark.parametrize("query", QUERIES)
def test_the_example_runs(clickhouse: ClickHouseProcess, migrated_once: str, query: str) -> None:
    client = clickhouse.client(database=migrated_once)
    client.command(query)
    client.close()
