"""Secrets from files, and that no secret is shown: settings, check-config, logs, tracebacks."""

import json
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from pipeline.config import Settings
from pipeline.errors import SettingError
from pipeline.local.stack import load_settings
from pipeline.ops.check import print_settings
from pipeline.ops.logs import configure_logs
from pipeline.registry import open_registry
from pipeline.registry.errors import RegistryError
from pipeline.secret_files import MASK, is_secret, masked, passwords_in, secrets_of, variables_of

SECRET_FIELDS = [name for name, field in Settings.model_fields.items() if is_secret(name, field)]
URL = "postgresql+psycopg://me:{}@127.0.0.1:1/spanfold"


def secret(name: str) -> str:
    return f"value-of-{name}"


def text_of(name: str) -> str:
    """What the setting is set to."""
    return URL.format(secret(name)) if name.endswith("_url") else secret(name)


def variable(name: str) -> str:
    return variables_of(name, Settings.model_fields[name])[0]


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("SPANFOLD_", "LANGFUSE_")):
            monkeypatch.delenv(name)


@pytest.fixture
def every_secret(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every secret is set, from the environment; their values."""
    for name in SECRET_FIELDS:
        monkeypatch.setenv(variable(name), text_of(name))
    monkeypatch.setenv("SPANFOLD_INIT_PROJECT_PUBLIC_KEY", "pk-lf-1")
    return [secret(name) for name in SECRET_FIELDS]


def plain(settings: Settings, name: str) -> str:
    value = getattr(settings, name)
    return value if isinstance(value, str) else value.get_secret_value()


def test_the_secrets_are_those_we_know_of() -> None:
    """Whoever adds one adds it here and to docs/security.md."""
    assert set(SECRET_FIELDS) >= {
        "kafka_password",
        "kafka_key_password",
        "clickhouse_password",
        "registry_url",
        "init_project_secret_key",
        "media_secret",
    }
    named_like_one = {name for name in Settings.model_fields if name.endswith(("password", "secret", "secret_key"))}
    assert named_like_one <= set(SECRET_FIELDS)


@pytest.mark.parametrize("name", SECRET_FIELDS)
def test_every_secret_may_come_from_a_file(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret"
    path.write_text(text_of(name) + "\n")
    monkeypatch.setenv(variable(name) + "_FILE", str(path))
    settings = load_settings()
    assert plain(settings, name) == text_of(name)
    assert name in settings.model_fields_set


def test_a_file_may_name_what_another_program_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text("sk-lf-1\r\n")
    monkeypatch.setenv("LANGFUSE_INIT_PROJECT_SECRET_KEY_FILE", str(tmp_path / "key"))
    assert load_settings().init_project_secret_key.get_secret_value() == "sk-lf-1"


def test_only_one_line_break_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text(" a b \n\n")
    monkeypatch.setenv("SPANFOLD_KAFKA_PASSWORD_FILE", str(tmp_path / "key"))
    assert load_settings().kafka_password.get_secret_value() == " a b \n"


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_told(
    content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("SPANFOLD_KAFKA_PASSWORD_FILE", str(path))
    with pytest.raises(SettingError, match="SPANFOLD_KAFKA_PASSWORD_FILE"):
        load_settings()
    assert print_settings() is True
    assert "wrong: SPANFOLD_KAFKA_PASSWORD_FILE is" in capsys.readouterr().out


def test_both_forms_may_only_say_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text("one-thing\n")
    monkeypatch.setenv("SPANFOLD_KAFKA_PASSWORD_FILE", str(tmp_path / "secret"))
    monkeypatch.setenv("SPANFOLD_KAFKA_PASSWORD", "one-thing")
    load_settings()
    monkeypatch.setenv("SPANFOLD_KAFKA_PASSWORD", "another")
    with pytest.raises(SettingError, match="say different things") as caught:
        load_settings()
    assert "another" not in str(caught.value)


def test_a_dump_of_the_settings_shows_no_secret_but_the_url(every_secret: list[str]) -> None:
    settings = load_settings()
    dumps = repr(settings), str(settings), json.dumps(settings.model_dump(mode="json"))
    hidden = [value for value in every_secret if value != secret("registry_url")]
    assert not [value for value in hidden for dump in dumps if value in dump]
    assert set(every_secret) <= set(secrets_of(settings))


def test_check_config_shows_no_secret(
    every_secret: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "media").write_text("value-of-media-file")
    monkeypatch.delenv("SPANFOLD_MEDIA_SECRET")
    monkeypatch.setenv("SPANFOLD_MEDIA_SECRET_FILE", str(tmp_path / "media"))
    print_settings()
    shown = capsys.readouterr().out
    assert not [value for value in [*every_secret, "value-of-media-file"] if value in shown]
    assert f"postgresql+psycopg://me:{MASK}@127.0.0.1:1/spanfold" in shown
    (line,) = [line for line in shown.splitlines() if line.startswith("SPANFOLD_MEDIA_SECRET")]
    assert line.split() == ["SPANFOLD_MEDIA_SECRET", MASK, "SPANFOLD_MEDIA_SECRET_FILE"]


def test_a_password_with_an_at_sign_is_hidden_too() -> None:
    assert passwords_in("postgresql://me:p@ss%21word@db/x") == {"p@ss%21word", "p@ss!word"}
    assert passwords_in("postgresql://me@db/x") == set()
    assert passwords_in("sqlite:////data/a@b:c") == set()


@pytest.fixture
def log_as_a_role(every_secret: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Logs as `spanfold worker` has them at debug level; pytest's own are back afterwards."""
    root, ours = logging.getLogger(), logging.getLogger("pipeline")
    before = root.handlers[:], root.level, ours.level, structlog.get_config()
    monkeypatch.setenv("SPANFOLD_LOG_LEVEL", "debug")
    configure_logs(load_settings(), "worker")
    yield
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    ours.setLevel(before[2])
    structlog.configure(**before[3])


@pytest.mark.usefixtures("log_as_a_role")
def test_no_log_line_and_no_traceback_tells_a_secret(
    every_secret: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    logging.getLogger().handlers[0].setStream(sys.stderr)  # type: ignore[attr-defined]  # the one that capsys reads
    for value in every_secret:
        structlog.get_logger("pipeline.test").debug("event", password=value)
        try:
            raise ValueError(f"refused: {value}")
        except ValueError:
            structlog.get_logger("pipeline.test").critical("failed", exc_info=True)
            logging.getLogger("library").exception("failed with %s", value)
    told = capsys.readouterr().err
    assert told.count("Traceback") == 2 * len(every_secret)
    assert not [value for value in every_secret if value in told]


@pytest.mark.usefixtures("log_as_a_role")
def test_libraries_are_silent_below_a_warning_at_any_level() -> None:
    for library in ("aiokafka.conn", "urllib3.connectionpool", "sqlalchemy.engine", "botocore.auth", "fsspec.local"):
        assert not logging.getLogger(library).isEnabledFor(logging.INFO)
    assert logging.getLogger("pipeline.stream.worker").isEnabledFor(logging.DEBUG)


def test_a_short_text_masks_nothing() -> None:
    settings = Settings(kafka_password="abc", clickhouse_password="abcd")  # type: ignore[arg-type]
    assert secrets_of(settings) == ("abcd",)
    assert masked("abc abcd", secrets_of(settings)) == f"abc {MASK}"


def test_an_error_of_the_registry_does_not_tell_its_password() -> None:
    for url in (URL.format("hidden-password"), "nothing://me:hidden-password@db/x", "me:hidden-password"):
        with pytest.raises((RegistryError, SettingError)) as caught:
            open_registry(url)
        assert "hidden-password" not in str(caught.value)
