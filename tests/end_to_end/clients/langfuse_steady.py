"""A program that goes on making observations until it is told to end (its standard input closes), as a service does.

Prints how many it made: a line when it has begun, the number at the end.
"""

import select
import sys

from langfuse import Langfuse

PACE = 0.02  # seconds between two observations


def told_to_end() -> bool:
    """Waits for the pace, or for the end."""
    ready, _, _ = select.select([sys.stdin], [], [], PACE)
    return bool(ready)


def main() -> None:
    client = Langfuse()
    made = 0
    print("begun", flush=True)
    while not told_to_end():
        name = f"step-{made}"
        if hasattr(client, "start_observation"):
            client.start_observation(name=name, as_type="span", input=made).end()
        else:
            client.trace(id=f"trace-{made}").span(name=name, input=made).end()
        made += 1
    client.flush()
    print(made, flush=True)


if __name__ == "__main__":
    main()
