"""The stack that the faults happen to: broker, store, front door, two workers, an evaluator, each a process.

The workers reach the store and the broker through gates; the front door, the evaluator and whoever looks do not. What
dies is started again by its keeper, as `spanfold up` would. Workers have static membership by their names.
"""

import asyncio
import os
import resource
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from pipeline.config import Settings
from pipeline.local.kafka import LocalKafka
from pipeline.local.ports import LOOPBACK, find_free_ports
from pipeline.ops.lag import read_lag
from pipeline.registry import NewKey, open_registry
from tests.faults.chaos.gate import CALM, TcpGate
from tests.faults.chaos.process import Kept
from tests.fixtures.captures import PROJECT
from tests.fixtures.clickhouse import ClickHouseProcess
from tests.fixtures.worker import SPANFOLD, Stack, WorkerProcess, new_stack

WORKERS = ("worker-1", "worker-2")
STACK = ("broker", "store", "ingest", "evaluator", *WORKERS)
SKEWED = (str(Path(__file__).with_name("skewed.py")),)
RULE = "has_output"  # asked of every trace


class GatedKafka(LocalKafka):
    """A broker with a second listener, which tells its clients to come through a gate."""

    def __init__(self, data: Path, ports: list[int]) -> None:
        super().__init__(data, ports[0], ports[1])
        self.gated, self.gate = ports[2], 0

    def prepare(self) -> None:
        """The configuration, with that listener; of two lines about one thing Java reads the last."""
        super().prepare()
        listeners = f"PLAINTEXT://{LOOPBACK}:{self.port},CONTROLLER://{LOOPBACK}:{self.controller_port}"
        more = {
            "listeners": f"{listeners},GATED://{LOOPBACK}:{self.gated}",
            "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{self.port},GATED://{LOOPBACK}:{self.gate}",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,GATED:PLAINTEXT",
        }
        with self._configuration.open("a", encoding="utf-8") as file:
            file.writelines(f"{name}={value}\n" for name, value in more.items())


class Bed:
    """A running stack. `settings` are those of who looks from outside; processes by their names in `kept`."""

    def __init__(
        self, stack: Stack, broker: GatedKafka, store: ClickHouseProcess, gates: tuple[TcpGate, TcpGate]
    ) -> None:
        self.stack, self.settings = stack, stack.settings
        self._clock = stack.directory / "clock"
        self.http = f"http://{LOOPBACK}:{stack.settings.http_port}"
        self.broker_gate, self.store_gate = gates
        self._through_gates = stack.settings.model_copy(
            update={
                "kafka_bootstrap": f"{LOOPBACK}:{self.broker_gate.port}",
                "clickhouse_url": f"http://{LOOPBACK}:{self.store_gate.port}",
            }
        )
        self._processes: dict[str, WorkerProcess] = {}
        self.kept: dict[str, Kept] = {
            "broker": Kept("broker", broker.start, _at_once, lambda: broker.pid),
            "store": Kept("store", store.start, _at_once, lambda: store.pid if store.alive else None),
        }
        for name in WORKERS:
            self._worker(name, instance=name)
        self._role("ingest", "ingest", self.settings)
        self._role("evaluator", "evaluate", self.settings.model_copy(update={"instance_id": "evaluator"}))
        self.key = self._project()

    def up(self, *names: str) -> None:
        """Start these at once and wait until they are ready."""
        with ThreadPoolExecutor(len(names) or 1) as pool:
            list(pool.map(lambda name: self.kept[name].up(), names))

    def rest(self) -> None:
        """End the workers in order, those that run."""
        for name in WORKERS:
            self.kept[name].down(signal.SIGTERM)

    def mend(self) -> None:
        """End every fault that was not ended: what belongs to the stack runs, nothing is in its way."""
        for gate in (self.broker_gate, self.store_gate):
            gate.become(CALM)
        self.full_disk(False)
        for name, kept in self.kept.items():
            kept.signal(signal.SIGCONT)
            if name not in STACK:
                kept.down(signal.SIGKILL)
        self.up(*(name for name in STACK if not self.kept[name].wanted))

    def join(self, name: str, *, skewed: bool = False) -> None:
        """One more worker, ready to work; `skewed`: its clock is the one of `set_clock`.

        Its membership is not static: when it leaves, the group hears of it at once.
        """
        self._worker(name, instance="", skewed=skewed)
        self.up(name)

    def twin(self, name: str, instance: str) -> None:
        """One more worker that says it is another one; whether it gets to work is not waited for."""
        self._worker(name, instance=instance)
        self.kept[name].begin()
        self.kept[name].keep()

    def leaves(self, name: str) -> None:
        """It stops by SIGTERM. Raises AssertionError where it does not say that all went well."""
        self.kept[name].down(signal.SIGTERM)
        code = self._processes[name].process.returncode
        assert code == 0, f"{name} stopped with exit code {code}"

    def _worker(self, name: str, *, instance: str, skewed: bool = False) -> None:
        settings = self._through_gates.model_copy(update={"instance_id": instance})
        self._role(name, "worker", settings, SKEWED if skewed else SPANFOLD)

    def _role(self, name: str, role: str, settings: Settings, program: Sequence[str] = SPANFOLD) -> None:
        def begin() -> None:
            self._processes[name] = WorkerProcess(settings, self.stack.directory, name, role, program)

        def ready() -> None:
            self._processes[name].wait_ready(self._front_door_answers if role == "ingest" else None)

        def pid() -> int | None:
            process = self._processes[name].process if name in self._processes else None
            return process.pid if process is not None and process.poll() is None else None

        if (before := self.kept.get(name)) is not None:
            before.let_go()
        self.kept[name] = Kept(name, begin, ready, pid)

    def _front_door_answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.http}/api/public/health", timeout=2) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def set_clock(self, seconds: float) -> None:
        """So far are the wall clocks off from now on of the workers that have one of their own."""
        self._clock.write_text(str(seconds))

    def full_disk(self, full: bool) -> None:
        """Let every write of the store fail that makes a file longer, as on a disk without room."""
        pid = self.kept["store"].pid
        if pid is not None:
            _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (0 if full else hard, hard))

    def lag(self) -> int:
        """Records that no group has committed yet."""
        return sum(row.lag for row in asyncio.run(read_lag(self.settings)))

    def close(self) -> None:
        """End all roles."""
        for name in self._processes:
            self.kept[name].close()

    def _project(self) -> NewKey:
        registry = open_registry(self.settings.registry)
        try:
            registry.create_project("Chaos", project_id=PROJECT)
            registry.add_rule(PROJECT, RULE, "output_empty")
            return registry.create_key(PROJECT)
        finally:
            registry.close()


def _at_once() -> None:
    """Broker and store return from their start when they are ready."""


@contextmanager
def running_bed(folder: Path, **settings: Any) -> Iterator[Bed]:
    """Broker and store run for as long as the block, the roles once they are told to; `settings` differ from tests'."""
    *ports, http = find_free_ports(4)
    broker = GatedKafka(folder / "kafka", ports)
    store = ClickHouseProcess(folder / "store")
    os.environ["CHAOS_CLOCK"] = str(folder / "stack" / "clock")
    with ExitStack() as stack:
        broker_gate = stack.enter_context(TcpGate(broker.gated))
        store_gate = stack.enter_context(TcpGate(store.port))
        broker.gate = broker_gate.port
        stack.callback(broker.kill)
        broker.start()
        stack.callback(lambda: store.kill() if store.alive else None)
        store.start()
        made = stack.enter_context(closing(new_stack(broker, store, folder / "stack")))
        made.settings = made.settings.model_copy(update={"http_port": http, "grpc_port": -1, **settings})
        bed = Bed(made, broker, store, (broker_gate, store_gate))
        for name in ("broker", "store"):
            stack.callback(bed.kept[name].let_go)
        stack.callback(bed.close)
        for name in ("broker", "store"):
            bed.kept[name].keep()
        yield bed
