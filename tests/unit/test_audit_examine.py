"""What the audit does not judge: a trace of which something may have expired."""

import time
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.audit.examine import Examined, _as_read
from pipeline.audit.stored import Read

NAME = ("p", "t")
DAY = 86_400


class Keeps:
    """So many days of rows and of archive."""

    def __init__(self, rows: int, archive: int) -> None:
        self._rows, self._archive = rows * DAY, archive * DAY

    def rows_until(self, _project: str, _trace: str, since: int) -> int:
        return since // 1_000_000 + self._rows

    def archive_until(self, _project: str, _trace: str, since: int) -> int:
        return since // 1_000_000 + self._archive


@pytest.mark.parametrize(
    ("keeps", "archived", "skipped"),
    [
        (Keeps(90, 90), 3, {}),
        (Keeps(90, 90), 4, {"in flight": 1}),
        (Keeps(2, 90), 3, {"rows expired": 1}),
        # A worker has had it in memory for days, so its rows are made from more than is archived, rightly.
        (Keeps(90, 2), 3, {"archive expired": 1}),
    ],
)
def test_a_trace_is_judged_while_all_of_it_is_kept(keeps: Keeps, archived: int, skipped: dict[str, int]) -> None:
    three_days_ago = (int(time.time()) - 3 * DAY) * 1_000_000
    state = SimpleNamespace(first_seen=three_days_ago)
    folded: Any = SimpleNamespace(name=NAME, unreadable=0, archived=3, state=state)
    examined = Examined()
    judged = _as_read(folded, Read({}, {}, {NAME: archived}, {}), keeps, examined)
    assert (judged, examined.skipped) == (not skipped, skipped)
