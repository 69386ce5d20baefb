"""The environment of Langfuse's events: lower case, no reserved prefix, at most 40 characters, else "default"."""

import re
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator

LONGEST_CACHED = 100  # names come from clients: what is remembered of them has a bound
_ALLOWED = re.compile(r"[a-z0-9_-]+")
_RESERVED_PREFIX = re.compile(r"(langfuse[-_]?)+")


def canonical_environment(value: str) -> str:
    """The name that is stored for the one a client chose."""
    return _cached(value) if len(value) <= LONGEST_CACHED else _canonical(value)


def _canonical(value: str) -> str:
    value = value.lower()
    prefix = _RESERVED_PREFIX.match(value)
    value = value[prefix.end() if prefix else 0 :][:40]
    return value if _ALLOWED.fullmatch(value) else "default"


_cached = lru_cache(4096)(_canonical)

Environment = Annotated[str, AfterValidator(canonical_environment)]
"""A string of any length -> the environment's name."""
