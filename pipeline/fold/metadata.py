"""Deep merge of metadata: each leaf belongs to its last writer; a list is a leaf; null and an empty map add nothing.

A write at a path overrides older writes above and below it, so laying documents over each other, oldest first, gives
the result. Null is no opinion and leaves with `without_nulls` before anything is merged. A target is changed in place
and shares no map with what was merged into it, so a merge costs what the new document holds, not what the target holds.
"""

from typing import Any

Json = dict[str, Any]


def without_nulls(document: Json) -> Json:
    """The document with no null in it but inside lists, which are leaves; the document itself where it has none."""
    if not _has_null(document):
        return document
    return {
        key: without_nulls(value) if isinstance(value, dict) else value
        for key, value in document.items()
        if value is not None
    }


def laid(documents: list[Json]) -> Json:
    """The documents laid over each other, the oldest first."""
    target: Json = {}
    for document in documents:
        if dict in map(type, document.values()):
            lay_over(target, document)
        else:
            target.update(document)  # nothing but leaves: each overrides whatever is below its key
    return target


def lay_over(target: Json, newer: Json) -> None:
    """Change `target` to what it is under `newer`."""
    for key, value in newer.items():
        if not isinstance(value, dict):
            target[key] = value
        elif isinstance(before := target.get(key), dict):
            lay_over(before, value)
        elif value or key not in target:
            target[key] = _copied(value)


def lay_under(target: Json, older: Json) -> None:
    """Change `target` to what it is over `older`."""
    for key, value in older.items():
        over = target.get(key)
        if over is None or over == {}:
            target[key] = _copied(value) if isinstance(value, dict) else value
        elif isinstance(over, dict) and isinstance(value, dict):
            lay_under(over, value)


def live_part(older: Json, newer: Json) -> Json:
    """What of `older` may still matter under `newer`, whatever arrives between them.

    Only a leaf hides. A leaf under a newer map is invisible and yet stays: it hides what is older than itself.
    """
    live: Json = {}
    for key, value in older.items():
        if key not in newer:
            live[key] = value
            continue
        over = newer[key]
        if isinstance(over, dict):
            rest = live_part(value, over) if isinstance(value, dict) else value
            if rest != {}:
                live[key] = rest
    return live


def _has_null(document: Json) -> bool:
    values = document.values()
    if None in values:
        return True
    return dict in map(type, values) and any(isinstance(value, dict) and _has_null(value) for value in values)


def _copied(document: Json) -> Json:
    return {key: _copied(value) if isinstance(value, dict) else value for key, value in document.items()}
