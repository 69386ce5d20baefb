"""The jars of the embedded broker: fetched once into the cache, each checked against infra/kafka/jars.lock.

Rule: jars.lock names every artifact with its size and sha256, so a start resolves nothing and trusts no server.
A jar is downloaded into a scratch folder and renamed into the cache when its checksum is right; a lock lets one
process download while the others wait. Jars in the cache are checked at every use (0.1 s) and fetched again when
they were damaged.
Fails with MissingPrerequisiteError when a jar cannot be fetched or is not the locked one.
Configured by SPANFOLD_CACHE (where) and SPANFOLD_MAVEN_REPOSITORY (a mirror, see maven.py).

`python -m pipeline.local.jars` fetches all; with `--lock` it resolves ROOTS anew and rewrites jars.lock.
"""

import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from pipeline.errors import MissingPrerequisiteError, SpanfoldError
from pipeline.local.cache import cache_dir, exclusive
from pipeline.local.data_files import infra_file
from pipeline.local.jars_lock import Jar, jar_of, read_lock, sha256_of, write_lock
from pipeline.local.maven import ArtifactError, download, resolve

LOCK = "kafka/jars.lock"
ROOTS = (
    "org.apache.kafka:kafka_2.13:4.1.0",
    "org.apache.logging.log4j:log4j-slf4j-impl:2.24.3",  # Kafka logs to slf4j and leaves the binding to its operator
)
_AT_ONCE = 4
_ATTEMPTS = 3


def kafka_jars(cache: Path | None = None, lock: Path | None = None) -> list[Path]:
    """The broker's class path; downloads what `cache` (default: `cache_dir()`) does not have of `lock`'s artifacts."""
    folder = (cache or cache_dir()) / "jars"
    jars = read_lock(lock or infra_file(LOCK))
    if _missing(jars, folder):
        with exclusive(folder / ".lock"):
            _fetch(_missing(jars, folder), folder)
    return [folder / jar.file_name for jar in jars]


def write_new_lock() -> Path:
    """Resolve ROOTS, download all and write what came to jars.lock. For the one who upgrades Kafka."""
    path = infra_file(LOCK)
    with tempfile.TemporaryDirectory() as scratch:
        coordinates = resolve(ROOTS, Path(scratch))
        write_lock(path, [jar_of(coordinate, download(coordinate, Path(scratch))) for coordinate in coordinates])
    return path


def _missing(jars: list[Jar], folder: Path) -> list[Jar]:
    return [jar for jar in jars if not jar.matches(folder / jar.file_name)]


def _fetch(jars: list[Jar], folder: Path) -> None:
    """Download all `jars` into `folder`; the caller holds the lock. The first failure stops the rest."""
    for left_over in folder.glob("fetch-*"):  # of a killed process: we hold the lock, so nobody uses it
        shutil.rmtree(left_over)
    if not jars:
        return
    with (
        tempfile.TemporaryDirectory(dir=folder, prefix="fetch-") as scratch,
        _progress(jars, folder) as bar,
        ThreadPoolExecutor(_AT_ONCE) as pool,
    ):
        task = bar.add_task("Kafka", total=sum(jar.size for jar in jars))
        futures = {pool.submit(_fetch_one, jar, Path(scratch), folder): jar for jar in jars}
        for future in as_completed(futures):
            if error := future.exception():
                pool.shutdown(cancel_futures=True)
                raise error
            bar.advance(task, futures[future].size)


def _fetch_one(jar: Jar, scratch: Path, folder: Path) -> None:
    arrived = _download(jar, scratch)
    if not jar.matches(arrived):
        raise MissingPrerequisiteError(
            f"{jar.coordinate} arrived with the wrong checksum {sha256_of(arrived)}, {jar.sha256} is locked.",
            remedy="Something between here and the repository changed it: try another network, "
            "or set SPANFOLD_MAVEN_REPOSITORY to a mirror you trust.",
        )
    arrived.replace(folder / jar.file_name)


def _download(jar: Jar, scratch: Path) -> Path:
    """Try a few times, each in a folder of its own: jgo takes a half-written file for a whole one."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return download(jar.coordinate, scratch / str(attempt))
        except ArtifactError as error:
            cause = error
    raise MissingPrerequisiteError(
        f"A part of Kafka could not be downloaded after {_ATTEMPTS} attempts ({cause}).",
        remedy="Check the connection or set SPANFOLD_MAVEN_REPOSITORY to a mirror, "
        "then run `python -m pipeline.local.jars`.",
    ) from cause


def _progress(jars: list[Jar], folder: Path) -> Progress:
    console = Console(stderr=True)
    console.print(f"Fetching Kafka: {len(jars)} jars into {folder} (once).", highlight=False, soft_wrap=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True)


def main(arguments: list[str]) -> int:
    """`--lock` rewrites jars.lock; without it the jars are fetched. 0 good, 1 failed, 2 wrong usage."""
    if arguments not in ([], ["--lock"]):
        print("usage: python -m pipeline.local.jars [--lock]", file=sys.stderr)
        return 2
    try:
        if arguments:
            print(f"wrote {write_new_lock()}")
        print(f"{len(kafka_jars())} jars in {cache_dir() / 'jars'}")
    except (SpanfoldError, ArtifactError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
