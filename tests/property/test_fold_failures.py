"""I1 to I4 where our own code fails: no event ends a worker, nobody else notices, and what was put aside is mended.

Workers live through chunks, flushes, deaths and rebalances in an order that a seed decides, while the fold, the pricing
or the making of rows fails for some events or traces after having changed their state. Then the mistake is mended and
the dead letters are sent again.
"""

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import pytest

from pipeline.events import headers
from pipeline.events.canonical import to_canonical_json
from pipeline.events.model import Event, Fields, Kind, Micros
from pipeline.events.priced import Priced
from pipeline.fold.state import TraceState
from pipeline.stream import collect as collect_module
from pipeline.stream.deadletters import DeadLetter
from tests.oracle import nasty
from tests.oracle import worker as worker_module
from tests.oracle.durable import PARTITIONS, Log, Store
from tests.oracle.event_set import Known
from tests.oracle.fold import views
from tests.oracle.folded import PRICE
from tests.oracle.loop import QuickLoop
from tests.oracle.table import difference
from tests.oracle.worker import CALLS, IDLE, Clock, Worker, in_memory

TRACES, EVENTS = 10, 8
BAD_TRACES = ("t3", "t7")


def _is_bad(event: Event) -> bool:
    """The events that the fold fails on: one or two of each of some traces, all of one."""
    return event.trace_id == "t5" or (event.trace_id in ("t0", "t4", "t7") and event.event_id.endswith(("2", "6")))


@contextmanager
def _fold_fails() -> Iterator[None]:
    fold = TraceState.fold

    def failing(state: TraceState, event: Event, *rest: Any) -> None:
        fold(state, event, *rest)
        state.revision += 100
        if _is_bad(event):
            raise RuntimeError(f"cannot fold {event.event_id}")
        state.revision -= 100

    with patch.object(TraceState, "fold", failing):
        yield


@contextmanager
def _fails_after(name: str) -> Iterator[None]:
    """One of the collector's functions does its work and fails, for bad traces."""
    original: Callable[..., Any] = getattr(collect_module, name)

    def failing(*arguments: Any, **named: Any) -> Any:
        result = original(*arguments, **named)
        if any(isinstance(each, TraceState) and each.trace_id in BAD_TRACES for each in arguments):
            raise RuntimeError("cannot make rows")
        return result

    with patch.object(collect_module, name, failing):
        yield


@contextmanager
def _price_fails() -> Iterator[None]:
    class Failing:
        epoch = PRICE.epoch

        def __call__(self, project_id: str, fields: Fields, start_time: Micros) -> Priced:
            if fields.get("user_id") in BAD_TRACES:
                raise ZeroDivisionError("a price of nothing")
            return PRICE(project_id, fields, start_time)

    with patch.object(worker_module, "PRICE", Failing()):
        yield


FAULTS: dict[str, Callable[[], Any]] = {
    "fold": _fold_fails,
    "build": lambda: _fails_after("build"),
    "rows": lambda: _fails_after("add_rows"),
    "price": _price_fails,
}


class Life:
    """A log, a store, and the workers of one seed, one after the other."""

    def __init__(self, seed: int, clock: Clock) -> None:
        self.random, self.clock, self.loop = random.Random(seed), clock, QuickLoop()
        self.log, self.store = Log(), Store()
        self.letters: list[DeadLetter] = []
        self.fold_fails = False
        self.worker = self._new()

    def _new(self) -> Worker:
        worker = Worker(self.log, self.store, self.loop, self.clock)
        worker.assign(set(range(PARTITIONS)))
        return worker

    def again(self) -> None:
        """Another process takes over."""
        self.letters += self.worker.letters
        self.worker = self._new()

    def write(self) -> None:
        """What is produced: observations of some traces, mixed, some of them twice, and an event of each trace."""
        events: list[Event] = []
        for trace in range(TRACES):
            for number in range(EVENTS):
                fields = {"name": f"n{number}", "user_id": f"t{trace}", "level": "ERROR", "model": "gpt-4o"}
                kind, entity = (Kind.OBSERVATION, f"o{number // 2}") if number else (Kind.TRACE, f"t{trace}")
                at = Micros(nasty.AT + number)
                events.append(nasty.known(kind, f"t{trace}", entity, f"e{trace}-{number}", at, fields).event)
        events += self.random.sample(events, 10)
        self.random.shuffle(events)
        for event in events:
            self.log.append(event, to_canonical_json(event))

    def live(self) -> None:
        """Chunks, flushes, deaths, rebalances."""
        while any(self.log.committed[n] < len(self.log.records[n]) for n in range(PARTITIONS)) and self._turns():
            self.worker.deliver(self.random.randrange(PARTITIONS), self.random.randint(1, 9))
            self.clock.now += self.random.choice([0.0, 0.4, 1.5, 6.0])
            what = self.random.random()
            if what < 0.1:
                if not self.worker.flush(die_at=self.random.randrange(CALLS)):
                    self.again()
            elif what < 0.2:
                self.worker.revoke()
                self.again()
            elif what < 0.7:
                self._flush()
        self.end()

    def end(self) -> None:
        """All comes in, and all settles."""
        for number in range(PARTITIONS):
            self.worker.deliver(number, 2**20)
        for _ in range(8):
            self._flush()
            self.clock.now += IDLE + 1
        self._flush()

    def _flush(self) -> None:
        assert self.worker.flush()
        if self.fold_fails:
            self.check_committed()
        self.loop.run_until_complete(asyncio.sleep(0.1))  # what was thrown out comes back

    def check_committed(self) -> None:
        """I2: what is committed is in the newest row of its trace, but for what the fold fails on."""
        for number, offset in enumerate(self.log.committed):
            for trace, events in self.log.traces(number, offset).items():
                folded = sum(not _is_bad(each.event) for each in events)
                row = self.store.table.rows.get(("traces", trace))
                assert not folded or (row is not None and row.version // 2 >= folded), (trace, offset)

    def _turns(self) -> bool:
        self.turn = getattr(self, "turn", 0) + 1
        return self.turn < 60

    def replay(self) -> None:
        """Send the dead letters again, as `spanfold dlq replay` does."""
        for letter in {(each.record.partition, each.record.offset): each for each in self.letters}.values():
            record = letter.record
            self.log._append(record.partition, record.key or b"", record.value or b"", ((headers.ATTEMPT, b"2"),))

    def close(self) -> None:
        """What waits for ever ends."""
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()

    def known(self) -> list[Known]:
        return [each for some in self.log.known for each in some]


def _but(shown: Any, traces: set[str]) -> Any:
    """Views without these traces."""
    return {
        view: {key: row for key, row in rows.items() if not traces.intersection(key)} for view, rows in shown.items()
    }


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("seed", range(2))
def test_what_our_own_code_fails_on_is_put_aside_alone_and_mended_by_a_replay(fault: str, seed: int) -> None:
    clock = Clock()
    with in_memory(clock):
        life = Life(seed, clock)
        life.write()
        life.fold_fails = fault == "fold"
        with FAULTS[fault]():
            life.live()
            life.again()
            life.end()  # what a worker finds at its start stops it no more than what comes
        log, store = life.log, life.store
        assert log.committed == [len(records) for records in log.records]
        _check_ledger(life)
        known = life.known()
        archived = {row.event_id for rows in store.archive.values() for row in rows}
        assert archived == {each.event.event_id for each in known}, "the archive has all"
        lettered = [(each.record.partition, each.record.offset) for each in life.letters]
        if fault == "fold":
            bad = {(n, o) for n in range(PARTITIONS) for o, each in enumerate(log.known[n]) if _is_bad(each.event)}
            assert set(lettered) <= bad
            events = {log.known[n][o].event.event_id for n, o in lettered}
            assert events == {log.known[n][o].event.event_id for n, o in bad}, "each has its letter"
            good = [each for each in known if not _is_bad(each.event)]
            assert difference(store.table.views(), views(good, PRICE)) == []
        else:
            traces = {log.known[n][o].event.trace_id for n, o in lettered}
            assert traces == set(BAD_TRACES)
            assert difference(_but(store.table.views(), traces), _but(views(known, PRICE), traces)) == []
        life.fold_fails = False
        life.replay()
        life.again()
        life.end()
        assert difference(store.table.views(), views(known, PRICE)) == []
        assert log.committed == [len(records) for records in log.records]
        _check_ledger(life)
        life.close()


def _check_ledger(life: Life) -> None:
    """I4: one outcome for each offset, and none is rejected: all are archived."""
    for number, records in enumerate(life.log.records):
        told = life.store.outcomes(number)
        assert told.keys() == set(range(len(records)))
        assert {outcome for _, _, outcome in told.values()} <= {"stored", "duplicate"}
