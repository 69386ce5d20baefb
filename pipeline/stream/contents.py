"""The content of some observations of a giant trace comes back from the archive (fold/shed.py let it go).

The archive must have all of it, for what was let go was durable. A replica may lag, so it is asked again for a while.
Where it still lacks events they are gone for good (they expired while the trace was alive, or the archive refused one):
then the observation's stored row, which was made from them, is laid under what there is, as for any trace whose archive
expired, and the trace is flagged `archive_expired`. Nobody waits for ever.
"""

import asyncio
from collections.abc import Sequence
from functools import partial

import structlog
from clickhouse_connect.driver.client import Client

from pipeline.fold.layers import Layer
from pipeline.fold.shed import bring_back, lacking
from pipeline.fold.state import TraceState, weight
from pipeline.metrics import UNSEEN, Metric, Metrics
from pipeline.store import lookups
from pipeline.stream.archived import content_of
from pipeline.stream.expired import layer_of
from pipeline.stream.partition import Partition
from pipeline.stream.persist import ask_store

log = structlog.get_logger(__name__)

BEHIND = 1.0  # seconds until the archive is asked again for what it must have
TRIES = 30

Contents = dict[str, tuple[list[Layer], int]]  # by observation: its opinions, and the bytes of its events


async def bring_content_back(
    client: Client, partition: Partition, key: bytes, ids: Sequence[str], metrics: Metrics = UNSEEN
) -> None:
    """Load the content of these observations. Raises persist.Cancelled once the partition is revoked."""
    state = partition.traces.get(key)
    if state is None:
        return
    question = partial(contents, client, state, ids)
    found = await ask_store(question, partition.is_revoked, metrics)
    tries = 0
    while lost := lacking(state, found):
        if state.expired or tries == TRIES:
            await _lay_under(client, partition, state, found, lost, metrics)
            break
        tries += 1
        log.warning("archive_is_behind", project=state.project_id, trace=state.trace_id, lacking=len(lost))
        await asyncio.sleep(BEHIND)
        found = await ask_store(question, partition.is_revoked, metrics)
    if partition.traces.get(key) is state:
        metrics.add(Metric.READ_BACKS, len(found), "observation")
        for id_, (layers, size) in found.items():
            partition.size += bring_back(state, id_, layers, size)
        partition.giants.add(key)


def contents(client: Client, state: TraceState, ids: Sequence[str]) -> Contents:
    """What the archive has of these observations, as far as it is in the state already; and its bytes."""
    found: Contents = {id_: ([], 0) for id_ in ids}
    for raw in lookups.read_back_observations(client, (state.project_id, state.trace_id), ids):
        layer = content_of(state, raw)
        if layer is not None:
            layers, size = found[raw.entity_id]
            layers.append(layer)
            found[raw.entity_id] = (layers, size + weight(raw.value))
    return found


async def _lay_under(
    client: Client, partition: Partition, state: TraceState, found: Contents, lost: Sequence[str], metrics: Metrics
) -> None:
    """Let the stored rows stand for what is lost of these observations."""
    log.error("archive_lost_events", project=state.project_id, trace=state.trace_id, observations=len(lost))
    trace = lookups.StoredTrace(state.project_id, state.trace_id, state.first_seen, 0, False)
    rows = await ask_store(partial(lookups.stored_observations, client, trace, lost), partition.is_revoked, metrics)
    state.expired = True
    for id_ in lost:
        if id_ in rows:
            found[id_][0].append(layer_of(rows[id_]))
