"""The demo from start to end: the steps in order, then the verdict."""

import asyncio
import shutil
import signal
import sys
import tempfile
from contextlib import AsyncExitStack, closing, suppress
from pathlib import Path

from pipeline.demo.account import take_account, wait_until_stored
from pipeline.demo.freshness import LOAD, SECONDS, measure
from pipeline.demo.front import front_of
from pipeline.demo.report import Outcome, print_outcome, print_questions, read_pictures
from pipeline.demo.rule import make_rule, wait_for_scores
from pipeline.demo.scratch import registry_url, scratch_stack
from pipeline.demo.sent import Sent
from pipeline.demo.steps import Steps
from pipeline.demo.traffic import KAFKA_EVENTS, recorded_requests, send_recorded, send_through_kafka
from pipeline.local.jars import kafka_jars
from pipeline.local.stack import Stack, load_settings
from pipeline.registry import Rule
from pipeline.store.client import connect

INTERRUPTED = 130  # the exit code of a program that Ctrl-C ended


def run_demo(*, keep: bool = False, port: int = 0) -> int:
    """Run the demo and return its exit code; with `keep` the stack then runs until Ctrl-C and its directory stays.

    Raises SpanfoldError.
    """
    kafka_jars()  # a first download shows a bar of its own
    data = Path(tempfile.mkdtemp(prefix="spanfold-demo-"))
    try:
        return asyncio.run(_until_signal(data, keep, port))
    finally:
        if not keep:
            _remove(data)


async def _until_signal(data: Path, keep: bool, port: int) -> int:
    """The demo as a task that the first SIGINT or SIGTERM cancels."""
    demo = asyncio.create_task(_demo(data, keep, port))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, demo.cancel)
    await asyncio.wait({demo})
    return INTERRUPTED if demo.cancelled() else demo.result()


async def _demo(data: Path, keep: bool, port: int) -> int:
    steps = Steps()
    rule = await asyncio.to_thread(make_rule, registry_url(data))
    async with AsyncExitStack() as life:
        steps.line(f"working in {data}")
        with steps.step("Starting a stack"):
            scratch = await life.enter_async_context(scratch_stack(data, port, steps.tell))
        outcome = await _traffic(scratch.stack, rule, steps)
        print_outcome(outcome)
        print_questions(data if keep else None)
        if keep:
            steps.line(f"The stack keeps running ({scratch.stack.http}). Ctrl-C stops it; {data} stays.")
            with suppress(asyncio.CancelledError):  # Ctrl-C is how it is meant to end
                await scratch.ended()
        with steps.step("Stopping the stack"):
            await life.aclose()
    return 1 if outcome.differences else 0


async def _traffic(stack: Stack, rule: Rule, steps: Steps) -> Outcome:
    """Send everything and look at what came out; steps 2 to 6 of the package's rule."""
    settings, sent = load_settings(**stack.settings), Sent()
    async with front_of(stack) as front:
        with closing(await asyncio.to_thread(connect, settings)) as client:
            requests = recorded_requests()
            with steps.step("Sending recorded traffic over HTTP", sum(len(each["batch"]) for each in requests)) as step:
                await send_recorded(front, requests, sent, step.advance)
            with steps.step(f"Producing {KAFKA_EVENTS:,} events to Kafka", KAFKA_EVENTS) as step:
                await send_through_kafka(settings, sent, step.advance)
            with steps.step("Waiting until all is stored", 1) as step:
                await wait_until_stored(client, settings, step.reached)
            with steps.step("Waiting for the evaluator's scores", 1) as step:
                await wait_for_scores(client, rule, step.reached)
            with steps.step(f"Measuring freshness at {LOAD} events/s", LOAD * SECONDS) as step:
                fresh = await measure(front, client, sent, step.advance)
            with steps.step("Waiting for the last scores", 1) as step:
                scored = await wait_for_scores(client, rule, step.reached)
            with steps.step("Counting") as step:
                await wait_until_stored(client, settings, step.reached)
                account = await take_account(client, settings)
            return Outcome(sent, account, fresh, scored, await asyncio.to_thread(read_pictures, client))


def _remove(data: Path) -> None:
    try:
        shutil.rmtree(data)
    except OSError as error:  # a role that had to be killed may still be going
        print(f"spanfold: {data} could not be removed ({error.strerror}); remove it by hand", file=sys.stderr)
