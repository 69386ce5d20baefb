"""The trace that every client sends, and its clock. Needs nothing but Python: it runs in each client's environment."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

STORY: dict[str, Any] = json.loads(Path(__file__).with_name("scenario.json").read_text(encoding="utf-8"))
TRACE: dict[str, Any] = STORY["trace"]

_CLOCK = STORY["clock"]
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00Z")
_START = datetime.fromisoformat(_CLOCK["start"])


def part(name: str, *wanted: str) -> dict[str, Any]:
    """What the scenario says of one observation; of all that it says, or only what is wanted and there."""
    said: dict[str, Any] = STORY[name]
    return {key: said[key] for key in wanted if key in said} if wanted else dict(said)


def time_of(name: str, end: bool = False) -> datetime:
    """When an observation began (or ended), for clients that are told the time."""
    at = _CLOCK["milliseconds"][name]
    return _START + timedelta(milliseconds=at[end] if isinstance(at, list) else at)


def nanoseconds(name: str, end: bool = False) -> int:
    """The same as OpenTelemetry counts it."""
    return (time_of(name, end) - _EPOCH) // timedelta(microseconds=1) * 1000
