"""The rate guard: a version that cannot read what was read before stops; whatever is sent, nobody else can stop it."""

from collections import Counter
from collections.abc import Iterable

import pytest

from pipeline.cost.price import ObservationPricer
from pipeline.events import headers
from pipeline.events.canonical import to_canonical_json
from pipeline.events.keys import event_identity
from pipeline.events.model import Event, Kind, Micros, Record
from pipeline.events.reasons import Reason
from pipeline.store.lookups import RawEvent
from pipeline.stream import guard as guard_module
from pipeline.stream.deadletters import DeadLetter
from pipeline.stream.guard import BadDeployError, Guard, Limits, Proof, judge

AT = Micros(1_700_000_000_000_000)
WINDOW = 60.0
READABLE = Proof(10, (), Counter())
BROKEN = Proof(10, tuple("abcdef"), Counter({Reason.DECODER_FAILED: 120}))


class Deployed:
    """A guard, its clock and how often it asked the archive."""

    def __init__(self, proof: Proof, share: float = 0.5) -> None:
        self.now = 0.0
        self.asked = 0
        self._proof = proof
        self._guard = Guard(Limits(share, 100, WINDOW), self._prove, lambda: self.now)

    async def chunk(self, failed: int, of: int, reason: Reason = Reason.MALFORMED) -> None:
        await self._guard.look(of, [letter(reason)] * failed)

    async def fold_failed(self, events: int) -> None:
        await self._guard.fold_failed(events, [letter(Reason.FOLD_FAILED)])

    async def _prove(self) -> Proof:
        self.asked += 1
        return self._proof


def letter(reason: Reason) -> DeadLetter:
    return DeadLetter(Record("events", 0, 0, AT, b"garbage/t", b"", ()), reason, "", "decode")


@pytest.mark.parametrize("reason", [Reason.DECODER_FAILED, Reason.INVALID, Reason.TOO_LARGE])
async def test_a_version_that_cannot_read_the_archive_stops_before_the_chunk_is_a_dead_letter(reason: Reason) -> None:
    with pytest.raises(BadDeployError, match=r"90% of the last records failed.*6 of 10 projects.*decoder_failed 120"):
        await Deployed(BROKEN).chunk(900, 1000, reason)


@pytest.mark.parametrize("reason", list(Reason))
async def test_garbage_however_much_never_stops_a_version_that_reads_the_archive(reason: Reason) -> None:
    deployed = Deployed(READABLE)
    for _ in range(100):
        await deployed.chunk(4_000, 4_000, reason)
        deployed.now += 1.0
    assert deployed.asked == 2, "and asks the archive no more than once a window"


async def test_a_share_of_projects_that_is_not_more_than_the_guards_stops_nobody() -> None:
    await Deployed(Proof(10, tuple("abcde"), Counter())).chunk(900, 1000)
    await Deployed(Proof(0, (), Counter())).chunk(900, 1000)


@pytest.mark.parametrize(("failed", "of"), [(99, 99), (500, 1_000), (0, 4_000)])
async def test_few_failures_and_small_shares_are_no_suspicion(failed: int, of: int) -> None:
    deployed = Deployed(BROKEN)
    await deployed.chunk(failed, of)
    assert deployed.asked == 0


async def test_the_share_is_of_the_last_window_alone() -> None:
    deployed = Deployed(BROKEN)
    for _ in range(10):
        await deployed.chunk(0, 4_000)  # went well, long ago
    deployed.now += WINDOW + 1
    await deployed.chunk(50, 60)
    assert deployed.asked == 0
    deployed.now += WINDOW / 2
    with pytest.raises(BadDeployError):
        await deployed.chunk(50, 60)


async def test_a_version_whose_own_code_fails_on_most_of_what_it_decodes_stops() -> None:
    deployed = Deployed(BROKEN)
    await deployed.chunk(0, 1000)
    await deployed.fold_failed(0)
    await deployed.fold_failed(500)
    assert deployed.asked == 0
    with pytest.raises(BadDeployError, match="90% of the last records failed"):
        await deployed.fold_failed(400)


async def test_a_project_whose_events_the_fold_fails_on_stops_nobody_else() -> None:
    deployed = Deployed(READABLE)
    for _ in range(10):
        await deployed.chunk(0, 1000)
        await deployed.fold_failed(1000)


async def test_a_share_of_one_is_no_guard() -> None:
    deployed = Deployed(BROKEN, share=1.0)
    await deployed.chunk(4_000, 4_000)
    assert deployed.asked == 0


def archived(project: str, count: int, value: bytes | None = None) -> Iterable[RawEvent]:
    for number in range(count):
        event = Event(project, "t", Kind.TRACE, "t", f"e{number}", AT, {"name": "n"})
        raw = to_canonical_json(event) if value is None else value
        yield RawEvent(
            project, "t", f"e{number}", event_identity(f"e{number}", raw), "trace", "t",
            headers.CANONICAL_JSON.decode(), raw, "kafka", AT, "events", 0, number, 0, AT, AT,
        )  # fmt: skip


def test_a_project_fails_when_more_than_the_share_of_its_events_does() -> None:
    events = [*archived("good", 20), *archived("half", 10), *archived("half", 10, b"{"), *archived("bad", 3, b"{")]
    assert judge(events, 10**6, 0.5) == Proof(3, ("bad",), Counter({Reason.MALFORMED: 13}))


def test_settings_that_refuse_what_was_taken_fail_too() -> None:
    assert judge([*archived("one", 20), *archived("two", 20)], 10, 0.5).failing == ("one", "two")


def test_an_exception_of_any_kind_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(record: Record, max_bytes: int) -> list[Event]:
        raise KeyError("a bug")

    monkeypatch.setattr(guard_module, "decode_record", broken)
    assert judge([*archived("one", 2)], 10**6, 0.5) == Proof(1, ("one",), Counter({Reason.DECODER_FAILED: 2}))


@pytest.mark.parametrize("what", ["build", "add_rows"])
def test_archived_events_that_give_no_rows_any_more_are_the_version_s_doing(
    monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    events = [*archived("one", 2), *archived("two", 3)]
    price = ObservationPricer()
    assert judge(events, 10**6, 0.5, price) == Proof(2, (), Counter())

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(guard_module, what, broken)
    assert judge(events, 10**6, 0.5, price) == Proof(2, ("one", "two"), Counter({Reason.FOLD_FAILED: 5}))
