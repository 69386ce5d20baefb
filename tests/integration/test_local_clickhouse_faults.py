"""The embedded engine may be killed or stopped at any moment: what it acknowledged stays."""

import threading
from collections.abc import Iterator

import httpx
import pytest

from tests.fixtures.clickhouse import SLOW_SELECT, ClickHouseProcess

pytestmark = pytest.mark.stack
ROWS = 500


@pytest.fixture
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseProcess]:
    """A server for one test, because the test ends it."""
    server = ClickHouseProcess(tmp_path_factory.mktemp("own"))
    server.start()
    yield server
    server.kill()


class Writer(threading.Thread):
    """Inserts numbered batches until the server is gone; `acknowledged` are the batches that it confirmed."""

    def __init__(self, url: str, lane: int) -> None:
        super().__init__()
        self.acknowledged: list[int] = []
        self._url = url
        self._lane = lane

    def run(self) -> None:
        batch = self._lane
        try:
            with httpx.Client(trust_env=False) as http:
                while True:
                    rows = "".join(f"{batch}\t{row}\n" for row in range(ROWS))
                    http.post(self._url, content=f"INSERT INTO t FORMAT TSV\n{rows}").raise_for_status()
                    self.acknowledged.append(batch)
                    batch += 4
        except httpx.TransportError:
            return


def test_sigkill_loses_no_acknowledged_insert_and_halves_none(own_server: ClickHouseProcess) -> None:
    own_server.client().command("CREATE TABLE t (batch UInt64, row UInt64) ENGINE = MergeTree ORDER BY (batch, row)")
    acknowledged: set[int] = set()
    for round_number in range(2):
        writers = [Writer(own_server.url, round_number * 1_000_000 + lane) for lane in range(4)]
        for writer in writers:
            writer.start()
        while min(len(writer.acknowledged) for writer in writers) < 20:
            assert all(writer.is_alive() for writer in writers)
        own_server.kill()
        for writer in writers:
            writer.join()
            acknowledged.update(writer.acknowledged)
        own_server.start()
    stored = dict(own_server.client().query("SELECT batch, count() FROM t GROUP BY batch").result_rows)
    assert acknowledged <= stored.keys()
    assert set(stored.values()) == {ROWS}


def test_sigterm_lets_a_running_request_end(own_server: ClickHouseProcess) -> None:
    answers: list[str] = []

    def ask() -> None:
        with httpx.Client(trust_env=False, timeout=30) as http:
            params = {"log_comment": "last"}
            answers.append(http.post(own_server.url, params=params, content="SELECT sleep(1.5)").text)

    asking = threading.Thread(target=ask)
    asking.start()
    seen = "SELECT count() FROM system.processes WHERE Settings['log_comment'] LIKE 'last %'"
    with httpx.Client(trust_env=False) as http:
        while http.post(own_server.url, content=seen).text.strip() != "1":
            assert asking.is_alive()
    assert own_server.stop() == 0
    asking.join()
    assert answers == ["0\n"]


def test_sigterm_ends_in_time_although_a_select_goes_on(tmp_path_factory: pytest.TempPathFactory) -> None:
    server = ClickHouseProcess(tmp_path_factory.mktemp("grace"), "--grace", "0.5")
    server.start()
    failed = threading.Event()

    def ask() -> None:
        with httpx.Client(trust_env=False, timeout=30) as http:
            try:
                answer = http.post(server.url, params={"log_comment": "endless"}, content=SLOW_SELECT)
            except httpx.TransportError:
                failed.set()
            else:
                assert answer.status_code >= 400
                failed.set()

    asking = threading.Thread(target=ask)
    asking.start()
    seen = "SELECT count() FROM system.processes WHERE Settings['log_comment'] LIKE 'endless %'"
    with httpx.Client(trust_env=False) as http:
        while http.post(server.url, content=seen).text.strip() != "1":
            assert asking.is_alive()
    assert server.stop() == 0
    asking.join()
    assert failed.is_set()


def test_a_second_process_on_the_same_data_is_refused(own_server: ClickHouseProcess) -> None:
    second = ClickHouseProcess(own_server.data.parent)
    with pytest.raises(AssertionError, match="already used by another process"):
        second.start()
    assert own_server.client().command("SELECT 1") == 1
