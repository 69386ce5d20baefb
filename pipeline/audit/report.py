"""An audit's report for people and for programs."""

import json
import sys
from typing import Any

from pipeline.audit.contents import ANOTHER_BOOK
from pipeline.audit.diagnose import Divergence
from pipeline.audit.run import Finding, Report

SAYS = {
    Divergence.MISSING_EVENTS: "archived events that are in no row of the trace",
    Divergence.OVERCOUNTED: "a row made from more events than are archived",
    Divergence.SPLIT: "rows under two keys",
    Divergence.MISSING_ROWS: "an observation or a score without its row",
    Divergence.OTHER_CONTENTS: "rows that say something else than their events",
    Divergence.LEFT_OVER: "a row that no archived event is about",
}
MOST = 50


def print_progress(done: int, of: int, report: Report) -> None:
    """One line on stderr, rewritten on a terminal."""
    end = "\r" if sys.stderr.isatty() and done < of else "\n"
    if end == "\r" or done == of or done % 50 == 0:
        print(f"piece {done} of {of}: {report.traces} traces, {report.wrong} wrong", end=end, file=sys.stderr)


def print_report(report: Report, *, fix: bool, as_json: bool) -> None:
    """Counts by kind and the first of the traces; or one JSON object."""
    if as_json:
        print(json.dumps(_plain(report)))
        return
    for finding in report.findings[:MOST]:
        print(_line(finding))
    if report.wrong > MOST:
        print(f"... and {report.wrong - MOST} more: --json tells {len(report.findings)} of them")
    for kind, traces in report.divergences.most_common():
        print(f"{traces:>8} traces with {SAYS[kind]}")
    for why, traces in sorted(report.skipped.items()):
        print(
            f"{traces:>8} traces {'of which prices were not compared' if why == ANOTHER_BOOK else 'not judged'}: {why}"
        )
    if report.compared:
        print(f"{report.compared} traces whose contents were compared column by column")
    print(
        f"{report.traces} traces compared, {report.suspects} folded anew, {report.wrong} wrong, {report.mended} mended"
    )
    if report.remaining and not fix:
        print("Run it with --fix to write what is right.")
    elif report.remaining and report.divergences[Divergence.OVERCOUNTED]:
        print("Rows that claim more events than are archived stay: see docs/ledger.md, then --fix --trust-archive.")


def _line(finding: Finding) -> str:
    state = {None: "", True: ", mended", False: ", not mended"}[finding.mended]
    kinds = ", ".join(SAYS[kind] for kind in finding.divergences)
    if finding.columns:
        kinds += f" in {', '.join(finding.columns)}"
    return (
        f"{finding.project_id}/{finding.trace_id}: {kinds}"
        f" ({finding.archived} events archived, its row tells of {finding.told}){state}"
    )


def _plain(report: Report) -> dict[str, Any]:
    return {
        "traces": report.traces,
        "folded": report.suspects,
        "contents_compared": report.compared,
        "wrong": report.wrong,
        "mended": report.mended,
        "remaining": report.remaining,
        "divergences": {kind.value: traces for kind, traces in report.divergences.items()},
        "not_judged": dict(report.skipped),
        "findings": [
            {
                "project_id": finding.project_id,
                "trace_id": finding.trace_id,
                "divergences": [kind.value for kind in finding.divergences],
                "archived": finding.archived,
                "told": finding.told,
                "mended": finding.mended,
                "columns": list(finding.columns),
            }
            for finding in report.findings
        ],
    }
