"""Bringing shadow rows into the live tables while workers go on writing there; nothing that they write is lost.

The live tables are never exchanged for others: an insert under way would end in the wrong one. Instead the shadow's
rows come to them under a higher epoch, and versions decide.
1 The shadow's epoch is published. It must be the next one: where prices were published since the shadow was begun, its
  rows stand on an old book, and all has to be done again.
2 Workers get time to take it. From now on a worker that gets an event of a trace writes all of its rows under this
  epoch, from more events than the shadow had, and wins.
3 Traces that got events while the shadow was filled are made anew in it, from the archive.
4 Live rows that the new code no longer makes are taken back by rows in the shadow; changes in cost are noted.
5 Partition by partition the shadow's parts move to the live tables: each in one step, no row is copied.
6 Traces that are new since the shadow was begun, and those of which a worker wrote more under the old epoch in spite
  of 2, are made once more, now in the live tables.
A crash at any point is repaired by the same command: what has moved is no longer in the shadow.
"""

from collections.abc import Callable
from contextlib import ExitStack

from clickhouse_connect.driver.client import Client

from pipeline import __version__
from pipeline.config import Settings
from pipeline.errors import SpanfoldError
from pipeline.ops.reprice.run import TAKEN_SECONDS
from pipeline.ops.retention.rules import Rules, read_rules
from pipeline.replay import epoch as epochs
from pipeline.replay.compare import KEYS, Comparison, compare, pieces
from pipeline.replay.run import Place, Progress, Question, Report, Work, now
from pipeline.replay.runs import DISCARDED, DONE, RUNNING, SWAPPED, SWAPPING, Run, check_no_swap, remember, shadow_run
from pipeline.replay.scope import BIG_QUERY, sql
from pipeline.replay.shadow import drop_shadow, shadow_settings
from pipeline.replay.write import TOMBSTONE
from pipeline.store.lookups import stored_columns
from pipeline.store.retention import BOUNDED, Kind
from pipeline.store.tables import OBSERVATIONS, SCORES, TRACES

PIECE_ROWS = 500_000
MOVED = (OBSERVATIONS, SCORES, TRACES)
Say = Callable[[str], None]


class NoShadowError(SpanfoldError):
    """There are no shadow tables, or they are not ready."""


def compare_shadow(settings: Settings) -> dict[str, Comparison]:
    """The shadow tables against the live ones. Raises NoShadowError."""
    with ExitStack() as stack:
        place = Place(settings, stack)
        _ready(place.client)
        return compare(place.client, shadow_settings(settings).clickhouse_database)


def discard_shadow(settings: Settings) -> None:
    """Remove the shadow tables. The live ones are as they were."""
    with ExitStack() as stack:
        place = Place(settings, stack)
        check_no_swap(place.client)
        drop_shadow(place.client, settings)
        run = shadow_run(place.client)
        if run is not None and run.state in (RUNNING, DONE):
            remember(place.client, run, state=DISCARDED)


def swap(
    settings: Settings,
    *,
    wait: float = TAKEN_SECONDS,
    reason: str = "replay",
    say: Say = lambda _: None,
    progress: Progress = lambda *_: None,
) -> Report:
    """Steps 1 to 6. Raises NoShadowError, StaleEpochError, StoreError, RegistryError."""
    with ExitStack() as stack:
        place = Place(settings, stack)
        run = _ready(place.client)
        question = Question.of(run)
        _publish(place, run)  # 1
        shadow = place.shadow()
        work = Work(place, run, shadow, reason, progress)
        stack.callback(work.close)
        work.remember(state=SWAPPING)
        say("waiting until all workers have the new epoch")
        epochs.wait_until_taken(place.registry, wait)  # 2
        scope = question.scope(run.until if question.until else now())
        late = work.catch_up(scope, shadow)  # 3
        say(f"{late} traces got events meanwhile and were made once more")
        database = shadow_settings(settings).clickhouse_database
        _bury(place.client, database, run.epoch)  # 4
        _note(place.client, database, run.epoch, reason, read_rules(place.registry))
        for table in MOVED:
            say(f"{_move(place.client, database, table)} partitions of {table} moved")  # 5
        live = Work(place, run, None, reason, progress)
        stack.callback(live.close)
        overtaken = live.catch_up(scope, place.client, run.epoch)  # 6
        say(f"{overtaken} traces were new or written meanwhile and were made once more")
        work.remember(state=SWAPPED)
        drop_shadow(place.client, settings)
        work.report.counts["overtaken"] = overtaken
        return work.report


def _ready(client: Client) -> Run:
    run = shadow_run(client)
    if run is None or run.state in (SWAPPED, DISCARDED):
        raise NoShadowError("There are no shadow tables.", remedy="Fill them: spanfold replay --from … --into shadow")
    if run.state == RUNNING:
        raise NoShadowError(
            f"The shadow tables are not filled yet: {run.counts.get('traces', 0)} traces are done.",
            remedy="Give the command that began it again; it goes on where it was.",
        )
    return run


def _publish(place: Place, run: Run) -> None:
    note = f"replay {run.id}"
    newest = place.registry.newest_prices()
    if run.code != __version__:
        raise epochs.StaleEpochError(
            f"The shadow tables were filled by version {run.code}, this is {__version__}.", remedy=_AGAIN
        )
    if newest is not None and newest.epoch == run.epoch and newest.note == note:
        return  # by this command, before it was broken off
    if (newest.epoch if newest else 0) != run.epoch - 1 or epochs.raise_epoch(place.registry, note) != run.epoch:
        raise epochs.StaleEpochError("Prices were published since the shadow tables were begun.", remedy=_AGAIN)


_AGAIN = "Fill them again: spanfold replay --from … --into shadow --restart"


def _bury(client: Client, shadow: str, epoch: int) -> None:
    for table in (OBSERVATIONS, SCORES):
        keys, columns = KEYS[table], stored_columns(client, table)
        chosen = ", ".join(TOMBSTONE.get(column, column) for column in columns)
        for piece, parameters in pieces(client, shadow, table, PIECE_ROWS):
            query = sql("stale_shadow").format(
                table=table, shadow=shadow, columns=", ".join(columns), chosen=chosen, piece=piece, group=keys.group,
                of=keys.of, key=", ".join(("project_id", *keys.row)),
            )  # fmt: skip
            client.command(query, parameters={**parameters, "epoch": epoch})


def _note(client: Client, shadow: str, epoch: int, reason: str, rules: Rules) -> None:
    [history] = [bounded for bounded in BOUNDED if bounded.kind is Kind.COST_HISTORY]
    for piece, parameters in pieces(client, shadow, OBSERVATIONS, PIECE_ROWS):
        query = sql("history").format(shadow=shadow, piece=piece, expires=rules.expression(history))
        client.command(query, parameters={**parameters, "epoch": epoch, "reason": reason}, settings=BIG_QUERY)


def _move(client: Client, shadow: str, table: str) -> int:
    """Move all partitions of a shadow table to its live one; how many."""
    parameters = {"database": shadow, "table": table}
    partitions = client.query(sql("partitions"), parameters=parameters).result_rows
    for (partition,) in partitions:
        client.command(f"ALTER TABLE {shadow}.{table} MOVE PARTITION ID '{partition}' TO TABLE {table}")
    return len(partitions)
