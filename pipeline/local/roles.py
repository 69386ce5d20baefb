"""The roles of an embedded stack in the order that `up` starts them: what each runs and when it is ready.

Configured by SPANFOLD_* in the environment of each role; the supervisor's own variables reach them too.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

from pipeline.local.kafka import LocalKafka
from pipeline.local.plan import NO_PORT
from pipeline.local.probes import BrokerAnswers, FileAppears, HttpAnswers
from pipeline.local.role import Role
from pipeline.local.stack import variable_of

_PYTHON = (sys.executable, "-P", "-m")  # -P: a folder `pipeline` in the current directory is not ours
_PROGRAM = (*_PYTHON, "pipeline")
STORE_GRACE = 2  # seconds that running queries get at a stop: the roles that write are gone by then
_READY_FILE = "SPANFOLD_READY_FILE"


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """The variables by which a role gets these fields of Settings."""
    return {variable_of(field): value for field, value in settings.items()}


def broker_role(broker: LocalKafka) -> Role:
    """The Kafka broker; `broker.prepare()` was called."""
    return Role("broker", tuple(broker.command()), BrokerAnswers(broker), own_log=broker.logs / "kafka.log")


def store_role(data: Path, port: int, settings: Mapping[str, str]) -> Role:
    """ClickHouse's engine behind its HTTP protocol; a password that is set reaches it by its environment."""
    options = ("--data", str(data), "--port", str(port), "--grace", str(STORE_GRACE))
    user = ("--user", settings["clickhouse_user"]) if "clickhouse_user" in settings else ()
    command = (*_PYTHON, "pipeline.local.clickhouse", *options, *user)
    return Role("store", command, HttpAnswers(port, "/ping"), environment(settings))


def ingest_role(settings: Mapping[str, str]) -> Role:
    """The front door."""
    probe = HttpAnswers(int(settings["http_port"]), "/api/public/health")
    return Role("ingest", (*_PROGRAM, "ingest"), probe, environment(settings))


def worker_role(number: int, settings: Mapping[str, str], run: Path, metrics_port: int = NO_PORT) -> Role:
    """The n-th worker (from 1); its ready file goes into the folder `run`."""
    return _streaming_role(f"worker-{number}", "worker", settings, run, metrics_port)


def evaluator_role(settings: Mapping[str, str], run: Path, metrics_port: int = NO_PORT) -> Role:
    """The evaluator; its ready file goes into the folder `run`."""
    return _streaming_role("evaluator", "evaluate", settings, run, metrics_port)


def _streaming_role(name: str, command: str, settings: Mapping[str, str], run: Path, metrics_port: int) -> Role:
    """A role that joins a consumer group: static membership by its name, so that a restart moves no partitions."""
    ready_file = run / f"{name}.ready"
    own = {"SPANFOLD_INSTANCE_ID": name, _READY_FILE: str(ready_file), variable_of("metrics_port"): str(metrics_port)}
    return Role(name, (*_PROGRAM, command), FileAppears(ready_file), {**environment(settings), **own})
