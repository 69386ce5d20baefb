"""`spanfold check-config`: origins, masks, notes and contradictions."""

import os

import pytest

from pipeline.ops.check import MASK, print_settings, problems, settings_shown, strangers


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("SPANFOLD_", "LANGFUSE_")):
            monkeypatch.delenv(name)


def shown(environment: dict[str, str], variable: str) -> tuple[str, str]:
    (row,) = [row for row in settings_shown(environment) if row.variable == variable]
    return row.value, row.origin


def test_every_setting_is_shown_with_where_it_came_from() -> None:
    assert shown({}, "SPANFOLD_HTTP_PORT") == ("3000", "default")
    assert shown({"SPANFOLD_HTTP_PORT": "1"}, "SPANFOLD_HTTP_PORT") == ("1", "SPANFOLD_HTTP_PORT")
    environment = {"LANGFUSE_INIT_PROJECT_ID": "mine"}
    assert shown(environment, "SPANFOLD_INIT_PROJECT_ID") == ("mine", "LANGFUSE_INIT_PROJECT_ID")


def test_secrets_are_masked_also_in_urls() -> None:
    assert shown({"SPANFOLD_CLICKHOUSE_PASSWORD": "x"}, "SPANFOLD_CLICKHOUSE_PASSWORD")[0] == MASK
    url = "postgresql+psycopg://me:hidden@db:5432/spanfold"
    assert shown({"SPANFOLD_REGISTRY_URL": url}, "SPANFOLD_REGISTRY_URL")[0] == url.replace("hidden", MASK)


def test_a_misspelt_variable_is_noted_with_the_right_one() -> None:
    assert strangers({"SPANFOLD_HTP_PORT": "1", "SPANFOLD_CACHE": "/tmp", "PATH": ""}) == [  # noqa: S108 - only a value
        "SPANFOLD_HTP_PORT is no setting; SPANFOLD_HTTP_PORT is one."
    ]


def test_a_wrong_value_is_named_with_what_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPANFOLD_HTTP_PORT", "http")
    assert len(problems()) == 1
    assert problems()[0].startswith("SPANFOLD_HTTP_PORT: ")
    assert "'http'" in problems()[0]


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"SPANFOLD_PENDING_EVENTS": "5"}, "SPANFOLD_FLUSH_EVENTS"),
        ({"SPANFOLD_SETTLE_IDLE": "1"}, "SPANFOLD_SETTLE_QUIET"),
        ({"SPANFOLD_INIT_PROJECT_PUBLIC_KEY": "pk"}, "one half"),
        ({"SPANFOLD_CLICKHOUSE_URL": "localhost:8123"}, "SPANFOLD_CLICKHOUSE_URL"),
        ({"SPANFOLD_KAFKA_BOOTSTRAP": "kafka"}, "host:port"),
        ({"SPANFOLD_LOG_LEVEL": "loud"}, "SPANFOLD_LOG_LEVEL"),
        ({"SPANFOLD_CLICKHOUSE_URL": "https://me:hidden@db"}, "SPANFOLD_CLICKHOUSE_USER"),
        ({"SPANFOLD_CLICKHOUSE_CA_PATH": "/ca.pem"}, "not https"),
        ({"SPANFOLD_KAFKA_CA_PATH": "/ca.pem"}, "without TLS"),
        ({"SPANFOLD_KAFKA_USERNAME": "me"}, "without SASL"),
        ({"SPANFOLD_KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}, "SPANFOLD_KAFKA_PASSWORD"),
        ({"SPANFOLD_KAFKA_SECURITY_PROTOCOL": "sasl_ssl"}, "SPANFOLD_KAFKA_SECURITY_PROTOCOL"),
        ({"SPANFOLD_HTTP_KEY_PATH": "/key.pem"}, "SPANFOLD_HTTP_CERTIFICATE_PATH"),
    ],
)
def test_contradictions_are_found(variables: dict[str, str], named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    (problem,) = problems()
    assert named in problem


def test_the_defaults_are_right(capsys: pytest.CaptureFixture[str]) -> None:
    assert print_settings() is False
    assert "The settings are right." in capsys.readouterr().out
