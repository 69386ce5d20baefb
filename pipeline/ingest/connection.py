"""The HTTP connection, with bounds on what comes before a request: the parser itself has none.

Problem: a client may send headers without end, or one byte of them a minute, and hold memory or a connection for ever.
Rule: request line and headers together have SPANFOLD_MAX_HEADER_BYTES (431 above), and SPANFOLD_HEADER_TIMEOUT seconds
from the first moment that the connection owes them (408 later). The pace of bodies is limits.py's matter.
"""

from asyncio import TimerHandle, Transport

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_REFUSALS = {
    408: b"HTTP/1.1 408 Request Timeout",
    431: b"HTTP/1.1 431 Request Header Fields Too Large",
}


class BoundedConnection(HttpToolsProtocol):
    """uvicorn's connection; `bounded` makes the class for given limits."""

    max_header_bytes = 32 * 1024
    header_timeout = 10.0

    _unread = 0  # bytes that have come since the last request's headers or body
    _in_body = False
    _overdue: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """A client is there and owes us its headers."""
        super().connection_made(transport)
        self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """It has gone."""
        self._expect_nothing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what comes while headers are due."""
        answered = self._in_body and self.cycle is not None and self.cycle.response_complete
        if self._overdue is None and (answered or not self._in_body):  # idle and stirs, or nobody reads this body
            self._expect_headers()
        if not self._in_body:
            self._unread += len(data)
        super().data_received(data)
        if self._unread > self.max_header_bytes and not self._in_body:
            self._refuse(431)

    def on_headers_complete(self) -> None:
        """They are here in time."""
        self._expect_nothing()
        too_long = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if too_long > self.max_header_bytes:
            self._refuse(431)
            return
        self._in_body = True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Part of a body, unless the request was refused."""
        if self._in_body:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The next thing that comes belongs to another request."""
        if not self._in_body:
            return
        self._expect_nothing()
        self._in_body = False
        self._unread = 0
        super().on_message_complete()

    def _expect_headers(self) -> None:
        self._overdue = self.loop.call_later(self.header_timeout, self._refuse, 408)

    def _expect_nothing(self) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None

    def _refuse(self, status: int) -> None:
        if not self.transport.is_closing():
            self.transport.write(_REFUSALS[status] + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            self.transport.close()


def bounded(max_header_bytes: int, header_timeout: float) -> type[BoundedConnection]:
    """The class with these limits, in bytes and seconds: uvicorn wants a class, not an object."""
    limits = {"max_header_bytes": max_header_bytes, "header_timeout": header_timeout}
    return type("Connection", (BoundedConnection,), limits)
