"""`make chaos`: one fault after another on a stack of its own, and docs/reliability.md from what came of it."""

import argparse
import json
import logging
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.faults.chaos.bed import WORKERS, running_bed
from tests.faults.chaos.report import machine, write_page
from tests.faults.chaos.run import Pace, Run
from tests.faults.chaos.scenarios import SCENARIOS

RESULTS = Path(".chaos/results.json")
PAGE = Path("docs/reliability.md")
EXAMPLE = "examples: make chaos; make chaos ARGS='zombie store-down'; python -m tests.faults.chaos --list"


def main(arguments: list[str] | None = None) -> int:
    """0: nothing was lost, counted twice or changed; 1: something was; 2: wrong usage."""
    options = _parser().parse_args(arguments)
    if options.list:
        for scenario in SCENARIOS:
            print(f"{scenario.name:24} {scenario.fault}")
        return 0
    known = {scenario.name: scenario for scenario in SCENARIOS}
    if unknown := [name for name in options.scenarios if name not in known]:
        print(f"There is no scenario {', '.join(unknown)}; --list shows those there are.", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that no process of the stack is left behind
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what it says about a broker that is down is no news here
    names = options.scenarios or list(known)
    pace = Pace(options.events_per_second, options.fresh)
    good = True
    if not options.page_only:
        with tempfile.TemporaryDirectory(prefix="spanfold-chaos-") as folder, running_bed(Path(folder)) as bed:
            bed.up(*WORKERS, "ingest", "evaluator")
            for number, name in enumerate(names, int(time.time())):
                about = machine(bed)
                result = Run(bed, known[name], number, pace).all(_tell)
                good &= result.good
                _remember(result.to_json() | {"rate": pace.events_per_second, "fresh": pace.fresh, "machine": about})
    write_page(PAGE, json.loads(RESULTS.read_text()), list(known))
    _tell(f"{PAGE} is written from {RESULTS}")
    return 0 if good else 1


def _remember(result: dict[str, Any]) -> None:
    """Keep the newest result of each scenario: runs may be made in pieces."""
    RESULTS.parent.mkdir(exist_ok=True)
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results[result["scenario"]] = result | {"at": time.strftime("%Y-%m-%d %H:%M", time.gmtime())}
    RESULTS.write_text(json.dumps(results, indent=1))


def _tell(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.chaos", description=__doc__, epilog=EXAMPLE)
    parser.add_argument("scenarios", nargs="*", help="their names; all of them by default")
    parser.add_argument("--list", action="store_true", help="show the scenarios and do nothing")
    parser.add_argument("--page-only", action="store_true", help="write the page from the results that are there")
    parser.add_argument("--events-per-second", type=int, default=Pace().events_per_second, help="of load")
    parser.add_argument("--fresh", type=float, default=Pace().fresh, help="seconds in which events must be visible")
    return parser


if __name__ == "__main__":
    sys.exit(main())
