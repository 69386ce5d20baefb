"""Artifacts from a Maven repository, through jgo: no Maven and no Java needed.

Fails with ArtifactError, which tells the coordinate and the cause; the caller knows whether to try again.
Configured by SPANFOLD_MAVEN_REPOSITORY: a mirror's URL, asked instead of jgo's default.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_TIMEOUT = 30  # seconds without an answer from the repository
_SHIPPED = ("compile", "runtime")


class ArtifactError(Exception):
    """An artifact could not be resolved or downloaded."""


def download(coordinate: str, folder: Path) -> Path:
    """Fetch the jar of `group:artifact:version` into `folder`, laid out as a Maven repository. Raises ArtifactError."""
    group, artifact, version = coordinate.split(":")
    try:
        jar: Path = _context(folder).project(group, artifact).at_version(version).artifact().resolve()
    except (OSError, RuntimeError) as error:  # requests' errors are OSErrors; jgo raises RuntimeError for "not found"
        raise ArtifactError(f"{coordinate}: {error}") from error
    return jar


def resolve(roots: Sequence[str], folder: Path) -> list[str]:
    """The coordinates of `roots` and all they need at run time, in no order. Raises ArtifactError."""
    context = _context(folder)
    # "!": without it jgo applies each root's dependencyManagement to all, and log4j's takes kafka-clients back to 3.8.
    wanted = [context.create_dependency(f"{root}:compile!") for root in roots]
    try:
        inputs, transitive = context.resolver.resolve(wanted)
    except (OSError, RuntimeError, ValueError) as error:
        raise ArtifactError(f"{', '.join(roots)}: {error}") from error
    needed = [*inputs, *(found for found in transitive if found.scope in _SHIPPED)]
    return [f"{found.groupId}:{found.artifactId}:{found.version}" for found in needed]


def _context(folder: Path) -> Any:
    from jgo.maven import MavenContext  # here, because it takes 0.5 s that a start with a full cache need not pay

    mirror = os.environ.get("SPANFOLD_MAVEN_REPOSITORY")
    repositories = {"mirror": mirror.rstrip("/")} if mirror else None
    return MavenContext(repo_cache=folder, remote_repos=repositories, timeout=_TIMEOUT)
