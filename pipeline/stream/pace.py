"""A worker's pace: when a flush begins, and when intake waits for one."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """How often to flush, and how much may wait."""

    interval: float  # seconds between two flushes at the most
    flush_events: int  # a flush starts early at this many events
    pending_events: int  # intake waits above this many
    pending_bytes: int  # or above so many bytes of records
    memory: int = 2**62  # or while what is held takes more bytes than this, by the estimate of stream/held.py
