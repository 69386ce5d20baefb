"""Whether a broker answers, and what it last said when it does not."""

import asyncio
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

_ANSWER_WITHIN = 5.0  # seconds
_ERROR_MARKS = (" ERROR ", " FATAL ", "Error: ", "Exception in thread")
_STACK_FRAMES = ("\tat ", "\t... ")
_CHATTER = (" INFO ", " WARN ")  # of the shutdown that follows an error


async def answering_cluster(bootstrap: str) -> str | None:
    """The id of the cluster at `bootstrap` (host:port); None while it has no live broker or does not answer."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=int(_ANSWER_WITHIN * 1000))
    try:
        async with asyncio.timeout(_ANSWER_WITHIN):
            await admin.start()
            cluster = await admin.describe_cluster()
    except (KafkaError, OSError):  # OSError covers TimeoutError
        return None
    finally:
        await admin.close()
    return str(cluster["cluster_id"]) if cluster["brokers"] else None


def last_words(*logs: Path, lines: int = 8) -> str:
    """What a dead broker left in its logs: the first error with its causes, else the last lines."""
    text = [line for log in logs for line in _lines(log) if not line.startswith(_STACK_FRAMES)]
    errors = [index for index, line in enumerate(text) if any(mark in line for mark in _ERROR_MARKS)]
    if errors:
        text = [line for line in text[errors[0] :] if not any(mark in line for mark in _CHATTER)][:lines]
    return "\n".join(text[-lines:]) or "(the logs are empty)"


def _lines(log: Path) -> list[str]:
    return log.read_text(encoding="utf-8", errors="replace").splitlines() if log.is_file() else []
