"""`spanfold up`: a broker, a store, the front door, workers and an evaluator as processes of this machine.

Rule: 1 broker and store, 2 `prepare` (tables, topics, the first project), 3 front door, workers and evaluator, 4 the
stack's description is published, 5 wait. SIGTERM or Ctrl-C ends it at any of these: the description goes, then the
roles in reverse order within 10 s. A second signal does not wait for them. What was acknowledged is kept either way.
Fails with RoleFailedError when a role does not start or keeps dying; everything is stopped then, too.
Configured by the options of the command and SPANFOLD_*. `prepare` is given by the command line, because this room
knows processes and ports and nothing of tables and topics.
"""

import asyncio
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from pipeline.config import Settings
from pipeline.errors import SettingError
from pipeline.folders import make_folder
from pipeline.local.background import in_background
from pipeline.local.kafka import LocalKafka
from pipeline.local.lock import stack_lock
from pipeline.local.plan import Ports, plan_metrics_ports, plan_ports
from pipeline.local.ports import LOOPBACK
from pipeline.local.project import ProjectKeys
from pipeline.local.role import Role
from pipeline.local.roles import broker_role, evaluator_role, ingest_role, store_role, worker_role
from pipeline.local.stack import FILE, Stack, load_settings, write_stack
from pipeline.local.supervise import Supervisor

Prepare = Callable[[Settings], ProjectKeys]
EACH_ITS_OWN = frozenset({"metrics_port"})  # settings that no two processes of a stack may share


@dataclass(frozen=True, slots=True)
class Running:
    """What `announce` gets: the stack, and which process logs where (name, pid, log file)."""

    stack: Stack
    processes: list[tuple[str, int | None, Path]]


@dataclass(frozen=True, slots=True)
class UpOptions:
    """The options of the command; None is the default of each."""

    data: Path | None = None
    workers: int = 1
    http_port: int | None = None
    clickhouse_port: int | None = None
    kafka_port: int | None = None
    grpc_port: int | None = None


def run_up(
    options: UpOptions, prepare: Prepare, announce: Callable[[Running], None], tell: Callable[[str], None]
) -> None:
    """Run a stack until a signal comes. `announce` is called once, when all is ready; `tell` gets progress lines.

    Raises SpanfoldError where the stack cannot start or does not keep running.
    """
    own = load_settings() if options.data is None else load_settings(data_dir=options.data)
    if own.http_certificate_path:
        raise SettingError(
            "SPANFOLD_HTTP_CERTIFICATE_PATH is set, but `spanfold up` speaks plain HTTP.",
            remedy="Unset it and let a reverse proxy speak TLS, or run `spanfold ingest`.",
        )
    data = own.data_dir.expanduser().resolve()
    make_folder(data, "--data or SPANFOLD_DATA_DIR", 0o700)  # it will hold prompts and keys
    with stack_lock(data):
        (data / FILE).unlink(missing_ok=True)  # a killed stack's; in a container we may have its very process id
        ports = plan_ports(own, options.http_port, options.clickhouse_port, options.kafka_port, options.grpc_port)
        broker = LocalKafka(data / "kafka", ports.kafka, ports.controller, logs=data / "logs")
        broker.prepare()  # may download; outside the loop, a signal ends it like any program
        metrics = plan_metrics_ports(own, options.workers + 1)
        stages = _Stages(stack_fields(own, data, ports), broker, ports, metrics)
        asyncio.run(_until_signal(stages, prepare, announce, tell))
    tell("stopped")


def stack_fields(own: Settings, data: Path, ports: Ports) -> dict[str, str]:
    """The fields of Settings that reach this stack: what was set for `up` itself, and where the parts are."""
    given = {name: _plain(getattr(own, name)) for name in own.model_fields_set - EACH_ITS_OWN}
    return {
        **given,
        "data_dir": str(data),
        "http_host": own.http_host,
        "http_port": str(ports.http),
        "metrics_host": own.metrics_host,
        "grpc_port": str(ports.grpc),
        "clickhouse_url": f"http://{LOOPBACK}:{ports.clickhouse}",
        "kafka_bootstrap": f"{LOOPBACK}:{ports.kafka}",
        "kafka_security_protocol": "PLAINTEXT",  # the embedded broker listens on this machine alone
    }


@dataclass(frozen=True, slots=True)
class _Stages:
    """The roles of a stack, in the order in which they can start."""

    fields: dict[str, str]
    broker: LocalKafka
    ports: Ports
    metrics: list[int]  # the workers' ports for metrics, then the evaluator's

    @property
    def data(self) -> Path:
        return Path(self.fields["data_dir"])

    def below(self) -> list[Role]:
        """What everything else stands on."""
        return [broker_role(self.broker), store_role(self.data / "clickhouse", self.ports.clickhouse, self.fields)]

    def above(self) -> list[Role]:
        """What needs tables, topics and a project."""
        run = self.data / "run"
        *ports, last = self.metrics
        workers = [worker_role(number, self.fields, run, port) for number, port in enumerate(ports, 1)]
        return [ingest_role(self.fields), *workers, evaluator_role(self.fields, run, last)]

    def metrics_urls(self) -> dict[str, str]:
        """Where each of these shows its metrics, by its name."""
        door, *others = (role.name for role in self.above())
        host = _reachable(self.fields["metrics_host"])
        shown = {name: f"http://{host}:{port}" for name, port in zip(others, self.metrics, strict=True) if port > 0}
        shown[door] = f"http://{_reachable(self.fields['http_host'])}:{self.ports.http}"
        return {name: f"{url}/metrics" for name, url in shown.items()}


async def _until_signal(
    stages: _Stages, prepare: Prepare, announce: Callable[[Running], None], tell: Callable[[str], None]
) -> None:
    """Run the stages; whatever ends them, everything is stopped and the description removed."""
    supervisor = Supervisor(stages.data / "logs", tell=tell)
    running = asyncio.create_task(_run(supervisor, stages, prepare, announce))
    _stop_on_signals(running, supervisor, tell)
    try:
        await asyncio.wait({running})
    finally:
        (stages.data / FILE).unlink(missing_ok=True)
        await supervisor.stop()
    if not running.cancelled():
        running.result()  # only a failure ends it


async def _run(supervisor: Supervisor, stages: _Stages, prepare: Prepare, announce: Callable[[Running], None]) -> None:
    """The five steps of the module's rule."""
    await supervisor.start(*stages.below())
    keys = await in_background(lambda: prepare(load_settings(**stages.fields)))
    await supervisor.start(*stages.above())
    stack = _describe(stages, keys)
    write_stack(stack)
    announce(Running(stack, [(one.role.name, one.pid, one.role.own_log or one.log) for one in supervisor.roles]))
    await supervisor.wait()


def _describe(stages: _Stages, keys: ProjectKeys) -> Stack:
    fields = stages.fields
    host = _reachable(fields["http_host"])
    return Stack(
        http=f"http://{host}:{fields['http_port']}",
        clickhouse=fields["clickhouse_url"],
        kafka=fields["kafka_bootstrap"],
        data=fields["data_dir"],
        project_id=keys.project_id,
        public_key=keys.public_key,
        secret_key=keys.secret_key,
        pid=os.getpid(),
        settings=fields,
        grpc=f"{host}:{fields['grpc_port']}" if int(fields["grpc_port"]) > 0 else None,
        metrics=stages.metrics_urls(),
    )


def _reachable(host: str) -> str:
    """By which address of this machine one reaches who listens on `host`."""
    return LOOPBACK if host == "0.0.0.0" else host  # noqa: S104 - compared, not bound


def _stop_on_signals(running: asyncio.Task[None], supervisor: Supervisor, tell: Callable[[str], None]) -> None:
    """The first SIGTERM or SIGINT asks for a clean stop, the next one for a quick one."""

    def on_signal(number: signal.Signals) -> None:
        if running.done() or running.cancelling():
            tell(f"{number.name} again: everything is killed; nothing acknowledged is lost")
            supervisor.hurry()
        else:
            tell(f"{number.name}: stopping")
            running.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, on_signal, number)


def _plain(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)
