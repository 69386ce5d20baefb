"""A small HTTP server for what a process says of itself. It runs on threads of its own.

Rule: it must answer when the event loop does not, for that is what it is asked about. So it reads what the loop has
counted and waits for nothing. Paths are given as a table; anything else is 404, other methods 405 or 501.
How it fails: SettingError where the address cannot be had; a client that is silent is dropped after 5 seconds.
Configured by SPANFOLD_METRICS_HOST and SPANFOLD_METRICS_PORT.
"""

import socket
import sys
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any, NamedTuple

import structlog

from pipeline.errors import SettingError

log = structlog.get_logger(__name__)

OFF = -1  # as a port: no server
_SILENCE = 5  # seconds


class Answer(NamedTuple):
    """What a path answers."""

    status: int
    body: bytes
    content_type: str


Paths = Mapping[str, Callable[[], Answer]]


class StatusServer:
    """`start`, then `port` says where it listens; `stop`."""

    def __init__(self, paths: Paths, host: str, port: int) -> None:
        """Raises SettingError where the address cannot be had."""
        try:
            self._server = _Server((host, port), paths)
        except OSError as error:
            raise SettingError(
                f"Cannot listen on {host}:{port}: {error.strerror or error}.",
                remedy="Set SPANFOLD_METRICS_HOST and SPANFOLD_METRICS_PORT to a free address.",
            ) from error
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="status", daemon=True)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingTCPServer):  # not http.server's own: that one asks DNS for the name of this machine
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], paths: Paths) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.paths = paths
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no news; anything else is a bug, of which the process shall not die."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            log.exception("answer_failed", client=str(client_address))


class _Handler(BaseHTTPRequestHandler):
    timeout = _SILENCE
    server: _Server

    def do_GET(self) -> None:
        """Answer by the table of paths."""
        self._answer(body=True)

    def do_HEAD(self) -> None:
        """As GET, without the body."""
        self._answer(body=False)

    def log_message(self, *_: object) -> None:
        """Requests come every few seconds and are no news."""

    def version_string(self) -> str:
        """What we are, not which Python runs us."""
        return "spanfold"

    def _answer(self, *, body: bool) -> None:
        answer = self.server.paths.get(self.path.partition("?")[0], self._missing)()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if body:
            self.wfile.write(answer.body)

    def _missing(self) -> Answer:
        known = ", ".join(self.server.paths)
        return Answer(404, f"There is nothing here. Ask for {known}.\n".encode(), "text/plain; charset=utf-8")
