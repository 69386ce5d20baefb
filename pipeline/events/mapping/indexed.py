"""Lists and objects that were flattened into attributes (`llm.input_messages.0.message.role`), made whole again.

Rule: a level whose names are all numbers is a list, in the order of the numbers; gaps are closed. Names come from
clients: depth and the number of parts are bounded by the attributes that are there, and nothing is allocated by index.
"""

from typing import Any

MAX_PARTS = 20  # levels of a name; what is deeper stays one name


def nested(flat: dict[str, Any]) -> Any:
    """The structure that `flat` (dotted names) was made of; where a name is also the parent of others, they win."""
    tree: dict[str, Any] = {}
    for name, value in flat.items():
        parts = name.split(".", MAX_PARTS)
        level = tree
        for part in parts[:-1]:
            below = level.get(part)
            if not isinstance(below, _Level):
                below = level[part] = _Level()
            level = below
        if not isinstance(level.get(parts[-1]), _Level):
            level[parts[-1]] = value
    return _listed(tree)


class _Level(dict[str, Any]):
    """A dict made here, told apart from a value that is a dict."""


def _listed(value: Any) -> Any:
    if type(value) is not dict and not isinstance(value, _Level):
        return value
    if value and all(key.isdecimal() for key in value):
        return [_listed(value[key]) for key in sorted(value, key=lambda key: (len(key), key))]
    return {key: _listed(item) for key, item in value.items()}


def unwrapped(items: Any, name: str) -> Any:
    """OpenInference puts each item of a list into an object of one member: `[{message: {...}}]`."""
    if not isinstance(items, list):
        return items
    return [item[name] if isinstance(item, dict) and set(item) == {name} else item for item in items]
