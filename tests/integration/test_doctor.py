"""`spanfold doctor`: what it finds on a good installation, and the remedy for each thing that can be wrong."""

import json
import os
import socket
from pathlib import Path

import pytest

from pipeline.config import Settings
from pipeline.local.kafka import LocalKafka
from pipeline.local.ports import find_free_port
from pipeline.ops.doctor import check_disk, check_front_door, check_jars, examine, print_findings
from pipeline.ops.doctor_services import check_store, check_topics
from pipeline.ops.finding import Finding
from pipeline.ops.topics import topic_specs
from tests.fixtures.clickhouse import ClickHouseProcess
from tests.fixtures.store import migrated, settings_for
from tests.fixtures.worker import Stack


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("SPANFOLD_", "LANGFUSE_")):
            monkeypatch.delenv(name)


def nowhere(data: Path) -> Settings:
    return Settings(
        data_dir=data,
        http_port=find_free_port(),
        kafka_bootstrap=f"127.0.0.1:{find_free_port()}",
        clickhouse_url=f"http://127.0.0.1:{find_free_port()}",
    )


async def test_a_good_installation_passes_every_check(stack: Stack) -> None:
    settings = stack.settings.model_copy(update={"http_port": find_free_port()})
    findings = await examine(settings)
    assert [finding for finding in findings if not finding.ok] == []
    assert {finding.check for finding in findings} >= {
        "python", "disk", "kafka", "topics", "durability", "clickhouse", "registry",
    }  # fmt: skip


async def test_everything_that_is_unreachable_is_told_at_once_with_a_remedy(tmp_path: Path) -> None:
    failed = [finding for finding in await examine(nowhere(tmp_path)) if not finding.ok]
    assert [finding.check for finding in failed] == ["kafka", "topics", "durability", "clickhouse"]
    assert all(finding.remedy for finding in failed)


async def test_missing_topics_are_named(kafka: LocalKafka, topic_prefix: str) -> None:
    settings = Settings(kafka_bootstrap=kafka.bootstrap, topic_prefix=topic_prefix)
    finding = await check_topics(settings)
    assert not finding.ok
    assert all(spec.name in finding.found for spec in topic_specs(settings))
    assert finding.remedy == "Run `spanfold topics`."


def test_a_database_that_was_never_migrated_is_told(clickhouse: ClickHouseProcess, database: str) -> None:
    finding = check_store(settings_for(clickhouse.url, database))
    assert (finding.ok, finding.remedy) == (False, "Run `spanfold migrate`.")


def test_a_migrated_database_passes(clickhouse: ClickHouseProcess, database: str) -> None:
    with migrated(clickhouse.url, database):
        assert check_store(settings_for(clickhouse.url, database)).ok


def test_a_front_door_port_that_another_program_has_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        settings = Settings(data_dir=tmp_path, http_port=server.getsockname()[1])
        finding = check_front_door(settings)
    assert not finding.ok
    assert "--port" in finding.remedy


def test_a_damaged_jar_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPANFOLD_CACHE", str(tmp_path))
    assert check_jars(Settings()).ok
    (tmp_path / "jars").mkdir()
    (tmp_path / "jars" / "kafka_2.13-4.1.0.jar").write_bytes(b"half")
    finding = check_jars(Settings())
    assert not finding.ok
    assert "kafka_2.13-4.1.0.jar" in finding.found


def test_the_disk_of_a_directory_that_does_not_exist_yet_is_its_parents(tmp_path: Path) -> None:
    assert str(tmp_path) in check_disk(Settings(data_dir=tmp_path / "a" / "b")).found


def test_findings_are_printed_with_the_remedies_of_failures_or_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    findings = [Finding("good", True, "fine"), Finding("bad", False, "broken", "Mend it.")]
    print_findings(findings, as_json=False)
    assert "bad: Mend it." in capsys.readouterr().out
    print_findings(findings, as_json=True)
    assert [finding["ok"] for finding in json.loads(capsys.readouterr().out)] == [True, False]
