"""The Faust app that workers are made of: an agent for each topic, chunks in, acknowledgement when they are durable.

An exception never leaves the agent's loop: Faust would take the chunk for done. What cannot be handled inside is a
bug; it ends the process at once and without a commit, and the next process takes the chunks again.
"""

import asyncio
import os
from collections.abc import Sequence
from typing import Any, Protocol

import faust
import structlog
from yarl import URL

from pipeline.config import Settings
from pipeline.stream.chunk import Chunk
from pipeline.stream.intake import to_record
from pipeline.stream.offsets import TopicPartition
from pipeline.stream.transport import ChunkConsumer, ChunkTransport, RebalanceListener

log = structlog.get_logger(__name__)

EXIT_BUG = 70  # EX_SOFTWARE


class ChunkOwner(RebalanceListener, Protocol):
    """Who the chunks and partitions are given to."""

    async def take(self, chunk: Chunk) -> None:
        """Process a chunk; its `ack` is called whenever it is durable, or nobody's business any more."""


def create_app(settings: Settings, group: str, topics: Sequence[str], owner: ChunkOwner) -> Any:
    """An app whose agents give every chunk of `topics` to their owner, each partition's in order."""
    url = URL(f"kafka://{settings.kafka_bootstrap.replace(',', ';kafka://')}")
    app = faust.App(
        f"{settings.topic_prefix}-{group}",
        broker=str(url),
        value_serializer="raw",
        key_serializer="raw",
        topic_disable_leader=True,
        topic_allow_declare=False,
        web_enabled=False,
        datadir=str(settings.data_dir / "faust"),  # Faust insists on a folder; nothing is kept in it
        table_standby_replicas=0,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=settings.instance_id or None,
        consumer_max_fetch_size=8 * 2**20,
        broker_max_poll_records=settings.poll_records,
        broker_session_timeout=settings.session_timeout,
        broker_heartbeat_interval=min(3.0, settings.session_timeout / 3),
        broker_max_poll_interval=86_400.0,  # a store that is down for hours must not cost the membership
        broker_commit_interval=60.0,  # Faust's own commit finds nothing to do
        stream_buffer_maxsize=32,  # chunks
        stream_processing_timeout=86_400.0,
        broker_commit_livelock_soft_timeout=86_400.0,
    )
    app.transport = ChunkTransport([url], app, owner)

    async def chunks(stream: Any) -> None:
        async for event in stream.noack().events():
            message = event.message
            chunk = Chunk(
                TopicPartition(message.topic, message.partition),
                [to_record(record, message.topic) for record in event.value],
                event.ack,
            )
            try:
                await owner.take(chunk)
            except asyncio.CancelledError:
                raise
            except BaseException:
                die("agent_failed", topic=message.topic, partition=message.partition, last_offset=message.offset)

    for topic in topics:  # an agent for each: one that waits for its store holds up no other topic
        app.agent(app.topic(topic, value_serializer="raw", key_serializer="raw"), name=topic)(chunks)
    return app


def consumer_of(app: Any) -> ChunkConsumer:
    """The app's consumer, once it has started."""
    return app.consumer  # type: ignore[no-any-return]


def die(event: str, **context: object) -> None:
    """A bug: say what happened, then end the process without flushing or committing anything."""
    log.critical(event, exc_info=True, **context)
    os._exit(EXIT_BUG)
