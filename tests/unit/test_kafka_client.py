"""What Kafka clients are made with; tests/integration/test_kafka_security.py tries it on a broker."""

import ast
import ssl
from pathlib import Path

import faust.auth
import pytest

from pipeline.config import Settings
from pipeline.errors import SettingError
from pipeline.kafka_client import TokenFile, kafka_options, producer_options, security_options
from pipeline.stream.app import faust_credentials
from tests.fixtures.certificates import make_certificates

PACKAGE = Path(__file__).parents[2] / "pipeline"
EMBEDDED = {"local/kafka_probe.py", "demo/kafka.py"}  # talk to the broker that `spanfold up` starts, in plain text
OPTIONS = ("kafka_options(", "producer_options(")  # the second is the first and what makes records durable
CLIENTS = {"AIOKafkaProducer", "AIOKafkaConsumer", "AIOKafkaAdminClient"}
SASL = {"kafka_security_protocol": "SASL_SSL", "kafka_username": "me", "kafka_password": "hidden"}


def settings(**fields: object) -> Settings:
    return Settings(**fields)  # type: ignore[arg-type]


def clients(path: Path) -> list[ast.Call]:
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    return [call for call in calls if isinstance(call.func, ast.Name) and call.func.id in CLIENTS]


def test_every_client_is_made_with_the_one_set_of_options() -> None:
    made = {path: clients(path) for path in PACKAGE.rglob("*.py") if str(path.relative_to(PACKAGE)) not in EMBEDDED}
    assert sum(len(calls) for calls in made.values()) >= 7
    bare = [
        f"{path.name}:{call.lineno}"
        for path, calls in made.items()
        for call in calls
        if not any(word.arg is None and ast.unparse(word.value).startswith(OPTIONS) for word in call.keywords)
    ]
    assert not bare, "made without kafka_options"


def test_plain_text_is_the_default() -> None:
    assert kafka_options(settings()) == {"bootstrap_servers": "localhost:9092", "security_protocol": "PLAINTEXT"}
    assert faust_credentials(settings()) is None


def test_a_producer_connects_as_all_clients_do_and_is_told_to_lose_and_double_nothing() -> None:
    plain, options = kafka_options(settings()), producer_options(settings())
    assert options.items() >= plain.items()
    assert (options["acks"], options["enable_idempotence"]) == ("all", True)


def test_tls_verifies_the_certificate_and_the_name(tmp_path: Path) -> None:
    made = make_certificates(tmp_path)
    options = kafka_options(settings(kafka_security_protocol="SSL", kafka_ca_path=str(made.authority)))
    context = options["ssl_context"]
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert [authority["subject"] for authority in context.get_ca_certs()] == [((("commonName", "Test CA"),),)]
    credentials = faust_credentials(settings(kafka_security_protocol="SSL", kafka_ca_path=str(made.authority)))
    assert isinstance(credentials, faust.auth.SSLCredentials)


def test_faust_gets_the_same_as_aiokafka() -> None:
    chosen = settings(kafka_sasl_mechanism="SCRAM-SHA-256", **SASL)
    options, credentials = security_options(chosen), faust_credentials(chosen)
    assert (options["sasl_plain_username"], options["sasl_plain_password"]) == ("me", "hidden")
    assert (credentials.username, credentials.password) == ("me", "hidden")
    assert credentials.protocol.value == options["security_protocol"] == "SASL_SSL"
    assert credentials.mechanism.value == options["sasl_mechanism"] == "SCRAM-SHA-256"
    assert "hidden" not in repr(credentials)


async def test_a_token_is_read_anew_at_each_connection(tmp_path: Path) -> None:
    path = tmp_path / "token"
    chosen = settings(
        kafka_security_protocol="SASL_PLAINTEXT", kafka_sasl_mechanism="OAUTHBEARER", kafka_token_path=str(path)
    )
    provider = security_options(chosen)["sasl_oauth_token_provider"]
    assert isinstance(faust_credentials(chosen), faust.auth.OAuthCredentials)
    for token in ("one", "two"):
        path.write_text(f"{token}\n")
        assert await provider.token() == token
    path.unlink()
    with pytest.raises(SettingError, match="SPANFOLD_KAFKA_TOKEN_PATH"):
        await TokenFile(path).token()


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        (SASL | {"kafka_password": ""}, "SPANFOLD_KAFKA_PASSWORD"),
        (SASL | {"kafka_username": ""}, "SPANFOLD_KAFKA_USERNAME"),
        (SASL | {"kafka_sasl_mechanism": "OAUTHBEARER"}, "SPANFOLD_KAFKA_TOKEN_PATH"),
        (SASL | {"kafka_ca_path": "/nowhere/ca.pem"}, "SPANFOLD_KAFKA_CA_PATH"),
        (SASL | {"kafka_certificate_path": __file__}, "SPANFOLD_KAFKA_CERTIFICATE_PATH"),
    ],
)
def test_what_cannot_work_is_told_with_the_setting(fields: dict[str, object], named: str) -> None:
    with pytest.raises(SettingError) as caught:
        kafka_options(settings(**fields))
    assert named in caught.value.remedy
    assert "hidden" not in str(caught.value)
