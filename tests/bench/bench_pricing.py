"""What pricing costs on the hot path: µs of CPU per observation, by kind of call; and tokenizing, MB per second.

`python -m tests.bench.bench_pricing [CALLS]`. Times of one machine; run it twice before believing it.
"""

import sys
import time
from decimal import Decimal
from typing import Any, cast

from pipeline.cost.price import ObservationPricer
from pipeline.cost.tokens import Text, TokenCounter
from pipeline.events.model import Fields, Micros
from tests.fixtures.corpus import CORPUS

AT = Micros(1_732_000_000_000_000)
REPEATS = 5
CALLS: dict[str, dict[str, Any]] = {
    "plain usage": {"model": "claude-3-5-sonnet-20241022", "usage": {"input": 450, "output": 120, "total": 570}},
    "dated price": {"model": "gpt-4o", "usage": {"input": 450, "output": 120, "total": 570}},
    "openai, cached and reasoning": {
        "model": "gpt-4.1",
        "usage": {"prompt_tokens": 450, "completion_tokens": 120, "total_tokens": 570,
                  "prompt_tokens_details.cached_tokens": 60, "completion_tokens_details.reasoning_tokens": 20},
    },
    "given cost": {"model": "gpt-4o", "cost": {"total": Decimal("0.004")}},
    "unknown model": {"model": "nobody", "usage": {"input": 450, "output": 120}},
    "a span": {"name": "step", "input": "text"},
    "no usage, remembered text": {"model": "gpt-4o", "input": "a prompt " * 50, "output": "an answer", "end_time": 1,
                                  "type": "GENERATION"},
}  # fmt: skip


def main(calls: int = 100_000) -> None:
    """Print the smallest time of some repetitions."""
    price = ObservationPricer()
    for name, given in CALLS.items():
        fields = cast(Fields, given)
        price("p", fields, AT)
        best = min(_seconds(price, fields, calls) for _ in range(REPEATS))
        print(f"{name:30} {best / calls * 1e6:8.2f} µs")
    texts = [Text("gpt-4o", text * 20, False) for text in CORPUS if 0 < len(text) < 100_000]
    TokenCounter().warm(texts[:1])
    began = time.thread_time()
    TokenCounter().warm(texts)
    size = sum(len(text.text.encode("utf-8", "surrogatepass")) for text in texts)
    print(f"{'tokenizing':30} {size / (time.thread_time() - began) / 1e6:8.2f} MB/s")


def _seconds(price: ObservationPricer, fields: Fields, calls: int) -> float:
    began = time.thread_time()
    for _ in range(calls):
        price("p", fields, AT)
    return time.thread_time() - began


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
