"""The keys that `up` prints: DIR/project.json, readable by its owner alone.

Problem: the registry keeps only a hash of a secret key, and a stack that is started again must print the same keys.
Rule: the file holds the pair that was made or set last. It is nobody's source of truth: `prepare` checks it against
the registry and makes a new pair where it is missing or was revoked.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pipeline.errors import SpanfoldError
from pipeline.local.stack import write_private

FILE = "project.json"


@dataclass(frozen=True, slots=True)
class ProjectKeys:
    """A project and a key pair of it."""

    project_id: str
    public_key: str
    secret_key: str = field(repr=False)


def read_project(data: Path) -> ProjectKeys | None:
    """The pair of an earlier start, or None. Raises SpanfoldError when the file cannot be understood."""
    path = data / FILE
    try:
        return ProjectKeys(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise SpanfoldError(f"{path} cannot be read ({error}).", remedy="Remove it: a new key is made.") from error


def write_project(data: Path, keys: ProjectKeys) -> None:
    """Remember a pair."""
    write_private(data / FILE, asdict(keys))
