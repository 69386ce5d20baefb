"""Deep merge of metadata: each leaf belongs to its last writer; a list is a leaf; null and an empty map add nothing.

A write at a path overrides older writes above and below it, so applying documents oldest first gives the result.
"""

from typing import Any

Json = dict[str, Any]


def deep_merge(older: Json, newer: Json) -> Json:
    """`newer` laid over `older`; neither is changed."""
    merged = dict(older)
    for key, value in newer.items():
        if key not in merged:
            merged[key] = value
        elif isinstance(value, dict):
            before = merged[key]
            if value:
                merged[key] = deep_merge(before, value) if isinstance(before, dict) else value
        elif value is not None:
            merged[key] = value
    return merged


def live_part(older: Json, newer: Json) -> Json:
    """What of `older` may still matter under `newer`, whatever arrives between them.

    Only a leaf hides. A leaf under a newer map is invisible and yet stays: it hides what is older than itself.
    """
    live: Json = {}
    for key, value in older.items():
        over = newer.get(key)
        if over is None or over == {}:
            live[key] = value
        elif isinstance(over, dict):
            rest = live_part(value, over) if isinstance(value, dict) else value
            if rest != {}:
                live[key] = rest
    return live
