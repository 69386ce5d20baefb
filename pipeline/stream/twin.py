"""Who has a static membership: this process, nobody, or a twin. Asked of the group itself, by the clients' names.

A worker that lost its membership to a cut in the network and one that lost it to a twin see the same answer of Kafka
("member unknown"). But the group tells who has the membership now: a member whose id begins with the instance id, and
the client id it connected with. Each process has a client id of its own, so any other name under our instance id is a
twin's (or that of the process which has replaced this one), and none is what a cut leaves behind. While a membership
passes from one to the other Kafka keeps the name of who had it first: of two twins the one that came later is told,
and ends.
How it fails: a group that cannot be asked names nobody, so this worker goes on; the next loss asks again.
"""

import asyncio
import os
import secrets

import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from pipeline.config import Settings
from pipeline.kafka_client import kafka_options

log = structlog.get_logger(__name__)

ANSWER_WITHIN = 2.0  # seconds: it is asked in the midst of a revocation
_UUID = 36  # characters that Kafka appends to an instance id, after a dash


def own_client_id() -> str:
    """A name under which no other process connects; different each time."""
    return f"spanfold-{os.getpid()}-{secrets.token_hex(6)}"


async def others(settings: Settings, group: str, instance_id: str, own: str) -> set[str]:
    """Hosts of processes other than the one called `own` that have this static membership of a group."""
    admin = AIOKafkaAdminClient(**kafka_options(settings), request_timeout_ms=int(ANSWER_WITHIN * 1000))
    try:
        async with asyncio.timeout(ANSWER_WITHIN):
            await admin.start()
            answers = await admin.describe_consumer_groups([group])
    except (KafkaError, OSError) as error:  # OSError covers TimeoutError
        log.warning("group_not_asked", group=group, error=repr(error))
        return set()
    finally:
        await admin.close()
    members = [member for answer in answers for described in answer.groups for member in described[5]]
    return {
        str(host).lstrip("/")
        for member_id, client_id, host, *_ in members
        if _is_of(member_id, instance_id) and client_id != own
    }


def _is_of(member_id: str, instance_id: str) -> bool:
    """Kafka makes the id of a static member of its instance id, a dash and a UUID."""
    return len(member_id) == len(instance_id) + 1 + _UUID and member_id.startswith(f"{instance_id}-")
