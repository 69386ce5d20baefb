"""The Faust app that workers are made of: an agent for each topic, chunks in, acknowledgement when they are durable.

An exception never leaves the agent's loop: Faust would take the chunk for done. What cannot be handled inside is a
bug; it ends the process at once and without a commit, and the next process takes the chunks again.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

import faust
import faust.auth
from yarl import URL

from pipeline.config import Settings
from pipeline.events.model import Record
from pipeline.kafka_client import security_options
from pipeline.stream.chunk import Chunk
from pipeline.stream.exits import StopError, die, halt
from pipeline.stream.membership import Membership
from pipeline.stream.offsets import TopicPartition
from pipeline.stream.transport import ChunkConsumer, ChunkTransport, RebalanceListener
from pipeline.stream.twin import others, own_client_id

FETCH_BYTES = 2**20  # of a partition at a time, compressed; a larger batch comes all the same. One waits for each.
BUFFERED = 4  # chunks that wait to be taken: a second's work, of at most `poll_records` records each
REVOKE_SESSIONS = 0.8  # of a session timeout: how long a revocation may take


class ChunkOwner(RebalanceListener, Protocol):
    """Who the chunks and partitions are given to."""

    async def take(self, chunk: Chunk) -> None:
        """Process a chunk; its `ack` is called whenever it is durable, or nobody's business any more."""


def create_app(settings: Settings, group: str, topics: Sequence[str], owner: ChunkOwner) -> Any:
    """An app whose agents give every chunk of `topics` to their owner, each partition's in order."""
    url = URL(f"kafka://{settings.kafka_bootstrap.replace(',', ';kafka://')}")
    name, client_id = f"{settings.topic_prefix}-{group}", own_client_id()
    app = _faust_app(settings, name, client_id, url)
    ask = partial(others, settings, name, settings.instance_id, client_id)
    membership = Membership(settings.instance_id, settings.session_timeout, ask)
    app.transport = ChunkTransport([url], app, owner, membership, settings.session_timeout * REVOKE_SESSIONS)

    async def chunks(stream: Any) -> None:
        async for event in stream.noack().events():
            message = event.message
            try:
                await owner.take(chunk_of(event))
            except asyncio.CancelledError:
                raise
            except StopError as error:
                halt(error)
            except BaseException:
                die("agent_failed", topic=message.topic, partition=message.partition, last_offset=message.offset)

    for topic in topics:  # an agent for each: one that waits for its store holds up no other topic
        app.agent(app.topic(topic, value_serializer="raw", key_serializer="raw"), name=topic)(chunks)
    return app


def _faust_app(settings: Settings, name: str, client_id: str, url: URL) -> Any:
    """Faust as it must be here: it keeps and serves nothing, and no delay costs a worker its membership."""
    return faust.App(
        name,
        broker=str(url),
        broker_client_id=client_id,
        broker_credentials=faust_credentials(settings),
        value_serializer="raw",
        key_serializer="raw",
        topic_disable_leader=True,
        topic_allow_declare=False,
        web_enabled=False,
        datadir=str(settings.data_dir / "faust"),  # Faust insists on a folder; nothing is kept in it
        table_standby_replicas=0,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=settings.instance_id or None,
        consumer_max_fetch_size=FETCH_BYTES,
        consumer_metadata_max_age_ms=int(settings.metadata_age * 1000),  # how soon a topic's growth is noticed
        broker_max_poll_records=settings.poll_records,
        broker_session_timeout=settings.session_timeout,
        broker_heartbeat_interval=min(3.0, settings.session_timeout / 3),
        broker_max_poll_interval=86_400.0,  # a store that is down for hours must not cost the membership
        broker_commit_interval=60.0,  # Faust's own commit finds nothing to do
        stream_buffer_maxsize=BUFFERED,
        stream_processing_timeout=86_400.0,
        broker_commit_livelock_soft_timeout=86_400.0,
    )


def chunk_of(event: Any) -> Chunk:
    """What a Faust event holds; the event lets go of it, for whoever waits for its `ack` would keep it in memory."""
    message = event.message
    records: list[Record] = event.value
    event.value = message.value = None
    return Chunk(TopicPartition(message.topic, message.partition), records, event.ack)


def faust_credentials(settings: Settings) -> Any:
    """What kafka_client.py says, as Faust wants it; None for plain text."""
    options = security_options(settings)
    context = options.get("ssl_context")
    if "sasl_oauth_token_provider" in options:
        return faust.auth.OAuthCredentials(oauth_cb=options["sasl_oauth_token_provider"], ssl_context=context)
    if "sasl_mechanism" in options:
        return faust.auth.SASLCredentials(
            username=options["sasl_plain_username"],
            password=options["sasl_plain_password"],
            mechanism=options["sasl_mechanism"],
            ssl_context=context,
        )
    return faust.auth.SSLCredentials(context) if context is not None else None


def consumer_of(app: Any) -> ChunkConsumer:
    """The app's consumer, once it has started."""
    return app.consumer  # type: ignore[no-any-return]
