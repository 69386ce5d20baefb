"""What the commands about retention do and say. Failure: RegistryError, StoreError, UnknownTraceError."""

import json
import sys
from contextlib import closing
from dataclasses import asdict

from clickhouse_connect.driver.client import Client
from rich.console import Console
from rich.table import Table

from pipeline.blobs import MediaStore, open_blobs
from pipeline.config import Settings
from pipeline.errors import SettingError, SpanfoldError
from pipeline.ops.retention.apply import Change, Scope, apply, wait_for_workers
from pipeline.ops.retention.media import Sweep, Swept
from pipeline.ops.retention.rules import Rules, read_rules
from pipeline.registry import Registry, RetentionDays, open_registry
from pipeline.store.client import connect

MUTATION_SECONDS = 3600.0  # the longest that one partition may take


class UnknownTraceError(SpanfoldError):
    """A trace that is to be pinned is not stored, or one to be unpinned is not pinned."""


def run_ls(settings: Settings, project: str, *, as_json: bool) -> None:
    """Print what holds for all and for each project that says something itself, or for one."""
    with _registry(settings) as registry:
        rules = _rules(registry, settings)
    listed = rules.listed([project] if project else sorted(name for name in rules.said if name))
    if as_json:
        print(json.dumps([rule._asdict() | {"kind": rule.kind.value} for rule in listed]))
        return
    table = Table("Project", "What", "Days", "Said by")
    for rule in listed:
        table.add_row(rule.project_id or "(all others)", rule.kind.value, _days(rule.days), rule.source)
    Console().print(table)


def run_set(settings: Settings, project: str, changes: RetentionDays, *, reset: bool, dry_run: bool) -> None:
    """Merge the changes into what the project said and print what holds then. Raises SettingError without a change."""
    if not reset and all(days is None for days in changes):
        raise SettingError("Nothing says what to keep for how long.", remedy="Give --rows, --archive … or --reset.")
    with _registry(settings) as registry:
        before = RetentionDays() if reset else registry.retention().get(project, RetentionDays())
        after = RetentionDays(*(old if new is None else new for old, new in zip(before, changes, strict=True)))
        if not dry_run:
            registry.set_retention(project, after)
    who = f"project {project}" if project else "all projects that say nothing themselves"
    for name, days in after._asdict().items():
        print(f"{who}: {name.replace('_', '-')} {'as before it' if days is None else _days(days)}")
    print("nothing was changed" if dry_run else "rows that are there already: spanfold retention apply")


def run_apply(settings: Settings, project: str, *, wait: float | None, dry_run: bool, as_json: bool) -> None:
    """Apply what holds to all rows, or to one project's, with a line for each partition."""
    with _registry(settings) as registry, _store(settings) as client:
        if not dry_run:
            wait_for_workers(wait, _tell)
        rules = _rules(registry, settings)
        done = apply(client, settings, rules, Scope(project), dry_run=dry_run, progress=_print_change)
    if as_json:
        print(json.dumps([change._asdict() for change in done]))
        return
    verb = "would get" if dry_run else "got"
    rows, leaving = sum(change.rows for change in done), sum(change.leaving for change in done)
    print(f"{rows} rows in {len(done)} partitions {verb} another moment; {leaving} of them have expired by it")


def run_media(settings: Settings, project: str, *, dry_run: bool, as_json: bool) -> None:
    """Remove what has no row any more, with a line for each project and each some thousand media."""
    store = MediaStore(open_blobs(settings.blobs))
    with _registry(settings) as registry, _store(settings) as client:
        sweep = Sweep(client, store, _rules(registry, settings), dry_run=dry_run, progress=_print_swept)
        swept = sweep.run([project] if project else [])
    if as_json:
        print(json.dumps([asdict(each) for each in swept]))
        return
    verb = "would leave" if dry_run else "left"
    removed, size, orphans = (sum(getattr(each, name) for each in swept) for name in ("removed", "bytes", "orphans"))
    print(f"{removed} media of {size} bytes {verb}, and {orphans} declarations without bytes, of {len(swept)} projects")


def run_pin(settings: Settings, project: str, trace: str, note: str, *, wait: float | None) -> None:
    """1 remember it, 2 save what is there, 3 let the workers know, 4 save what they wrote meanwhile."""
    with _registry(settings) as registry, _store(settings) as client:
        if not _known(client, project, trace):
            raise UnknownTraceError(
                f"There is no trace {trace!r} in the project {project!r}.",
                remedy="Check both ids; it may have expired.",
            )
        new = registry.pin(project, trace, note=note)  # 1
        rows = _applied(client, settings, registry, project, trace)  # 2
        if new:
            wait_for_workers(wait, _tell)  # 3
            rows += _applied(client, settings, registry, project, trace)  # 4
    print(f"{'pinned' if new else 'was pinned already'}: {project}/{trace}, {rows} rows now stay for ever")


def run_unpin(settings: Settings, project: str, trace: str, *, wait: float | None) -> None:
    """Forget the pin, then give the trace's rows the moment that holds for its project."""
    with _registry(settings) as registry, _store(settings) as client:
        if not registry.unpin(project, trace):
            raise UnknownTraceError(f"{project}/{trace} is not pinned.", remedy="`spanfold pins` lists what is.")
        wait_for_workers(wait, _tell)
        rows = _applied(client, settings, registry, project, trace)
    print(f"unpinned: {project}/{trace}, {rows} rows go by the project's retention again")


def run_pins(settings: Settings, project: str, *, as_json: bool) -> None:
    """Print the pinned traces."""
    with _registry(settings) as registry:
        found = registry.pins(project or None)
    if as_json:
        print(json.dumps([pin._asdict() | {"pinned_at": pin.pinned_at.isoformat()} for pin in found]))
        return
    table = Table("Project", "Trace", "Pinned", "Note")
    for pin in found:
        table.add_row(pin.project_id, pin.trace_id, f"{pin.pinned_at:%Y-%m-%d %H:%M}", pin.note)
    Console().print(table)


def _rules(registry: Registry, settings: Settings) -> Rules:
    """All that holds now."""
    return read_rules(registry, settings.ledger_days)


def _known(client: Client, project: str, trace: str) -> bool:
    query = "SELECT count() FROM traces WHERE project_id = %(project)s AND trace_id = %(trace)s"
    return bool(client.query(query, parameters={"project": project, "trace": trace}).result_rows[0][0])


def _applied(client: Client, settings: Settings, registry: Registry, project: str, trace: str) -> int:
    done = apply(client, settings, _rules(registry, settings), Scope(project, trace), progress=_print_change)
    return sum(change.rows for change in done)


def _print_change(change: Change) -> None:
    gone = f", {change.leaving} of them expired" if change.leaving else ""
    _tell(f"{change.table} {change.partition}: {change.rows} rows{gone}")


def _print_swept(swept: Swept) -> None:
    _tell(
        f"{swept.project_id}: {swept.looked_at} media not wanted for long, {swept.referred} referred to by rows, "
        f"{swept.removed} without"
    )


def _tell(text: str) -> None:
    print(text, file=sys.stderr)


def _days(days: int) -> str:
    return f"{days} days" if days else "for ever"


def _registry(settings: Settings) -> closing[Registry]:
    return closing(open_registry(settings.registry))


def _store(settings: Settings) -> closing[Client]:
    return closing(connect(settings, deadline=5.0, timeout=MUTATION_SECONDS))
