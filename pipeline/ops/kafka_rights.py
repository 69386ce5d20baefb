"""What each role and command does in Kafka: one table, from which ACLs and the page of the docs are made.

`spanfold kafka-acls` prints the commands, `python -m pipeline.ops.kafka_rights` the table of docs/security.md. A test
lets every role run as a user of its own that may do just this, on a broker that refuses everything else.
As Kafka has it, Read, Write and Alter imply Describe, and Write implies what an idempotent producer needs.
"""

import shlex
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import NamedTuple

from pipeline.config import Settings

INGEST, WORKER, EVALUATOR, OPERATOR = WHO = ("ingest", "worker", "evaluator", "operator")
TOPIC, GROUP = "topic", "group"
EVENTS, OVERFLOW, EVALUATIONS = "events", "events.overflow", "evaluations"
DEAD_LETTERS, EDGE_COUNTS = "dead-letters", "edge-counts"
ALL_TOPICS = (EVENTS, OVERFLOW, EVALUATIONS, DEAD_LETTERS, EDGE_COUNTS)
FOLD, OVERFLOW_GROUP, EVALUATE, TABLES = ALL_GROUPS = ("fold", "overflow", "evaluate", "tables")


class Right(NamedTuple):
    """`names` are those of topics or groups without the prefix of an installation."""

    who: str
    kind: str
    names: tuple[str, ...]
    operations: tuple[str, ...]
    why: str


RIGHTS = (
    Right(INGEST, TOPIC, (EVENTS,), ("Write",), "what clients send"),
    Right(INGEST, TOPIC, (OVERFLOW,), ("Write",), "what is above a project's share"),
    Right(INGEST, TOPIC, (EDGE_COUNTS,), ("Write",), "what was accepted, for the ledger"),
    Right(INGEST, GROUP, (FOLD, OVERFLOW_GROUP), ("Describe",), "the lag, with SPANFOLD_MAX_LAG"),
    Right(WORKER, TOPIC, (EVENTS,), ("Read", "Write"), "folds; moves records to the homes of their traces"),
    Right(WORKER, TOPIC, (OVERFLOW,), ("Read", "Write"), "what waits there; old events, with SPANFOLD_FRESH_FIRST"),
    Right(WORKER, TOPIC, (EVALUATIONS,), ("Write",), "asks for evaluations"),
    Right(WORKER, TOPIC, (DEAD_LETTERS,), ("Write",), "what cannot be processed"),
    Right(WORKER, TOPIC, (EVENTS, OVERFLOW, DEAD_LETTERS), ("DescribeConfigs",), "how large records they take"),
    Right(WORKER, GROUP, (FOLD,), ("Read",), "its partitions of the events"),
    Right(WORKER, GROUP, (OVERFLOW_GROUP,), ("Read",), "its place in the overflow"),
    Right(EVALUATOR, TOPIC, (EVALUATIONS,), ("Read",), "what is asked for"),
    Right(EVALUATOR, TOPIC, (EVENTS,), ("Read", "Write"), "the ledger's look at the log; scores"),
    Right(EVALUATOR, TOPIC, (OVERFLOW,), ("Read",), "the ledger's look at what waits there"),
    Right(EVALUATOR, TOPIC, (DEAD_LETTERS,), ("Read", "Write"), "copies them into a table; requests that are broken"),
    Right(EVALUATOR, TOPIC, (EDGE_COUNTS,), ("Read",), "copies them into a table"),
    Right(EVALUATOR, GROUP, (EVALUATE,), ("Read",), "its partitions of the requests"),
    Right(EVALUATOR, GROUP, (TABLES,), ("Read",), "its partitions of what it copies"),
    Right(EVALUATOR, GROUP, (FOLD, OVERFLOW_GROUP), ("Describe",), "the ledger: what workers have committed"),
    Right(OPERATOR, TOPIC, ALL_TOPICS, ("Create", "Describe", "DescribeConfigs"), "`topics`, `doctor`, `lag`"),
    Right(OPERATOR, TOPIC, (EVENTS, OVERFLOW, EVALUATIONS), ("Alter",), "`topics --grow`"),
    Right(OPERATOR, GROUP, ALL_GROUPS, ("Describe",), "`lag`, `ledger`, `replay`"),
    Right(OPERATOR, TOPIC, (EVENTS, OVERFLOW), ("Read",), "`ledger`; `replay` from Kafka"),
    Right(OPERATOR, TOPIC, (EVENTS, OVERFLOW, EVALUATIONS, EDGE_COUNTS), ("Write",), "`dlq replay`"),
)


class Acl(NamedTuple):
    """One entry as Kafka keeps it, always an Allow from every host for a literal name."""

    who: str
    kind: str
    name: str
    operation: str


def acls(settings: Settings, rights: tuple[Right, ...] = RIGHTS) -> Iterator[Acl]:
    """Each right, with the names of this installation."""
    for right in rights:
        for name in right.names:
            full = f"{settings.topic_prefix}{'.' if right.kind == TOPIC else '-'}{name}"
            for operation in right.operations:
                yield Acl(right.who, right.kind, full, operation)


def commands(settings: Settings, principals: Mapping[str, str]) -> Iterator[str]:
    """A call of Kafka's own tool for each of WHO that has a principal, topic or group, and name."""
    wanted = sorted(acl for acl in acls(settings) if acl.who in principals)
    for (who, kind, name), group in groupby(wanted, key=lambda acl: acl[:3]):
        operations = [word for acl in group for word in ("--operation", acl.operation)]
        yield shlex.join(
            ["kafka-acls.sh", "--bootstrap-server", settings.kafka_bootstrap, "--add", "--allow-principal",
             principals[who], *operations, f"--{kind}", name]
        )  # fmt: skip


def table() -> str:
    """As docs/security.md shows it, for the default prefix."""
    lines = ["| who | what | operations | for |", "|---|---|---|---|"]
    for right in RIGHTS:
        every = {TOPIC: ALL_TOPICS, GROUP: ALL_GROUPS}[right.kind]
        before = "spanfold." if right.kind == TOPIC else "spanfold-"
        names = f"all {right.kind}s" if right.names == every else ", ".join(f"`{before}{name}`" for name in right.names)
        what = names if right.names == every else f"{right.kind} {names}"
        lines.append(f"| {right.who} | {what} | {', '.join(right.operations)} | {right.why} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(), end="")
