"""What a process needs is waited for with a line that says so; what waiting cannot cure is an error."""

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from aiokafka.errors import KafkaConnectionError
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from pipeline import patience
from pipeline.config import Settings
from pipeline.errors import AbsentError, SettingError
from pipeline.kafka_client import check_presence
from pipeline.local.ports import find_free_port
from pipeline.patience import Waiting, until
from pipeline.registry import RegistryError, open_registry
from pipeline.registry.database import is_absent
from pipeline.stream.start import Start


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "ASK_AGAIN", 0.001)


class Service:
    """It answers after so many questions."""

    def __init__(self, absent: int, error: Callable[[], Exception]) -> None:
        self.absent, self.error = absent, error
        self.asked = 0

    async def ask(self) -> str:
        self.asked += 1
        if self.asked <= self.absent:
            raise self.error()
        return "here"


async def test_what_does_not_answer_is_waited_for_and_told_of() -> None:
    service, waiting = Service(3, lambda: AbsentError("It is away.", remedy="Look.")), Waiting()
    told: list[str] = []

    async def ask() -> str:
        told.append(waiting.complaint())
        return await service.ask()

    with capture_logs() as logs:
        assert await waiting.until("Kafka", ask) == "here"
    assert [(line["event"], line["what"], line["error"]) for line in logs] == [("waiting", "Kafka", "It is away.")] * 3
    assert told == ["", *["Kafka does not answer."] * 3]
    assert waiting.complaint() == ""


def test_a_name_that_leads_nowhere_is_an_error_after_a_while_and_one_that_comes_late_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    late = Service(5, lambda: AbsentError("Unknown host.", remedy="Check it.", unknown=True))
    assert until("The registry", lambda: "at once") == "at once"
    assert asyncio.run(Waiting().until("Kafka", late.ask)) == "here"
    monkeypatch.setattr(patience, "UNKNOWN_WITHIN", 0.0)
    with pytest.raises(SettingError, match="Unknown host") as caught:
        asyncio.run(Waiting().until("Kafka", Service(1, late.error).ask))
    assert caught.value.remedy == "Check it."


async def test_a_refusal_is_an_error_at_once() -> None:
    service = Service(1, lambda: SettingError("a wrong password"))
    with pytest.raises(SettingError):
        await Waiting().until("Kafka", service.ask)
    assert service.asked == 1


async def test_a_port_where_nobody_listens_is_absent_and_a_name_that_nobody_knows_is_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(AbsentError, match="does not answer") as caught:
        await check_presence(Settings(kafka_bootstrap=f"127.0.0.1:{find_free_port()}"))
    assert not caught.value.unknown
    for code, unknown in ((socket.EAI_NONAME, True), (socket.EAI_AGAIN, False)):

        async def nowhere(*_: object, code: int = code, **__: object) -> None:
            raise socket.gaierror(code, "Name or service not known")

        monkeypatch.setattr(asyncio, "open_connection", nowhere)
        with pytest.raises(AbsentError) as caught:
            await check_presence(Settings(kafka_bootstrap="nobody:9092,nobody-else:9092"))
        assert caught.value.unknown is unknown


async def test_an_outbox_that_cannot_connect_is_tried_anew_and_closed_each_time() -> None:
    service, stopped = Service(2, lambda: KafkaConnectionError("no broker")), []

    class Outbox:
        async def start(self) -> None:
            await service.ask()

        async def stop(self) -> None:
            stopped.append(service.asked)

    with capture_logs() as logs:
        await Start(Settings()).outbox(Outbox())  # type: ignore[arg-type]
    assert stopped == [1, 2]
    assert [line["event"] for line in logs] == ["waiting"] * 2


@pytest.mark.parametrize(
    ("said", "absent"),
    [
        ('connection to server at "127.0.0.1", port 5432 failed: Connection refused', True),
        ("the database system is starting up", True),
        ('password authentication failed for user "someone"', False),
        ('database "spanfold" does not exist', False),
    ],
)
def test_a_database_server_that_is_away_is_absent_and_one_that_refuses_us_is_not(said: str, absent: bool) -> None:
    error = OperationalError("SELECT 1", {}, Exception(said))
    assert is_absent("postgresql+psycopg://host/name", error) is absent
    assert not is_absent("sqlite:///file", error), "a file is there or is not"
    assert not is_absent("postgresql+psycopg://host/name", ValueError(said))


def test_a_registry_s_file_that_cannot_be_opened_is_not_waited_for(tmp_path: Path) -> None:
    with pytest.raises(RegistryError) as caught:
        open_registry(f"sqlite:///{tmp_path}")
    assert not isinstance(caught.value, AbsentError)
