"""The gate between two processes: what it lets through, and what it does to connections."""

import socket
import threading
from collections.abc import Iterator

import pytest

from pipeline.local.ports import LOOPBACK
from tests.faults.chaos.gate import CALM, TcpGate, Trouble, clickhouse_error

BIG = b"x" * 500_000


class Echo(threading.Thread):
    """A server that says back what it hears, and remembers how much that was."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.heard = 0
        self.listener = socket.create_server((LOOPBACK, 0))
        self.port = int(self.listener.getsockname()[1])
        self.start()

    def run(self) -> None:
        """Until the listener is closed."""
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                while piece := _received(connection):
                    self.heard += len(piece)
                    connection.sendall(piece)


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65_536)
    except ConnectionError:
        return b""


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.listener.close()


@pytest.fixture
def gate(echo: Echo) -> Iterator[TcpGate]:
    with TcpGate(echo.port) as running:
        yield running


def connected(gate: TcpGate) -> socket.socket:
    return socket.create_connection((LOOPBACK, gate.port), timeout=10)


def said_back(client: socket.socket, words: bytes) -> bytes:
    """What comes back, until as much came as was sent or the connection ended."""
    heard = b""
    try:
        client.sendall(words)
        while len(heard) < len(words) and (piece := client.recv(65_536)):
            heard += piece
    except ConnectionError:
        pass
    return heard


def test_a_calm_gate_lets_everything_pass(gate: TcpGate) -> None:
    with connected(gate) as client:
        assert said_back(client, BIG[:60_000]) == BIG[:60_000]


def test_a_request_is_cut_in_its_middle_also_on_an_open_connection(gate: TcpGate, echo: Echo) -> None:
    with connected(gate) as client:
        assert said_back(client, b"before") == b"before"
        gate.become(Trouble(cut_after=1_000))
        said_back(client, BIG)
        assert gate.cuts == 1
    assert echo.heard <= len(b"before") + 1_000
    gate.become(CALM)
    with connected(gate) as client:
        assert said_back(client, b"after") == b"after"


def test_an_answer_is_lost_though_its_request_arrived(gate: TcpGate, echo: Echo) -> None:
    gate.become(Trouble(loses_answers=True))
    with connected(gate) as client:
        assert said_back(client, b"request") == b""
    assert echo.heard == len(b"request")


def test_a_black_hole_keeps_what_it_has_until_all_is_calm(gate: TcpGate, echo: Echo) -> None:
    with connected(gate) as client:
        assert said_back(client, b"one") == b"one"
        gate.become(Trouble(hangs=True))
        client.sendall(b"two")
        client.settimeout(0.1)
        with pytest.raises(TimeoutError):
            client.recv(1)
        assert echo.heard == len(b"one")
        gate.become(CALM)
        client.settimeout(10)
        assert client.recv(3) == b"two"


def test_refusing_ends_open_connections_and_new_ones(gate: TcpGate) -> None:
    with connected(gate) as client:
        assert said_back(client, b"one") == b"one"
        gate.become(Trouble(refuses=True))
        assert said_back(client, b"two") == b""
    with connected(gate) as client:
        assert said_back(client, b"three") == b""


def test_the_gate_answers_in_the_servers_place(gate: TcpGate, echo: Echo) -> None:
    gate.become(Trouble(answer=clickhouse_error(243, "no space")))
    with connected(gate) as client:
        client.sendall(b"INSERT")
        heard = b""
        while piece := client.recv(4_096):
            heard += piece
    assert heard.startswith(b"HTTP/1.1 500 ")
    assert b"X-ClickHouse-Exception-Code: 243" in heard
    assert heard.endswith(b"Code: 243. DB::Exception: no space\n")
    assert echo.heard == 0


def test_what_is_late_arrives(gate: TcpGate) -> None:
    gate.become(Trouble(delay=0.01))
    with connected(gate) as client:
        assert said_back(client, b"late") == b"late"
