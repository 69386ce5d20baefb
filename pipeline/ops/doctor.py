"""`spanfold doctor`: is this machine fit for Spanfold, and does what it talks to answer as it must?

Rule: a check looks and changes nothing; each failure says what to do. One check that fails does not hide the others.
What the embedded stack needs (Java, jars, a free port) is asked only where no other broker is configured.
"""

import asyncio
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline.config import Settings
from pipeline.errors import SpanfoldError
from pipeline.local.cache import cache_dir
from pipeline.local.data_files import infra_file
from pipeline.local.jars import LOCK
from pipeline.local.jars_lock import read_lock
from pipeline.local.java import OLDEST, java_version
from pipeline.local.ports import is_open
from pipeline.local.probes import http_status
from pipeline.ops.doctor_services import check_broker, check_registry, check_store, check_topics
from pipeline.ops.durability import check_durability
from pipeline.ops.finding import Finding

_LEAST_FREE = 2 * 2**30  # bytes


async def examine(settings: Settings) -> list[Finding]:
    """All findings, the machine's first. Takes up to the patience of the slowest check, about 10 s."""
    machine = [check(settings) for check in machine_checks(settings)]
    services = await asyncio.gather(
        check_broker(settings),
        check_topics(settings),
        check_durability(settings),
        asyncio.to_thread(check_store, settings),
        asyncio.to_thread(check_registry, settings),
    )
    return [*machine, *services]


def machine_checks(settings: Settings) -> Iterator[Callable[[Settings], Finding]]:
    """The checks of this machine that matter for these settings."""
    yield check_python
    yield check_disk
    if "kafka_bootstrap" not in settings.model_fields_set:
        yield check_java
        yield check_jars
    yield check_front_door


def print_findings(findings: list[Finding], *, as_json: bool) -> None:
    """A table with the remedies below, or a JSON array."""
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings]))
        return
    table = Table("Check", "", "Found")
    for finding in findings:
        mark = "[green]ok[/]" if finding.ok else "[red]fail[/]"
        table.add_row(finding.check, mark, escape(finding.found))
    Console().print(table)
    for finding in findings:
        if not finding.ok:
            print(f"{finding.check}: {finding.remedy}")


def check_python(_settings: Settings) -> Finding:
    """3.11 or newer."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    return Finding("python", sys.version_info >= (3, 11), f"{version} at {sys.executable}", "Install Python 3.11+.")


def check_disk(settings: Settings) -> Finding:
    """Free space where the data is, or will be."""
    folder = next(path for path in (settings.data_dir, *settings.data_dir.parents) if path.exists())
    free = shutil.disk_usage(folder).free
    remedy = "Free some space or set SPANFOLD_DATA_DIR to another disk."
    return Finding("disk", free >= _LEAST_FREE, f"{free / 2**30:.1f} GiB free at {folder}", remedy)


def check_java(_settings: Settings) -> Finding:
    """A Java that can run the embedded broker; without one `up` installs its own, so none is no failure."""
    java = shutil.which("java")
    version = java_version(Path(java)) if java else None
    if version and version >= OLDEST:
        return Finding("java", True, f"{version} at {java}")
    return Finding("java", True, f"none of version {OLDEST}+ on the PATH: `spanfold up` uses JAVA_HOME or installs one")


def check_jars(_settings: Settings) -> Finding:
    """Kafka in the cache; without it `up` downloads it, so a missing jar is no failure and a damaged one is."""
    folder = cache_dir() / "jars"
    try:
        jars = read_lock(infra_file(LOCK))
    except SpanfoldError as error:
        return Finding("kafka jars", False, str(error), error.remedy)
    there = [jar for jar in jars if (folder / jar.file_name).exists()]
    damaged = [jar.file_name for jar in there if not jar.matches(folder / jar.file_name)]
    if damaged:
        return Finding("kafka jars", False, f"damaged: {', '.join(damaged)}", f"Remove {folder}; it is fetched again.")
    left = "" if len(there) == len(jars) else ", `spanfold up` fetches the rest"
    return Finding("kafka jars", True, f"{len(there)} of {len(jars)} in {folder}{left}")


def check_front_door(settings: Settings) -> Finding:
    """The front door's port: Spanfold answers on it, or it is free."""
    port = settings.http_port
    if not port or not is_open(port):
        return Finding("http port", True, f"{port} is free" if port else "chosen at start")
    if http_status(port, "/api/public/health") == 200:
        return Finding("http port", True, f"Spanfold answers on {port}")
    return Finding(
        "http port", False, f"another program listens on {port}", "Stop it or choose another: spanfold up --port PORT"
    )
