"""The demo's evaluation rule, and the wait until the scores that it asks for have come back.

Rule: project and rule exist before the stack starts, so that the workers know them when the first trace settles. Which
traces are chosen is a function of project, rule and trace (I7), so the demo can tell which scores must come.
A trace that never ends settles only after a minute of silence; the demo does not wait for those.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import closing
from typing import NamedTuple

from clickhouse_connect.driver.client import Client

from pipeline.demo.queries import sql
from pipeline.demo.scratch import PROJECT
from pipeline.evaluate.sampling import chosen
from pipeline.registry import Rule, open_registry

NAME, LIMIT_MS, SHARE = "fast enough", 10_000, 0.2
_GIVE_UP_AFTER, _LOOK_EVERY = 30.0, 0.25  # seconds


class Scored(NamedTuple):
    """How many settled traces the rule chose, and how many of those have its score."""

    chosen: int
    scored: int


def make_rule(registry_url: str) -> Rule:
    """Make the project and its rule in a new registry."""
    with closing(open_registry(registry_url)) as registry:
        registry.create_project("Demo", project_id=PROJECT)
        return registry.add_rule(PROJECT, NAME, "latency_above", parameters={"limit_ms": LIMIT_MS}, sampling_rate=SHARE)


async def wait_for_scores(client: Client, rule: Rule, progress: Callable[[int, int], None]) -> Scored:
    """Return when every trace that has ended is settled and scored if it was chosen, or after 30 s."""
    give_up = time.monotonic() + _GIVE_UP_AFTER
    while True:
        scored, waiting = await asyncio.to_thread(_look, client, rule)
        progress(scored.scored, scored.chosen)
        if (not waiting and scored.scored >= scored.chosen) or time.monotonic() > give_up:
            return scored
        await asyncio.sleep(_LOOK_EVERY)


def _look(client: Client, rule: Rule) -> tuple[Scored, int]:
    """(what is there now, how many traces are about to settle)"""
    waiting = int(
        client.query(sql("ended")).result_rows[0][0]
    )  # first: what settles after it is in the next line's answer
    settled = [trace_id for (trace_id,) in client.query(sql("settled")).result_rows]
    wanted = {trace_id for trace_id in settled if chosen(PROJECT, rule.id, trace_id, rule.sampling_rate)}
    scored = {trace_id for (trace_id,) in client.query(sql("evaluated")).result_rows}
    return Scored(len(wanted), len(wanted & scored)), waiting
