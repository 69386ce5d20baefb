"""The attributes of a trace that every row of it carries: who, in which session, under which name and release.

Trace events win, then the root observation's word, then any observation's, the newest first. Tags are the union of all.
They stand on every row: a text of a megabyte on 10,000 rows would be ten gigabytes of one flush. So there is a bound
to all that is copied in a trace; beyond it texts and tags are cut, by what the trace holds and not by what came first.
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
    cut: bool = False  # they were too long to stand on so many rows


OF_THE_ROOT: tuple[
    Literal["trace_name", "name", "user_id", "session_id", "release", "version", "environment", "public"], ...
] = ("trace_name", "name", "user_id", "session_id", "release", "version", "environment", "public")
"""Fields of the root observation that count here."""

MOST_COPIED = 64 * 2**20  # characters of attributes on all rows of a trace together
LEAST_ROOM = 20_000  # characters that each row may have, however many they are
_TEXTS = 6

NO_ATTRIBUTES = Attributes("", "", "", (), "", "", "default", False)


def attributes_of(own: Fields, root: Fields, carried: Fields, observations: int = 0) -> Attributes:
    """From the merged fields of the trace's own events, of its root, and of what observations carry for it.

    `observations`: how many rows show them. The room halves when these double, so it seldom is another.
    """
    tags = {*own.get("tags", ()), *carried.get("tags", ())}
    whole = Attributes(
        own.get("name") or root.get("trace_name") or carried.get("trace_name") or root.get("name", ""),
        own.get("user_id") or root.get("user_id") or carried.get("user_id", ""),
        own.get("session_id") or root.get("session_id") or carried.get("session_id", ""),
        tuple(sorted(tags)),
        own.get("release") or root.get("release") or carried.get("release", ""),
        own.get("version") or root.get("version", ""),
        own.get("environment") or root.get("environment", "default"),
        own.get("public", root.get("public", carried.get("public", False))),
    )
    room = max(MOST_COPIED >> observations.bit_length(), LEAST_ROOM)
    return whole if _length(whole) <= room else _cut(whole, room)


def _length(of: Attributes) -> int:
    texts = len(of.name) + len(of.user_id) + len(of.session_id) + len(of.release) + len(of.version)
    return texts + len(of.environment) + sum([len(tag) + 1 for tag in of.tags])


def _cut(whole: Attributes, room: int) -> Attributes:
    """Each text's beginning, and of the tags in their order those that fit."""
    most, left, tags = room // (_TEXTS + 2), room // 4, []
    for tag in whole.tags:
        if len(tag) < left:
            tags.append(tag)
            left -= len(tag) + 1
    name, user_id, session_id, _, release, version, environment, public, _ = whole
    return Attributes(
        name[:most], user_id[:most], session_id[:most], tuple(tags), release[:most], version[:most],
        environment[:most], public, True,
    )  # fmt: skip
