"""What a person is told where ClickHouse is not found: one line, with the reason and nothing of the driver's."""

import socketserver
import threading
from collections.abc import Iterator

import pytest

from pipeline.local.ports import find_free_port
from pipeline.store.client import connect
from pipeline.store.errors import StoreAbsentError
from tests.fixtures.store import settings_for

PAGE = b"<html>\n<p>not implemented</p>\n</html>"
ANSWER = b"HTTP/1.1 501 No\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(PAGE), PAGE)


class _Stranger(socketserver.StreamRequestHandler):
    """Another web server."""

    def handle(self) -> None:
        while self.rfile.readline().strip():
            pass
        self.wfile.write(ANSWER)


@pytest.fixture
def stranger() -> Iterator[int]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Stranger) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def _told(port: int) -> str:
    with pytest.raises(StoreAbsentError) as raised:
        connect(settings_for(f"http://127.0.0.1:{port}", "spanfold"), deadline=0.0)
    return str(raised.value.args[0]).partition(" within 0 s: ")[2]


def test_where_nothing_listens_it_is_the_systems_word() -> None:
    assert _told(find_free_port()) == "Connection refused."


def test_somebody_else_at_that_port_is_told_apart_and_its_page_is_not_shown(stranger: int) -> None:
    assert _told(stranger) == "the answer has HTTP status 501 and is not one of ClickHouse."
