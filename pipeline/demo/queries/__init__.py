"""The demo's questions to ClickHouse, one .sql file each; values are quoted by the driver."""

from functools import cache
from pathlib import Path


@cache
def sql(name: str) -> str:
    """The text of a question."""
    return (Path(__file__).parent / f"{name}.sql").read_text("utf-8")
