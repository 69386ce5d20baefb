"""What the replay commands print: progress on stderr, reports as text or JSON on stdout."""

import sys
from dataclasses import asdict
from typing import Any

from pipeline.replay.compare import Comparison
from pipeline.replay.run import Report
from pipeline.stream.stages import peak_bytes

ROWS = ("trace_rows", "observation_rows", "score_rows")
SKIPPED = {
    "skipped_expired": "part of its archive has expired",
    "skipped_unreadable": "this version cannot read one of its events",
}


class ProgressLine:
    """One line on stderr, rewritten on a terminal; elsewhere a line now and then."""

    def __init__(self) -> None:
        self._said = 0.0

    def __call__(self, report: Report, about: int) -> None:
        """Say how far it is."""
        terminal = sys.stderr.isatty()
        if not terminal and report.seconds - self._said < 10:
            return
        self._said = report.seconds
        line = f"{report.counts['traces']} of about {about} traces, {rate(report):,.0f} events/s"
        print(line, end="\r" if terminal else "\n", file=sys.stderr, flush=True)


def rate(report: Report) -> float:
    """Events per second."""
    return report.events / report.seconds if report.seconds else 0.0


def report_json(report: Report, **more: Any) -> dict[str, Any]:
    """All of a report."""
    return {
        "epoch": report.epoch,
        **dict(report.counts),
        "skipped": [{"reason": reason, "trace": "/".join(name)} for reason, name in report.skipped],
        "refused": report.refused,
        "seconds": round(report.seconds, 3),
        "events_per_second": round(rate(report)),
        "peak_bytes": peak_bytes(),
        **more,
    }


def print_report(report: Report, *, dry_run: bool, into: str) -> None:
    """A few lines."""
    counts, verb = report.counts, "would be" if dry_run else "were"
    rows = " and ".join(f"{counts[name]} {name.replace('_', ' ')}" for name in ROWS)
    if report.resumed_after != ("", ""):
        print(f"went on behind trace {'/'.join(report.resumed_after)}; counts are of the whole run")
    print(f"{counts['traces']} traces of {counts['events']} events {verb} made anew under epoch {report.epoch}: {rows}")
    print(f"{report.seconds:.1f} s, {rate(report):,.0f} events/s, at most {peak_bytes() / 2**20:.0f} MiB; into {into}")
    for reason, why in SKIPPED.items():
        if counts[reason]:
            some = ", ".join("/".join(name) for each, name in report.skipped if each == reason)
            print(f"{counts[reason]} traces were left as they are, for {why}: {some}")
    if report.refused:
        print(f"{counts['refused_rows']} rows were refused by the store: {report.refused[0]}")


def comparison_json(found: dict[str, Comparison]) -> dict[str, Any]:
    """All of a comparison."""
    return {table: {**asdict(each), "columns": dict(each.columns)} for table, each in found.items()}


def print_comparison(found: dict[str, Comparison]) -> None:
    """A table, then what differs."""
    print(f"{'table':<20} {'equal':>12} {'changed':>12} {'only live':>12} {'only shadow':>12}")
    for table, each in found.items():
        print(f"{table:<20} {each.equal:>12} {each.changed:>12} {each.only_live:>12} {each.only_shadow:>12}")
    for table, each in found.items():
        for column, count in each.columns.most_common():
            example = each.examples[column]
            print(f"{table}.{column}: {count} rows differ, such as {example.row_id}")
            print(f"    live   {example.live!r}\n    shadow {example.shadow!r}")
        for side, some in (("live", each.live_examples), ("shadow", each.shadow_examples)):
            if some:
                print(f"{table}: only {side}, such as {', '.join(some)}")
