"""What `spanfold audit --contents` costs: whole traces through a real worker, then the audit without and with contents.

`python -m tests.bench.bench_contents [TRACES]`; a trace has 8 to 40 observations and some 70 events.
"""

import asyncio
import resource
import sys
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pipeline.audit.run import Audit, Report
from pipeline.audit.scope import Scope
from pipeline.local.kafka import LocalKafka
from pipeline.local.ports import find_free_ports
from pipeline.ops.bench.machine import describe_machine
from tests.fixtures.captures import produce
from tests.fixtures.clickhouse import ClickHouseProcess
from tests.fixtures.views import wait_until_settled, wait_until_stored
from tests.fixtures.whole_traffic import whole_traces
from tests.fixtures.worker import Stack, new_stack


def main(traces: int) -> None:
    """Fold, audit, print."""
    print(describe_machine())
    with tempfile.TemporaryDirectory() as folder:
        broker = LocalKafka(Path(folder) / "kafka", *find_free_ports(2))
        store = ClickHouseProcess(Path(folder) / "store")
        broker.start()
        store.start()
        try:
            with closing(new_stack(broker, store, Path(folder) / "stack")) as stack:
                records = [record for trace in whole_traces(traces) for record in trace]
                stack.worker(settle_quiet=0.5)
                produce(stack.settings, records)
                wait_until_stored(stack, len(records))
                wait_until_settled(stack)
                print(f"{traces} traces of {len(records)} events")
                for contents in (False, True):
                    measure(stack, len(records), contents=contents)
        finally:
            broker.kill()
            store.kill()


def measure(stack: Stack, events: int, *, contents: bool) -> None:
    """One audit of everything."""
    audit = Audit(stack.settings)
    now = datetime.now(UTC)
    scope = Scope(now - timedelta(days=1), now + timedelta(days=1))
    began, cpu = time.perf_counter(), time.process_time()
    try:
        report: Report = asyncio.run(audit.everything(scope, contents=contents))
    finally:
        audit.close()
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    assert not report.wrong
    print(
        f"{'with contents' if contents else 'counts only'}: {took:.1f} s, {cpu:.1f} s of CPU here,"
        f" {cpu / report.traces * 1e3:.2f} ms a trace, {cpu / events * 1e6:.0f} us an event,"
        f" at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB",
        flush=True,
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000)
