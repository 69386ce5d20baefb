"""What kind of request a call was, as far as its price depends on it: service tier, batch, speed, region.

Read from the model parameters and the metadata of the observation, top-level keys, exact values (in lower case).
`batch: true`, `service_tier: batch` and `processing: batch` all mean a batch.
"""

from collections.abc import Mapping
from functools import lru_cache

import orjson

from pipeline.events.model import Fields

KEYS = frozenset({"service_tier", "processing", "batch", "speed", "region", "inference_geo", "search_type", "route"})
LONGEST_KEPT = 2_000  # characters; longer parameters are read anew each time
_TRUE = ("true", "1", "yes")
_NONE: Mapping[str, str] = {}


def context_of(fields: Fields) -> Mapping[str, str]:
    """The conditions that a price may name; empty for most calls."""
    parameters = fields.get("model_parameters")
    found = _NONE
    if parameters:
        found = _kept(parameters) if len(parameters) <= LONGEST_KEPT else _read(parameters)
    metadata = fields.get("metadata")
    if metadata and not KEYS.isdisjoint(metadata):
        found = {**_plain(metadata), **found}
    return _normal(found) if found else _NONE


def _read(parameters: str) -> Mapping[str, str]:
    if not any(key in parameters for key in KEYS):
        return _NONE
    try:
        values = orjson.loads(parameters)
    except orjson.JSONDecodeError:
        return _NONE
    return _plain(values) if isinstance(values, dict) else _NONE


_kept = lru_cache(2_048)(_read)


def _plain(values: Mapping[str, object]) -> dict[str, str]:
    return {
        key: str(values[key]).lower()
        for key in sorted(KEYS & values.keys())
        if isinstance(values[key], str | bool | int) and len(str(values[key])) <= 100
    }


def _normal(found: Mapping[str, str]) -> Mapping[str, str]:
    context = dict(found)
    if context.pop("batch", "") in _TRUE or context.get("service_tier") == "batch":
        context["processing"] = "batch"
    return context
