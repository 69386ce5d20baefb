"""The oracle's merge: opinions of one entity, the oldest first, become one. Written for clarity, not for speed."""

from collections.abc import Iterable
from typing import Any

Json = dict[str, Any]
Path = tuple[str, ...]


def merged(opinions: Iterable[Any]) -> Json:
    """Last writer wins, field by field; `metadata` and `tags` have rules of their own and are always there.

    Usage and cost are fields like any other: the last writer's whole map stands.
    """
    opinions = list(opinions)
    result: Json = {}
    for fields in opinions:
        result.update(fields)
    result["metadata"] = merged_metadata(fields["metadata"] for fields in opinions if "metadata" in fields)
    result["tags"] = sorted({tag for fields in opinions for tag in fields.get("tags", ())})
    return result


def merged_metadata(documents: Iterable[Json]) -> Json:
    """Each leaf by its last writer, where a write at a path overrides older writes at paths above and below it.

    Null is no opinion, a list is a leaf. An empty map adds nothing: it shows only where nothing else was written at
    its path or below it. (A map around it says that there is a map, and so overrides a leaf.)
    """
    written: dict[Path, Any] = {}
    for document in documents:
        for path, leaf in _writes((), document):
            below = [old for old in written if old[: len(path)] == path]
            if leaf == {} and below:
                continue
            above = [path[:length] for length in range(len(path))]
            for old in [*below, *above]:
                written.pop(old, None)
            written[path] = leaf
    result: Json = {}
    for path, leaf in written.items():
        at = result
        for key in path[:-1]:
            at = at.setdefault(key, {})
        at[path[-1]] = leaf
    return result


def _writes(path: Path, value: Any) -> Iterable[tuple[Path, Any]]:
    """Every leaf of a document with its path; a map that holds nothing but nulls is an empty map."""
    known = {key: below for key, below in value.items() if below is not None} if isinstance(value, dict) else None
    if not known:
        if path:
            yield path, value if known is None else {}
        return
    for key, below in known.items():
        yield from _writes((*path, key), below)
