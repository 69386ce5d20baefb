"""docs/flags.md says what pipeline/events/flags.py says."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.events.flags import Flag, page

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "flags.md").read_text("utf-8")


def test_the_page_is_up_to_date() -> None:
    assert page() == PAGE, "run `python -m pipeline.events.flags > docs/flags.md`"


def test_running_the_module_prints_the_page() -> None:
    command = [sys.executable, "-m", "pipeline.events.flags"]
    printed = subprocess.run(command, capture_output=True, check=True, timeout=60, cwd=DOCS.parent).stdout
    assert printed.decode() == PAGE


@pytest.mark.parametrize("flag", Flag)
def test_every_flag_says_which_rows_carry_it_and_why(flag: Flag) -> None:
    kinds, _, text = flag.doc.partition(": ")
    assert set(kinds.split(" or ")) <= {"observation", "trace"}
    assert f"| `{flag}` | {text} |" in PAGE


def test_the_pages_lead_to_each_other() -> None:
    tables = (DOCS / "tables.md").read_text("utf-8")
    assert "(folding.md)" in tables
    assert "(flags.md)" in tables
