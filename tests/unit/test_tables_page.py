"""docs/tables.md: every table and view that the migrations make is named there."""

import re
from pathlib import Path

from pipeline.store.migrate import read_migrations

PAGE = (Path(__file__).parents[2] / "docs" / "tables.md").read_text("utf-8")
MADE = re.compile(r"CREATE (?:OR REPLACE )?(?:TABLE|VIEW) (?:IF NOT EXISTS )?\{database\}\.(\w+)")


def test_every_table_and_view_is_on_the_page() -> None:
    made = {name for migration in read_migrations() for name in MADE.findall(migration.sql)}
    assert len(made) >= 25
    assert sorted(name for name in made if f"`{name}" not in PAGE) == []


def test_the_page_lists_nothing_that_is_not_made() -> None:
    made = {name for migration in read_migrations() for name in MADE.findall(migration.sql)}
    overview = PAGE.partition("| read this |")[2].partition("\n\n")[0]
    cells = [line.split("|")[1] for line in overview.splitlines()[2:]]
    named = {name for cell in cells for name in re.findall(r"`(\w+)", cell)}
    assert named <= made
