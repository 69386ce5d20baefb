"""Sessions: what a client keeps between requests that carry the same `session_id`.

Problem: SET, USE and temporary tables live on a connection, and HTTP has none.
Rule: a session keeps one connection; a request without a session gets a new one and leaves nothing behind.
Fails: two requests at once in one session: 373 (SESSION_IS_LOCKED); `session_check=1` and no such session: 372;
more sessions than `limit`: 202. A session that is not used for its timeout is closed.
"""

import threading
import time
from dataclasses import dataclass

from pipeline.local.clickhouse.engine import Connection, Engine
from pipeline.local.clickhouse.errors import ClickHouseError, Code
from pipeline.local.clickhouse.protocol import Request


@dataclass(slots=True)
class _Session:
    connection: Connection
    busy: bool = True
    expires: float = 0.0


class Sessions:
    """Hands out connections; safe to use from many threads."""

    def __init__(self, engine: Engine, limit: int = 1000) -> None:
        self._engine = engine
        self._limit = limit
        self._sessions: dict[str, _Session] = {}
        self._lock = threading.Lock()

    def take(self, request: Request) -> Connection:
        """The connection for a request; return it with `give_back`."""
        if not request.session_id:
            return self._engine.connect()
        with self._lock:
            session = self._sessions.get(request.session_id)
            if session is None:
                session = self._open(request)
            elif session.busy:
                message = f"Session {request.session_id} is locked by a concurrent client"
                raise ClickHouseError.raised(Code.SESSION_IS_LOCKED, message)
            session.busy = True
            return session.connection

    def give_back(self, request: Request, connection: Connection) -> None:
        """End a request's use of its connection."""
        if not request.session_id:
            connection.close()
            return
        with self._lock:
            session = self._sessions[request.session_id]
            session.busy = False
            session.expires = time.monotonic() + request.session_timeout
            if request.close_session:
                del self._sessions[request.session_id]
                connection.close()

    def close_expired(self) -> None:
        """Close every idle session whose timeout is over."""
        now = time.monotonic()
        with self._lock:
            expired = [name for name, session in self._sessions.items() if not session.busy and session.expires < now]
            for name in expired:
                self._sessions.pop(name).connection.close()

    def close(self) -> None:
        """Close all sessions; no request may run any more."""
        with self._lock:
            for session in self._sessions.values():
                session.connection.close()
            self._sessions.clear()

    def _open(self, request: Request) -> _Session:
        if request.session_check:
            raise ClickHouseError.raised(Code.SESSION_NOT_FOUND, f"Session {request.session_id} not found")
        if len(self._sessions) >= self._limit:
            message = f"There are {self._limit} open sessions; use fewer clients or a shorter session_timeout"
            raise ClickHouseError.raised(Code.TOO_MANY_SIMULTANEOUS_QUERIES, message)
        session = self._sessions[request.session_id] = _Session(self._engine.connect())
        return session
