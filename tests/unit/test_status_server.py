"""The HTTP server for metrics and health: what it answers, whom it does not wait for, and which address it refuses."""

import http.client
import json
import socket
from collections.abc import Iterator

import pytest

from pipeline.errors import SettingError
from pipeline.metrics import CONTENT_TYPE, Metrics, Role
from pipeline.metrics.health import LIVE, READY, Health
from pipeline.metrics.server import Answer, StatusServer

COMPLAINTS = {LIVE: "", READY: ""}


@pytest.fixture
def server() -> Iterator[StatusServer]:
    metrics = Metrics(Role.WORKER)
    health = Health([lambda: COMPLAINTS[LIVE]], [lambda: COMPLAINTS[READY]])
    paths = {"/metrics": lambda: Answer(200, metrics.text(), CONTENT_TYPE), LIVE: health.live, READY: health.ready}
    running = StatusServer(paths, "127.0.0.1", 0)
    running.start()
    yield running
    running.stop()
    COMPLAINTS.update({LIVE: "", READY: ""})


def ask(server: StatusServer, path: str, method: str = "GET") -> tuple[int, str, str]:
    """Status, content type and body."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read().decode()
    finally:
        connection.close()


def test_metrics_come_as_prometheus_reads_them(server: StatusServer) -> None:
    status, content_type, body = ask(server, "/metrics?name[]=x")
    assert (status, content_type) == (200, CONTENT_TYPE)
    assert 'spanfold_build_info{instance_id="",role="worker"' in body


def test_health_is_ok_until_something_is_wrong(server: StatusServer) -> None:
    assert ask(server, READY)[0] == 200
    COMPLAINTS[READY] = "No partitions."
    status, content_type, body = ask(server, READY)
    assert (status, content_type, json.loads(body)["reasons"]) == (503, "application/json", ["No partitions."])
    assert ask(server, LIVE)[0] == 200


def test_what_is_not_live_is_not_ready(server: StatusServer) -> None:
    COMPLAINTS[LIVE] = "The loop is stuck."
    assert [ask(server, path)[0] for path in (LIVE, READY)] == [503, 503]


def test_other_paths_and_methods_are_refused_and_say_what_there_is(server: StatusServer) -> None:
    status, _, body = ask(server, "/")
    assert status == 404
    assert "/metrics" in body
    assert ask(server, "/metrics", "POST")[0] == 501
    assert ask(server, "/metrics", "HEAD")[::2] == (200, "")


def test_a_silent_client_keeps_nobody_waiting(server: StatusServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as silent:
        silent.send(b"GET /met")
        assert ask(server, LIVE)[0] == 200


def test_garbage_is_answered_and_the_server_lives_on(server: StatusServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.send(b"\x00\xff" * 100 + b"\r\n\r\n")
        assert b"400" in client.recv(1000)
    assert ask(server, LIVE)[0] == 200


def test_a_taken_port_is_a_wrong_setting(server: StatusServer) -> None:
    with pytest.raises(SettingError, match=f"127.0.0.1:{server.port}") as error:
        StatusServer({}, "127.0.0.1", server.port)
    assert "SPANFOLD_METRICS_PORT" in str(error.value.remedy)


def test_a_note_is_told_and_changes_no_status() -> None:
    def answer(wrong: str, note: str) -> tuple[int, dict[str, object]]:
        told = Health([lambda: ""], [lambda: wrong], [lambda: note]).ready()
        return told.status, {name: some for name, some in json.loads(told.body).items() if name != "version"}

    assert answer("", "much waits") == (200, {"status": "OK", "notes": ["much waits"]})
    assert answer("", "") == (200, {"status": "OK"})
    assert answer("late", "much") == (503, {"status": "failing", "reasons": ["late"], "notes": ["much"]})
