"""The attributes of a trace that every row of it carries: who, in which session, under which name and release.

Trace events win, then the root observation's word, then any observation's, the newest first. Tags are the union of all.
"""

from typing import Literal, NamedTuple

from pipeline.events.model import Fields


class Attributes(NamedTuple):
    """The trace's attributes, as written on every row of the trace."""

    name: str
    user_id: str
    session_id: str
    tags: tuple[str, ...]
    release: str
    version: str
    environment: str
    public: bool


OF_THE_ROOT: tuple[
    Literal["trace_name", "name", "user_id", "session_id", "release", "version", "environment", "public"], ...
] = ("trace_name", "name", "user_id", "session_id", "release", "version", "environment", "public")
"""Fields of the root observation that count here."""

NO_ATTRIBUTES = Attributes("", "", "", (), "", "", "default", False)


def attributes_of(own: Fields, root: Fields, carried: Fields) -> Attributes:
    """From the merged fields of the trace's own events, of its root, and of what observations carry for it."""
    tags = {*own.get("tags", ()), *carried.get("tags", ())}
    return Attributes(
        own.get("name") or root.get("trace_name") or carried.get("trace_name") or root.get("name", ""),
        own.get("user_id") or root.get("user_id") or carried.get("user_id", ""),
        own.get("session_id") or root.get("session_id") or carried.get("session_id", ""),
        tuple(sorted(tags)),
        own.get("release") or root.get("release") or carried.get("release", ""),
        own.get("version") or root.get("version", ""),
        own.get("environment") or root.get("environment", "default"),
        own.get("public", root.get("public", carried.get("public", False))),
    )
