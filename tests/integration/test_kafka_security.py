"""Kafka over TLS with SASL: every client comes through, and who is not let in is told why at once."""

import base64
import json
import os
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from pydantic import SecretStr

from pipeline.config import Settings
from pipeline.errors import SettingError
from pipeline.ingest.server import serve
from pipeline.kafka_client import check_access
from pipeline.ops.bench.fill import fill
from pipeline.ops.bench.traffic import Outgoing
from pipeline.ops.doctor_services import check_broker, check_topics
from pipeline.ops.kafka_admin import BrokerUnreachableError
from pipeline.ops.lag import read_lag
from pipeline.ops.topics import ensure_topics
from pipeline.stream.outbox import Message, Outbox
from pipeline.stream.worker import run_evaluator
from tests.fixtures.front_door import basic, batch, running, span
from tests.fixtures.kafka import PASSWORD, USER, SecuredKafka
from tests.fixtures.tls_gate import tls_gate
from tests.fixtures.views import wait_until_stored
from tests.fixtures.worker import Stack

pytestmark = pytest.mark.stack


def secured(kafka: SecuredKafka, **more: object) -> dict[str, object]:
    """The fields of Settings that reach the secured listener."""
    fields = {
        "kafka_bootstrap": kafka.secure_bootstrap,
        "kafka_security_protocol": "SASL_SSL",
        "kafka_ca_path": str(kafka.certificates.authority),
        "kafka_username": USER,
        "kafka_password": SecretStr(PASSWORD),
    }
    return fields | more


def unsecured_token(folder: Path) -> Path:
    """What Kafka's own validator for developers takes: a token that nobody signed."""
    parts = ({"alg": "none"}, {"sub": USER, "iat": 1_700_000_000, "exp": 4_000_000_000})
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    path = folder / "token"
    path.write_text(".".join(encoded) + ".\n")
    return path


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"])
async def test_admin_producer_and_consumer_come_through(
    kafka: SecuredKafka, topic_prefix: str, tmp_path: Path, mechanism: str
) -> None:
    more = {"kafka_sasl_mechanism": mechanism, "kafka_token_path": str(unsecured_token(tmp_path))}
    settings = Settings(topic_prefix=topic_prefix, **secured(kafka, **more))  # type: ignore[arg-type]
    await check_access(settings)
    await ensure_topics(settings)
    outbox = Outbox(settings, SimpleNamespace())  # type: ignore[arg-type]  # nothing is too large for Kafka here
    await outbox.start()
    await outbox.send(settings.events_topic, [b"one"], lambda value: Message(b"key", value))
    await outbox.stop()
    await fill(settings, [Outgoing(b"key", b"two")], lambda _: None)
    assert sum(row.lag for row in await read_lag(settings)) == 2
    assert (await check_broker(settings)).ok
    assert (await check_topics(settings)).ok


async def test_an_event_goes_all_the_way_encrypted(
    kafka: SecuredKafka, stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Front door, broker and store over TLS; the worker has its password from a file, and no log tells it."""
    certificates, password = kafka.certificates, tmp_path / "password"
    password.write_text(PASSWORD + "\n")
    monkeypatch.setenv("SPANFOLD_KAFKA_PASSWORD_FILE", str(password))
    chosen = secured(kafka)
    del chosen["kafka_password"]
    authority = str(certificates.authority)
    with tls_gate(certificates, int(stack.settings.clickhouse_url.rpartition(":")[2])) as port:
        store = {"clickhouse_url": f"https://127.0.0.1:{port}", "clickhouse_ca_path": authority}
        worker = stack.worker(settle_quiet=0.2, log_level="debug", **chosen, **store)
        door = {"http_certificate_path": str(certificates.certificate), "http_key_path": str(certificates.key)}
        topic = {"topic_prefix": stack.settings.topic_prefix, "topic_partitions": stack.settings.topic_partitions}
        async with running(tmp_path / "door", **chosen, **door, **topic) as front:
            url = str(front.client.base_url).replace("http:", "https:")
            headers = basic(front.key.public_key, front.key.secret_key)
            trusting = ssl.create_default_context(cafile=authority)
            async with httpx.AsyncClient(base_url=url, headers=headers, verify=trusting) as client:
                answer = await client.post("/api/public/ingestion", content=batch(span(1)))
            assert answer.status_code == 207
        wait_until_stored(stack, 1)
    assert PASSWORD not in worker.log.read_text()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kafka_password": SecretStr("wrong-password")}, f"refuses user '{USER}' or the password"),
        ({"kafka_username": "mallory"}, "refuses user 'mallory' or the password"),
        ({"kafka_ca_path": ""}, "is not trusted"),
    ],
)
async def test_who_is_not_let_in_is_told_why(kafka: SecuredKafka, change: dict[str, object], said: str) -> None:
    settings = Settings(**secured(kafka, **change))  # type: ignore[arg-type]
    with pytest.raises(SettingError) as caught:
        await ensure_topics(settings)
    assert said in str(caught.value)
    assert "SPANFOLD_KAFKA_" in caught.value.remedy
    assert PASSWORD not in str(caught.value)
    assert "wrong-password" not in str(caught.value)
    finding = await check_broker(settings)
    assert not finding.ok
    assert said in finding.found


async def test_a_port_without_tls_is_told_with_the_setting_that_decides(kafka: SecuredKafka) -> None:
    settings = Settings(**secured(kafka, kafka_bootstrap=kafka.bootstrap))  # type: ignore[arg-type]
    await check_access(settings)  # the broker just hangs up, as one does that is starting
    with pytest.raises(BrokerUnreachableError, match="SPANFOLD_KAFKA_SECURITY_PROTOCOL"):
        await read_lag(settings)


def test_a_role_with_a_wrong_password_ends_at_once_and_says_so(kafka: SecuredKafka, tmp_path: Path) -> None:
    settings = secured(kafka, kafka_password="wrong-password", data_dir=tmp_path)
    environment = {f"SPANFOLD_{name.upper()}": str(value) for name, value in settings.items()}
    outcome = subprocess.run(
        [sys.executable, "-P", "-m", "pipeline", "worker"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert outcome.returncode == 2, outcome.stderr
    assert f"refuses user '{USER}' or the password" in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert "wrong-password" not in outcome.stderr + outcome.stdout


@pytest.mark.parametrize("run", [serve, run_evaluator])
def test_the_other_roles_do_not_start_either(
    kafka: SecuredKafka, tmp_path: Path, run: Callable[[Settings], None]
) -> None:
    chosen = secured(kafka, kafka_password=SecretStr("wrong-password"), data_dir=tmp_path)
    with pytest.raises(SettingError, match="or the password"):
        run(Settings(**chosen))  # type: ignore[arg-type]
