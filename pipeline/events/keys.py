"""Ids and keys that are derived from content, so that a replay names and places everything the same way (I7)."""

import hashlib
import re

import xxhash

MAX_ID_LENGTH = 800
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f]")


def record_key(project_id: str, trace_id: str) -> bytes:
    """The Kafka key of everything that belongs to one trace: all of it lands in one partition, in order."""
    return f"{project_id}/{trace_id}".encode()


def session_group(session_id: str) -> str:
    """What scores of a session, which have no trace, are grouped by."""
    return f"session:{session_id}"


def run_group(dataset_run_id: str) -> str:
    """What scores of a dataset run, which have no trace, are grouped by."""
    return f"run:{dataset_run_id}"


def group_subject(group: str) -> dict[str, str]:
    """What a group of scores is about, as the field that names it: the inverse of the two above; {} for a trace."""
    prefix, colon, name = group.partition(":")
    field = {"session": "session_id", "run": "dataset_run_id"}.get(prefix)
    return {field: name} if colon and field else {}


def is_trace(trace_id: str) -> bool:
    """False for the groups of scores that have no trace."""
    return not trace_id.startswith(("session:", "run:"))


def derived_id(*parts: str) -> str:
    """32 hex digits that depend on nothing but `parts`: for ids that a client left out."""
    return hashlib.blake2b("\x1f".join(parts).encode(), digest_size=16).hexdigest()


def event_identity(event_id: str, raw: bytes) -> bytes:
    """16 bytes that are equal exactly for the same event: same id and same original bytes (xxh3-128)."""
    return xxhash.xxh3_128_digest(raw, seed=xxhash.xxh3_64_intdigest(event_id.encode()))


def trace_hash(project_id: str, trace_id: str) -> int:
    """64 bits that stand for a trace in the filter of known traces; stored with each archived event."""
    return xxhash.xxh3_64_intdigest(f"{project_id}/{trace_id}".encode())


def check_id(value: str) -> str:
    """An id as clients may choose it: 1 to 800 characters, no control characters. Raises ValueError."""
    if not value or len(value) > MAX_ID_LENGTH:
        raise ValueError(f"an id has 1 to {MAX_ID_LENGTH} characters, this one has {len(value)}")
    if _FORBIDDEN.search(value):
        raise ValueError("an id must not contain control characters")
    return value
