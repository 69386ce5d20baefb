"""A broker and a store of the benchmark's own, in a folder that goes away; nothing of a running stack is touched."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.config import Settings
from pipeline.local.kafka import LocalKafka
from pipeline.local.ports import LOOPBACK, find_free_ports
from pipeline.local.roles import broker_role, store_role
from pipeline.local.stack import load_settings
from pipeline.local.supervise import Supervisor
from pipeline.ops.topics import ensure_topics
from pipeline.store.migrate import migrate

_OURS = {
    "clickhouse_user": "default",
    "clickhouse_password": "",
    "clickhouse_cluster": "",
    "instance_id": "",
    "kafka_security_protocol": "PLAINTEXT",
    "http_certificate_path": "",
}


@dataclass(frozen=True, slots=True)
class Installation:
    """Topics and tables of one run. `fields` are those of Settings that differ from what the environment says."""

    settings: Settings
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Scratch:
    """Where broker and store listen, and the folder that holds all of it."""

    folder: Path
    bootstrap: str
    clickhouse: str

    @property
    def logs(self) -> Path:
        """One log for each process."""
        return self.folder / "logs"

    async def install(self, name: str) -> Installation:
        """Make the topics and tables of an installation `name`; settings that only tune are the environment's."""
        folder = self.folder / name
        fields = {
            **_OURS,
            "data_dir": str(folder),
            "registry_url": f"sqlite:///{folder / 'registry.sqlite'}",
            "kafka_bootstrap": self.bootstrap,
            "topic_prefix": name,
            "clickhouse_url": self.clickhouse,
            "clickhouse_database": name,
        }
        settings = load_settings(**fields)
        folder.mkdir()
        await asyncio.to_thread(migrate, settings)
        await ensure_topics(settings)
        return Installation(settings, fields)


@asynccontextmanager
async def scratch_stack(folder: Path, tell: Callable[[str], None]) -> AsyncIterator[Scratch]:
    """Run broker and store for as long as the block; raises RoleFailedError where one does not start."""
    kafka, controller, clickhouse = find_free_ports(3)
    broker = LocalKafka(folder / "kafka", kafka, controller, logs=folder / "logs")
    await asyncio.to_thread(broker.prepare)
    supervisor = Supervisor(folder / "logs", tell=tell)
    try:
        await supervisor.start(broker_role(broker), store_role(folder / "clickhouse", clickhouse, _OURS))
        yield Scratch(folder, broker.bootstrap, f"http://{LOOPBACK}:{clickhouse}")
    finally:
        await supervisor.stop()
