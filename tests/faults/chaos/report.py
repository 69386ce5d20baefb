"""docs/reliability.md: the table of faults, from the results that the command keeps. Its words are in page.md."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline import __version__
from pipeline.local.data_files import infra_file
from pipeline.local.jars import LOCK
from pipeline.local.jars_lock import read_lock
from pipeline.ops.bench.machine import describe_machine
from tests.faults.chaos.bed import Bed

Results = Mapping[str, Mapping[str, Any]]
WIDTH = 120

TEXT = Path(__file__).with_name("page.md")
SOAKED = Path(".chaos/soak.md")  # what tests/bench/soak.py left
LONG_RUN = """
## A long run

`SPANFOLD_SOAK_MINUTES=30 python -m tests.bench.soak`: two workers at 70 % of the load that they keep up with.

"""
HEAD = (
    "fault",
    "lasts",
    "events",
    "sent again",
    "lost",
    "double",
    "wrong",
    "unscored",
    "ledger",
    "recovery",
    "measured",
)


def machine(bed: Bed) -> dict[str, Any]:
    """What the figures are from."""
    kafka = next(jar.coordinate for jar in read_lock(infra_file(LOCK)) if ":kafka_2.13:" in jar.coordinate)
    engine = bed.stack.client.command("SELECT version()")
    versions = {"spanfold": __version__, "kafka": kafka.rpartition(":")[2], "clickhouse": str(engine)}
    return describe_machine() | versions


def write_page(path: Path, results: Results, order: Sequence[str]) -> None:
    """Write what was measured last of each scenario."""
    known = [results[name] for name in order if name in results]
    newest = max(known, key=lambda result: str(result["at"]))
    good = sum(_is_good(result) for result in known)
    verdict = f"{good} of {len(known)} without a loss, a double count, a wrong row or a gap in the ledger."
    if unmeasured := [name for name in order if name not in results]:
        verdict += f" Not measured: {', '.join(unmeasured)}."
    table = "\n".join(["| " + " | ".join(HEAD) + " |", "|---" * len(HEAD) + "|", *map(_line, known)])
    rate, fresh = newest["rate"], newest["fresh"]
    text = TEXT.read_text(encoding="utf-8").format(
        table=table, verdict=verdict, machine=described(newest["machine"]), rate=rate, fresh=fresh
    )
    soaked = SOAKED.read_text(encoding="utf-8") if SOAKED.exists() else "Not run here.\n"
    path.write_text(text + LONG_RUN + soaked, encoding="utf-8")


def _line(result: Mapping[str, Any]) -> str:
    verdict = result["verdict"]
    recovery = "not recovered" if result["recovery"] is None else f"{result['recovery']:.1f} s"
    cells = [
        result["fault"], f"{result['seconds']:.0f} s", f"{verdict['events']:,}", result["tried_again"],
        verdict["lost"], verdict["double"], verdict["wrong"], verdict["unevaluated"],
        len(verdict["ledger"]) or "balanced",
        ", ".join(f"{name} {count}" for name, count in result["ended"].items()) or 0,
        f"{recovery} after {result['since']}", f"{result['at']}, load {result['machine']['load']}",
    ]  # fmt: skip
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def _is_good(result: Mapping[str, Any]) -> bool:
    verdict = result["verdict"]
    found = [verdict[name] for name in ("lost", "double", "wrong", "unevaluated", "ledger")]
    return not any(found) and not result["failure"]


def described(about: Mapping[str, Any]) -> str:
    """The machine in one sentence."""
    return (
        f"{about['processor']}, {about['cores']} cores, {about['memory_gib']} GiB, {about['system']}, "
        f"Python {about['python']}, Kafka {about['kafka']}, ClickHouse {about['clickhouse']}, "
        f"Spanfold {about['spanfold']}"
    )
