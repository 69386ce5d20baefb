"""docs/reliability.md: the table of faults, from the results that the command keeps."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def write_page(path: Path, results: Mapping[str, Any], order: Sequence[str]) -> None:
    """Write it."""
    path.write_text("x")
