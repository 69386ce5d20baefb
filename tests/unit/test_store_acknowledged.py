"""ClickHouse's answers are told from those of somebody between, however friendly their status is."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.summary import QuerySummary

from pipeline.config import Settings
from pipeline.store import lookups
from pipeline.store.client import connect
from pipeline.store.insert import Inserter
from pipeline.store.retry import Backoff
from pipeline.store.tables import RAW_EVENTS
from pipeline.stream.persist import RETRYABLE
from tests.fixtures.store import raw_event_row


class Answering:
    """A client whose requests are answered with these headers' summaries, one after the other."""

    def __init__(self, answers: Sequence[dict[str, Any]]) -> None:
        self.answers = list(answers)

    def raw_insert(self, *_: Any, **__: Any) -> QuerySummary:
        return QuerySummary(self.answers.pop(0))


STORED = {"written_rows": "1", "query_id": "some-query"}


@pytest.mark.parametrize("good", [STORED, {"query_id": "some-query"}, {"written_rows": "1", "query_id": ""}])
def test_an_answer_that_is_not_of_clickhouse_stores_nothing_and_is_tried_again(good: dict[str, Any]) -> None:
    """A proxy's page of maintenance with status 200 has none of ClickHouse's headers."""
    client: Any = Answering([{"query_id": ""}, {"query_id": ""}, good])
    told: list[str] = []
    inserter = Inserter(client, backoff=Backoff(0.001, 0.001), on_retry=lambda table, error, _: told.append(str(error)))
    assert asyncio.run(inserter.insert(RAW_EVENTS, [raw_event_row("e")], "token")) == []
    inserter.close()
    assert (client.answers, len(told)) == ([], 2)
    assert "not of ClickHouse" in told[0]


class Proxy(BaseHTTPRequestHandler):
    """Lets a client connect, and then says 200 to everything; or is ClickHouse, with nothing stored."""

    named = ""

    def do_POST(self) -> None:
        asked = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b"26.1.1.1\tUTC\n" if b"version()" in asked + self.path.encode() else b""
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        if self.named:
            self.send_header("X-ClickHouse-Query-Id", self.named)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def behind_proxy() -> Iterator[Client]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with closing(connect(Settings(clickhouse_url=f"http://127.0.0.1:{server.server_port}"))) as client:
            yield client
        server.shutdown()


@pytest.mark.parametrize(
    "question",
    [
        lambda client: list(lookups.read_back(client, [("p", "t")])),
        lambda client: lookups.known_trace_hashes(client, "events", 0, 1),
        lambda client: lookups.open_traces(client, 0, 1, 10),
        lambda client: lookups.stored_traces(client, [("p", "t")], {}),
    ],
)
def test_an_empty_answer_of_a_proxy_does_not_say_that_nothing_is_stored(
    behind_proxy: Client, question: Callable[[Client], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RETRYABLE, match="not of ClickHouse"):
        question(behind_proxy)
    monkeypatch.setattr(Proxy, "named", "some-query")
    assert not question(behind_proxy)
