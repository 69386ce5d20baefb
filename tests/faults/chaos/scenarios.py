"""The faults, as data: each scenario is a list of steps, done one after the other while the load goes on.

A new fault is a new line. `since` says from when recovery is counted: a death is over when it has been recovered
from.
"""

import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from tests.faults.chaos.bed import Bed
from tests.faults.chaos.gate import CALM, Trouble, clickhouse_error

Step = Callable[[Bed], None]


class Since(StrEnum):
    """From when the seconds to recover are counted."""

    BEGIN = "its beginning"
    END = "its end"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One fault. `name` is for the command line, `fault` for the table."""

    name: str
    fault: str
    steps: Sequence[Step]
    since: Since = Since.END
    backlog: int = 0  # events that wait in the log already when the load begins
    scored: bool = False  # recovered only when traces have their evaluation, too


def kill(name: str) -> Step:
    """SIGKILL; it is started again as a supervisor would."""
    return lambda bed: bed.kept[name].kill()


def down(name: str, number: signal.Signals = signal.SIGKILL) -> Step:
    """End it and leave it so."""
    return lambda bed: bed.kept[name].down(number)


def back(name: str) -> Step:
    """Wait until it is ready again after a kill."""
    return lambda bed: bed.kept[name].wait_back()


def leaves(name: str) -> Step:
    """SIGTERM: it stops in order, with the exit code 0, whatever it waits for."""
    return lambda bed: bed.leaves(name)


def up(name: str) -> Step:
    """Start it again."""
    return lambda bed: bed.kept[name].up()


def stop(name: str) -> Step:
    """SIGSTOP: it stands still and knows nothing of it."""
    return lambda bed: bed.kept[name].signal(signal.SIGSTOP)


def go_on(name: str) -> Step:
    """SIGCONT: it goes on with what it was doing."""
    return lambda bed: bed.kept[name].signal(signal.SIGCONT)


def wait(seconds: float) -> Step:
    """The fault lasts, or the load goes on between two."""
    return lambda _: time.sleep(seconds)


def store_is(trouble: Trouble) -> Step:
    """What is wrong between workers and store from now on."""
    return lambda bed: bed.store_gate.become(trouble)


def broker_is(trouble: Trouble) -> Step:
    """What is wrong between workers and broker from now on."""
    return lambda bed: bed.broker_gate.become(trouble)


def join(name: str, *, skewed: bool = False) -> Step:
    """One more worker; `skewed`: with a clock of its own."""
    return lambda bed: bed.join(name, skewed=skewed)


def twin(name: str, instance: str) -> Step:
    """One more worker, which says that it is another one."""
    return lambda bed: bed.twin(name, instance)


def full_disk(full: bool) -> Step:
    """The store can write no more, or can again."""
    return lambda bed: bed.full_disk(full)


def clock(seconds: float) -> Step:
    """Set the clocks of those workers that have one of their own."""
    return lambda bed: bed.set_clock(seconds)


def times(count: int, *steps: Step) -> list[Step]:
    """These steps, again and again."""
    return list(steps) * count


def for_a_while(troubled: Callable[[Trouble], Step], trouble: Trouble, seconds: float) -> list[Step]:
    """Trouble, which ends."""
    return [troubled(trouble), wait(seconds), troubled(CALM)]


def kept_committing(bed: Bed, seconds: float) -> None:
    """Wait until stored ranges reach further than now, that is until a worker is in the middle of its work."""
    deadline, began = time.monotonic() + seconds, _stored(bed)
    while _stored(bed) < began + 2_000 and time.monotonic() < deadline:
        time.sleep(0.05)


def _stored(bed: Bed) -> int:
    return bed.stack.count("SELECT sum(records) FROM offset_ranges")


CUT_BODY = Trouble(cut_after=3_000)
CUT_ANSWER = Trouble(loses_answers=True)
BLACK_HOLE = Trouble(hangs=True)
NO_SPACE = Trouble(answer=clickhouse_error(243, "Cannot reserve 1.00 MiB, not enough space. (NOT_ENOUGH_SPACE)"))
LATE = Trouble(delay=0.25)
CUT_OFF = Trouble(refuses=True)
catching_up: Step = partial(kept_committing, seconds=20)

SCENARIOS = (
    Scenario("undisturbed", "none", [wait(10)]),
    Scenario("worker-killed", "SIGKILL of a worker", [kill("worker-1")], Since.BEGIN),
    Scenario(
        "worker-killed-behind",
        "SIGKILL of both workers, three times, amid a backlog of 60,000 events",
        times(3, catching_up, kill("worker-1"), kill("worker-2")),
        Since.BEGIN,
        backlog=60_000,
    ),
    Scenario("ingest-killed", "SIGKILL of the front door", [kill("ingest")], Since.BEGIN),
    Scenario(
        "evaluator-killed",
        "SIGKILL of the evaluator (recovered: all traces are scored)",
        [kill("evaluator")],
        Since.BEGIN,
        scored=True,
    ),
    Scenario("broker-killed", "SIGKILL of the broker", [kill("broker")], Since.BEGIN),
    Scenario("store-killed", "SIGKILL of the store", [kill("store")], Since.BEGIN),
    Scenario("zombie", "SIGSTOP of a worker for 60 s, then SIGCONT", [stop("worker-1"), wait(60), go_on("worker-1")]),
    Scenario("store-down", "store down for 120 s", [down("store"), wait(120), up("store")]),
    Scenario(
        "store-down-workers-end",
        "store down for 30 s; meanwhile one worker is stopped by SIGTERM, the other killed",
        [
            down("store"), wait(5), leaves("worker-1"), kill("worker-2"), wait(25), up("store"),
            up("worker-1"),
        ],
    ),
    Scenario(
        "insert-cut",
        "connection to the store cut in the middle of each request for 10 s",
        for_a_while(store_is, CUT_BODY, 10),
    ),
    Scenario(
        "answer-lost",
        "inserts arrive, their answers are lost, for 10 s",
        for_a_while(store_is, CUT_ANSWER, 10),
    ),
    Scenario(
        "store-hangs",
        "store takes connections and says nothing for 75 s (clients give up after 60 s)",
        for_a_while(store_is, BLACK_HOLE, 75),
    ),
    Scenario("store-slow", "each packet to and from the store 0.25 s late, for 20 s", for_a_while(store_is, LATE, 20)),
    Scenario(
        "no-space",
        "store answers NOT_ENOUGH_SPACE (243) for 30 s",
        for_a_while(store_is, NO_SPACE, 30),
    ),
    Scenario(
        "disk-full",
        "every write of the store fails for 30 s (no file may grow)",
        [full_disk(True), wait(30), full_disk(False)],
    ),
    Scenario(
        "broker-cut",
        "workers cut off from the broker for 20 s, longer than their session",
        for_a_while(broker_is, CUT_OFF, 20),
    ),
    Scenario(
        "broker-cut-twice",
        "workers cut off from the broker for 8 s, longer than their session, twice within six sessions",
        [*for_a_while(broker_is, CUT_OFF, 8), wait(8), *for_a_while(broker_is, CUT_OFF, 8)],
    ),
    Scenario(
        "broker-hangs",
        "broker says nothing to workers for 20 s, longer than their session",
        for_a_while(broker_is, BLACK_HOLE, 20),
    ),
    Scenario(
        "broker-restarts",
        "broker stopped and started three times in a row",
        times(3, down("broker", signal.SIGTERM), up("broker"), wait(2)),
    ),
    Scenario(
        "rebalance-storm",
        "a worker joins or leaves every 5 s, for 60 s",
        times(6, join("worker-3"), wait(5), leaves("worker-3"), wait(5)),
    ),
    Scenario(
        "same-instance-id",
        "a third worker with the instance id of the first, for 30 s",
        [twin("twin", "worker-1"), wait(30), down("twin", signal.SIGTERM)],
    ),
    Scenario(
        "clock-jumps",
        "a worker's wall clock jumps a day ahead, then an hour back",
        [
            clock(0), join("skewed", skewed=True), wait(5), clock(86_400), wait(10), clock(-3_600), wait(10), clock(0),
            leaves("skewed"),
        ],
    ),
)  # fmt: skip

IN_SHORT = Scenario(
    "in-short",
    "nearly all of them, one upon the other",
    [
        catching_up, kill("worker-1"), kill("worker-2"), back("worker-1"), back("worker-2"),
        stop("worker-1"), kill("ingest"), kill("evaluator"), wait(1),  # from here on a zombie
        down("store"), wait(1), leaves("worker-2"), up("store"), join("worker-3"), go_on("worker-1"),
        *for_a_while(store_is, CUT_BODY, 1.5), *for_a_while(store_is, CUT_ANSWER, 1.5),
        *for_a_while(store_is, NO_SPACE, 1.5), *for_a_while(store_is, BLACK_HOLE, 1),
        kill("broker"), back("broker"), kill("worker-1"), up("worker-2"), *for_a_while(broker_is, CUT_OFF, 2),
        leaves("worker-3"),
    ],
    backlog=10_000,
)  # fmt: skip
"""What CI does within a minute, judged once at its end."""
