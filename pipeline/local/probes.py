"""Ways to tell that a role is ready: it answers HTTP, it wrote its file, the broker knows itself.

Rule: a probe asks the role for the thing that others will ask it for, never for a line in a log.
"""

import asyncio
import http.client
from dataclasses import dataclass
from pathlib import Path

from pipeline.local.kafka import LocalKafka
from pipeline.local.kafka_probe import answering_cluster
from pipeline.local.ports import LOOPBACK, is_open

_ANSWER_WITHIN = 2.0  # seconds


@dataclass(frozen=True, slots=True)
class HttpAnswers:
    """Ready when a GET of `path` on this machine's `port` answers 200."""

    port: int
    path: str

    def reset(self) -> None:
        """A closed port is not ready by itself."""

    async def ready(self) -> bool:
        """Ask once."""
        return await asyncio.to_thread(http_status, self.port, self.path) == 200


@dataclass(frozen=True, slots=True)
class FileAppears:
    """Ready when the role has written `path` (SPANFOLD_READY_FILE), which it does when it has its partitions."""

    path: Path

    def reset(self) -> None:
        """Remove the file of an earlier process."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.unlink(missing_ok=True)

    async def ready(self) -> bool:
        """Look once."""
        return self.path.exists()


@dataclass(frozen=True, slots=True)
class BrokerAnswers:
    """Ready when the cluster that answers is the one whose data we formatted."""

    broker: LocalKafka

    def reset(self) -> None:
        """A closed port is not ready by itself."""

    async def ready(self) -> bool:
        """Ask once; a closed port is told without Kafka's client, which would log it as an error."""
        if not await asyncio.to_thread(is_open, self.broker.port):
            return False
        answering = await answering_cluster(self.broker.bootstrap)
        return answering is not None and answering == self.broker.cluster_id


def http_status(port: int, path: str) -> int | None:
    """The status of a GET on this machine, or None when nothing answers HTTP there. Blocks up to 2 s."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=_ANSWER_WITHIN)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
