"""docker-compose.yml: what must hold of every service, and that Docker accepts the file where it is installed."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from pipeline.config import Settings

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.yml"
EXAMPLE = ROOT / "infra" / "docker" / ".env.example"
DOCKERFILE = (ROOT / "infra" / "docker" / "Dockerfile").read_text()
PLACEHOLDER = re.compile(r"\$\{(?P<name>[A-Z_]+)(?P<rule>:[?-])?(?P<word>[^}]*)\}")
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(FILE.read_text())["services"]
OURS = ("migrate", "ingest", "worker", "evaluator")
WATCHING = ("prometheus", "grafana")
LONG_RUNNING = sorted(set(SERVICES) - {"migrate"})


def placeholders(value: object) -> list[re.Match[str]]:
    return list(PLACEHOLDER.finditer(str(value)))


def example() -> dict[str, str]:
    """The variables of .env.example."""
    lines = [line for line in EXAMPLE.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def test_all_roles_of_an_installation_are_there() -> None:
    assert set(SERVICES) == {"kafka", "clickhouse", "postgres", *OURS, *WATCHING}


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_every_service_that_stays_has_a_health_check_a_restart_policy_and_a_memory_limit(name: str) -> None:
    service = SERVICES[name]
    assert service["healthcheck"]["test"][0] == "CMD"
    assert service["restart"] == "unless-stopped"
    assert service["deploy"]["resources"]["limits"]["memory"]


@pytest.mark.parametrize("name", ["ingest", "worker", "evaluator"])
def test_roles_start_when_the_services_are_healthy_and_the_migration_is_done(name: str) -> None:
    conditions = {on: needed["condition"] for on, needed in SERVICES[name]["depends_on"].items()}
    assert conditions == {
        "migrate": "service_completed_successfully",
        "kafka": "service_healthy",
        "clickhouse": "service_healthy",
        "postgres": "service_healthy",
    }


@pytest.mark.parametrize("name", OURS)
def test_our_roles_have_no_rights_and_write_nowhere_but_in_memory(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]


def test_nothing_runs_as_root() -> None:
    assert [name for name in SERVICES if name not in OURS and not SERVICES[name].get("user")] == []
    assert "USER 10001" in (ROOT / "infra" / "docker" / "Dockerfile").read_text()


def test_only_the_front_door_listens_for_other_machines() -> None:
    ports = {name: port for name, service in SERVICES.items() for port in service.get("ports", [])}
    assert ports.pop("ingest").startswith("${SPANFOLD_HTTP_BIND")
    assert all(port.startswith("127.0.0.1:") for port in ports.values())


def test_every_port_can_be_chosen() -> None:
    assert all(placeholders(port) for service in SERVICES.values() for port in service.get("ports", []))


def test_no_secret_has_a_default() -> None:
    secrets = [match for match in placeholders(SERVICES) if re.search("PASSWORD|KEY|SECRET", match["name"])]
    assert {match["name"] for match in secrets} >= {"CLICKHOUSE_PASSWORD", "POSTGRES_PASSWORD"}
    assert all(match["rule"] == ":?" for match in secrets)


def test_the_example_names_every_variable_and_fills_in_none_that_is_required() -> None:
    used = {match["name"]: match["rule"] for match in placeholders(SERVICES)}
    assert set(example()) == set(used)
    assert {name for name, value in example().items() if not value} == {n for n, rule in used.items() if rule == ":?"}


def test_defaults_in_the_file_and_in_the_example_agree() -> None:
    defaults = {match["name"]: match["word"] for match in placeholders(SERVICES) if match["rule"] == ":-"}
    assert defaults == {name: value for name, value in example().items() if value}


def test_docker_compose_accepts_the_file_where_it_is_installed(tmp_path: Path) -> None:
    if not compose_is_installed():  # the rules above hold everywhere; Docker's own opinion is had where there is Docker
        return
    filled = tmp_path / ".env"
    filled.write_text("\n".join(f"{name}={value or 'filled1'}" for name, value in example().items()))
    command = ["docker", "compose", "--file", str(FILE), "--env-file", str(filled), "config", "--quiet"]
    bare = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "")}
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=bare)
    assert outcome.returncode == 0, outcome.stderr


def compose_is_installed() -> bool:
    if not (docker := shutil.which("docker")):
        return False
    return subprocess.run([docker, "compose", "version"], capture_output=True, timeout=60, check=False).returncode == 0


SYSTEM_LOGS = ROOT / "infra" / "clickhouse" / "config.d" / "spanfold.xml"
# Every <…_log> of the server's own configuration (26.x); another one is bounded by nobody until it is listed here.
KNOWN_LOGS = {
    "query_log", "part_log", "error_log", "metric_log", "asynchronous_metric_log", "asynchronous_insert_log",
    "query_views_log", "view_refresh_log", "backup_log", "crash_log", "trace_log", "query_thread_log", "text_log",
    "session_log", "processors_profile_log", "query_metric_log", "latency_log", "opentelemetry_span_log",
    "blob_storage_log", "s3queue_log",
}  # fmt: skip


def test_clickhouses_own_records_are_bounded_or_off() -> None:
    (mounted,) = [volume for volume in SERVICES["clickhouse"]["volumes"] if str(volume).endswith("spanfold.xml:ro")]
    assert (ROOT / mounted.split(":")[0]).resolve() == SYSTEM_LOGS
    logs = {each.tag: each for each in ElementTree.parse(SYSTEM_LOGS).getroot() if each.tag.endswith("_log")}  # noqa: S314 - our own
    assert set(logs) == KNOWN_LOGS
    for name, log in logs.items():
        ttl = log.findtext("ttl", "")
        bounded = re.fullmatch(r"event_date \+ INTERVAL \d+ DAY DELETE", ttl)
        assert (log.get("remove") == "1") != bool(bounded), name


def test_what_watches_comes_only_when_asked_for() -> None:
    profiles = {name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service}
    assert profiles == {name: ["metrics"] for name in WATCHING}


def test_prometheus_asks_every_role_at_the_port_where_it_shows_metrics() -> None:
    jobs = yaml.safe_load((ROOT / "infra" / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    asked = {name: found["port"] for job in jobs for found in job["dns_sd_configs"] for name in found["names"]}
    shown = {name: int(SERVICES[name]["environment"]["SPANFOLD_METRICS_PORT"]) for name in ("worker", "evaluator")}
    assert asked == shown | {"ingest": int(SERVICES["ingest"]["environment"]["SPANFOLD_HTTP_PORT"])}
    assert {job["job_name"] for job in jobs} == {f"spanfold-{name}" for name in asked}


def test_every_setting_of_our_roles_exists() -> None:
    variables = {name for role in OURS for name in SERVICES[role]["environment"] if name.startswith("SPANFOLD_")}
    assert {name.removeprefix("SPANFOLD_").lower() for name in variables} <= set(Settings.model_fields)


def test_the_image_has_what_the_compose_file_offers() -> None:
    """A store that is offered and not installed fails at the first medium, not at the start."""
    offered = {"postgresql+psycopg": "postgres", "s3://": "s3", "SPANFOLD_OTEL_ENDPOINT": "otel"}
    assert all(what in FILE.read_text() for what in offered)
    commands = [line for line in DOCKERFILE.splitlines() if "uv sync" in line]
    assert len(commands) == 2
    assert all(set(re.findall(r"--extra (\w+)", line)) == set(offered.values()) for line in commands)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(offered.values()) <= set(extras)


def test_each_worker_of_a_scaled_service_has_an_instance_id_of_its_own(tmp_path: Path) -> None:
    """The command itself is run, with another program in spanfold's place and another file in /etc/hostname's."""
    worker = SERVICES["worker"]
    assert "SPANFOLD_INSTANCE_ID" not in worker["environment"]  # it would be the same for all
    (tmp_path / "spanfold").write_text('#!/bin/sh\necho "$1 $SPANFOLD_INSTANCE_ID"\n')
    (tmp_path / "spanfold").chmod(0o755)
    (tmp_path / "hostname").write_text("3f2a\n")
    (command,) = worker["command"]
    command = command.replace("$$", "$").replace("/etc/hostname", str(tmp_path / "hostname"))
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    said = subprocess.run([*worker["entrypoint"], command], env=path, capture_output=True, check=True, timeout=30)
    assert said.stdout == b"worker worker-3f2a\n"


def test_files_that_are_mounted_are_there() -> None:
    mounts = [mount for service in SERVICES.values() for mount in service.get("volumes", []) if mount.startswith("./")]
    assert len(mounts) >= 3
    assert all((ROOT / mount.split(":")[0]).exists() for mount in mounts)


def test_grafana_finds_the_source_and_the_dashboard() -> None:
    grafana = ROOT / "infra" / "grafana" / "provisioning"
    source = yaml.safe_load((grafana / "datasources" / "prometheus.yml").read_text())["datasources"][0]
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")
    provider = yaml.safe_load((grafana / "dashboards" / "spanfold.yml").read_text())["providers"][0]
    assert any(mount.split(":")[1].startswith(provider["options"]["path"]) for mount in SERVICES["grafana"]["volumes"])


def test_the_override_in_the_docs_names_services_and_settings_that_exist() -> None:
    page = (ROOT / "docs" / "operations.md").read_text("utf-8")
    (block,) = re.findall(r"```yaml\n( *# docker-compose\.override\.yml\n.*?)```", page, re.DOTALL)
    override: dict[str, dict[str, dict[str, Any]]] = yaml.safe_load(block)["services"]
    assert set(override) == set(OURS)
    for service in override.values():
        assert {name.removeprefix("SPANFOLD_").lower() for name in service["environment"]} <= set(Settings.model_fields)
