"""Calls without a cost, by project and model: each line asks for an entry in the price document, or for usage."""

import json
from contextlib import closing
from pathlib import Path

from pipeline.config import Settings
from pipeline.store.client import connect

SQL = Path(__file__).parent / "sql" / "unpriced.sql"
COLUMNS = ("project_id", "model", "calls", "without_usage", "tokens", "first", "last")


def unpriced(settings: Settings, project: str = "", limit: int = 100) -> list[dict[str, object]]:
    """One dict for each project and model, the most calls first. Raises StoreError."""
    with closing(connect(settings, deadline=5.0, timeout=600.0)) as client:
        rows = client.query(SQL.read_text("utf-8"), parameters={"project": project, "limit": limit}).result_rows
        return [dict(zip(COLUMNS, row, strict=True)) for row in rows]


def print_unpriced(rows: list[dict[str, object]], *, as_json: bool) -> None:
    """JSON, or a table with a sentence on what to do."""
    if as_json:
        print(json.dumps(rows))
        return
    if not rows:
        print("Every call that has a model has a cost.")
        return
    texts = [COLUMNS, *(tuple(str(row[name]) for name in COLUMNS) for row in rows)]
    widths = [max(len(text[number]) for text in texts) for number in range(len(COLUMNS))]
    for text in texts:
        print("  ".join(cell.ljust(width) for cell, width in zip(text, widths, strict=True)).rstrip())
    print("\n-> Give these models a price (docs/cost.md), publish it, and run spanfold reprice.")
