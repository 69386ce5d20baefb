"""jars.lock: which artifacts the broker runs on, down to the byte.

One line an artifact, `sha256 size group:artifact:version`; `#` starts a comment. Written by
`python -m pipeline.local.jars --lock`, read at every start.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_HEADER = """\
# The artifacts of the embedded Kafka broker. Written by `python -m pipeline.local.jars --lock`; do not edit.
# sha256, size in bytes, group:artifact:version
"""


@dataclass(frozen=True, slots=True)
class Jar:
    """One locked artifact; `size` in bytes, `sha256` in lower-case hex."""

    coordinate: str
    sha256: str
    size: int

    @property
    def file_name(self) -> str:
        """Its name in the cache: artifact and version, as in a Maven repository."""
        _, artifact, version = self.coordinate.split(":")
        return f"{artifact}-{version}.jar"

    def matches(self, path: Path) -> bool:
        """Whether `path` is this artifact, byte for byte; False when there is no such file."""
        return path.is_file() and path.stat().st_size == self.size and sha256_of(path) == self.sha256


def jar_of(coordinate: str, path: Path) -> Jar:
    """The lock entry for a downloaded artifact."""
    return Jar(coordinate, sha256_of(path), path.stat().st_size)


def sha256_of(path: Path) -> str:
    """The sha256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_lock(path: Path) -> list[Jar]:
    """The artifacts in the lock's order. Raises ValueError for a line that is not `sha256 size coordinate`."""
    jars = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            sha256, size, coordinate = line.split()
            jars.append(Jar(coordinate, sha256, int(size)))
    return jars


def write_lock(path: Path, jars: Iterable[Jar]) -> None:
    """Write the lock, sorted by coordinate so that a change reads well in a diff."""
    lines = [f"{jar.sha256} {jar.size:>8} {jar.coordinate}\n" for jar in sorted(jars, key=lambda jar: jar.coordinate)]
    path.write_text(_HEADER + "".join(lines), encoding="utf-8")
