"""What a score belongs to, asked of the store for the front door: the one thing it must know to delete a score.

Problem: a score's tombstone must go to the partition of the score's trace, and `DELETE /scores/{id}` does not name it.
Rule: one small read of the view `scores`, in a thread, for deletions only; nothing else at the front door waits for
ClickHouse. The connection is made at the first deletion, so that the front door starts without a store.
Failure: StoreError. Configured by the connection to ClickHouse.
"""

import asyncio
from threading import Lock

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from pipeline.config import Settings
from pipeline.events import keys
from pipeline.store.client import connect
from pipeline.store.errors import StoreError

_SECONDS = 5.0
_SQL = (
    "SELECT DISTINCT trace_id, session_id, dataset_run_id FROM scores "
    "WHERE project_id = {project:String} AND score_id = {score:String} LIMIT 1000"
)


class ScoreLookup:
    """Call it with a project and a score; safe from any loop."""

    def __init__(self, settings: Settings, seconds: float = _SECONDS) -> None:
        self._settings = settings
        self._seconds = seconds  # to connect; and for a query at least 1
        self._client: Client | None = None
        self._lock = Lock()

    async def __call__(self, project_id: str, score_id: str) -> list[str]:
        """What the scores with this id are grouped by; empty where no row shows one. Raises StoreError."""
        return await asyncio.to_thread(self._read, project_id, score_id)

    def _read(self, project_id: str, score_id: str) -> list[str]:
        try:
            found = self._connected().query(_SQL, parameters={"project": project_id, "score": score_id}).result_rows
        except ClickHouseError as error:
            raise StoreError(f"The score {score_id!r} cannot be looked up: {error}", remedy="Try again.") from error
        return [_group(*map(str, row)) for row in found]

    def _connected(self) -> Client:
        with self._lock:
            if self._client is None:
                self._client = connect(self._settings, deadline=self._seconds, timeout=max(1.0, self._seconds))
            return self._client


def _group(trace_id: str, session_id: str, dataset_run_id: str) -> str:
    if trace_id:
        return trace_id
    return keys.session_group(session_id) if session_id else keys.run_group(dataset_run_id)
