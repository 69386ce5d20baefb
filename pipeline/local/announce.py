"""What `spanfold up` says when all is ready: one line of JSON for programs, tables and the next step for people."""

import json
import sys

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline.local.up import Running

_FIRST_EVENT = """\
curl -u {public_key}:{secret_key} {http}/api/public/ingestion \\
  -H 'Content-Type: application/json' \\
  -d '{{"batch": [{{"id": "event-1", "type": "trace-create", "timestamp": "2025-01-01T00:00:00Z",
       "body": {{"id": "trace-1", "name": "hello"}}}}]}}'
spanfold sql "SELECT trace_id, name, start_time FROM traces" --data {data}"""


def tell(line: str) -> None:
    """Progress goes to stderr, so that stdout is for the answer."""
    print(f"spanfold: {line}", file=sys.stderr, flush=True)


def announce_json(running: Running) -> None:
    """One line of JSON on stdout; programs rely on its names."""
    print(json.dumps(running.stack.announcement()), flush=True)


def announce_tables(running: Running) -> None:
    """Where everything is, the keys, a first event to send, and `ready`."""
    console = Console()
    stack = running.stack
    places = Table("What", "Where", title="Spanfold", title_justify="left")
    otlp = ("OTLP, gRPC", stack.grpc or "off")
    for what, where in (("HTTP", stack.http), otlp, ("ClickHouse", stack.clickhouse), ("Kafka", stack.kafka)):
        places.add_row(what, where)
    places.add_row("Data", escape(stack.data))
    places.add_row("Project", escape(stack.project_id))
    places.add_row("Public key", escape(stack.public_key))
    places.add_row("Secret key", escape(stack.secret_key))
    processes = Table("Role", "Process", "Metrics", "Log")
    for name, pid, log in running.processes:
        processes.add_row(name, str(pid or "restarting"), stack.metrics.get(name, ""), escape(str(log)))
    console.print(places, processes)
    first = _FIRST_EVENT.format(
        http=stack.http, data=stack.data, public_key=stack.public_key, secret_key=stack.secret_key
    )
    console.print("Send a first event and read it back:", markup=False)
    print(first)
    print("ready", flush=True)
