"""The jar cache against a real HTTP repository of small files: complete, checked, fetched once."""

import http.server
import multiprocessing
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import MissingPrerequisiteError
from pipeline.local import data_files, jars
from pipeline.local.data_files import infra_file
from pipeline.local.jars import kafka_jars
from pipeline.local.jars_lock import Jar, jar_of, read_lock, write_lock

ARTIFACTS = ("org.example:one:1.0", "org.example:two:2.1", "org.example.deep:three:3")


class Repository:
    """A Maven repository on this machine that counts what it is asked for and can cut the first answers short."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: Counter[str] = Counter()
        self.cut_short = 0
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def path(self, coordinate: str) -> Path:
        group, artifact, version = coordinate.split(":")
        return self.folder / group.replace(".", "/") / artifact / version / f"{artifact}-{version}.jar"

    def publish(self, coordinate: str, content: bytes) -> Jar:
        path = self.path(coordinate)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return jar_of(coordinate, path)

    def jars_asked(self) -> Counter[str]:
        return Counter({path: count for path, count in self.asked.items() if path.endswith(".jar")})

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        repository = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                repository.asked[self.path] += 1
                path = repository.folder / self.path.lstrip("/")
                content = path.read_bytes() if path.is_file() else b""
                self.send_response(200 if path.is_file() else 404)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if repository.cut_short and content:
                    repository.cut_short -= 1
                    content = content[: len(content) // 2]
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Say nothing on the terminal."""

        return Handler


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    served = Repository(tmp_path / "repository")
    monkeypatch.setenv("SPANFOLD_MAVEN_REPOSITORY", served.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield served
    served.close()


@pytest.fixture
def lock(repository: Repository, tmp_path: Path) -> Path:
    """A lock of three published artifacts."""
    path = tmp_path / "jars.lock"
    write_lock(path, [repository.publish(name, name.encode() * 1000) for name in ARTIFACTS])
    return path


def cached(cache: Path) -> set[str]:
    """The names of everything in the cache's folder but its lock."""
    return {path.name for path in (cache / "jars").iterdir()} - {".lock"}


def test_all_locked_jars_arrive_whole(repository: Repository, lock: Path, tmp_path: Path) -> None:
    found = kafka_jars(tmp_path / "cache", lock)
    assert all(jar.matches(path) for jar, path in zip(read_lock(lock), found, strict=True))
    assert cached(tmp_path / "cache") == {"one-1.0.jar", "two-2.1.jar", "three-3.jar"}


def test_a_full_cache_asks_nobody(repository: Repository, lock: Path, tmp_path: Path) -> None:
    first = kafka_jars(tmp_path / "cache", lock)
    repository.asked.clear()
    assert kafka_jars(tmp_path / "cache", lock) == first
    assert not repository.asked


def test_a_damaged_jar_in_the_cache_is_fetched_again(repository: Repository, lock: Path, tmp_path: Path) -> None:
    damaged = kafka_jars(tmp_path / "cache", lock)[0]
    right = damaged.read_bytes()
    damaged.write_bytes(b"x" * len(right))
    kafka_jars(tmp_path / "cache", lock)
    assert damaged.read_bytes() == right


def test_a_wrong_checksum_is_an_error_and_never_enters_the_cache(
    repository: Repository, lock: Path, tmp_path: Path
) -> None:
    wrong = repository.publish(ARTIFACTS[1], b"something else")
    with pytest.raises(
        MissingPrerequisiteError, match=rf"{ARTIFACTS[1]} arrived with the wrong checksum {wrong.sha256}"
    ):
        kafka_jars(tmp_path / "cache", lock)
    assert "two-2.1.jar" not in cached(tmp_path / "cache")


def test_a_download_that_was_cut_off_is_tried_again(repository: Repository, lock: Path, tmp_path: Path) -> None:
    repository.cut_short = 1
    found = kafka_jars(tmp_path / "cache", lock)
    assert all(jar.matches(path) for jar, path in zip(read_lock(lock), found, strict=True))


def test_a_missing_artifact_is_named_with_the_remedy(repository: Repository, lock: Path, tmp_path: Path) -> None:
    repository.path(ARTIFACTS[0]).unlink()
    with pytest.raises(MissingPrerequisiteError, match=rf"{ARTIFACTS[0]}.*SPANFOLD_MAVEN_REPOSITORY"):
        kafka_jars(tmp_path / "cache", lock)


def test_what_a_killed_download_left_is_cleared_away(repository: Repository, lock: Path, tmp_path: Path) -> None:
    left = tmp_path / "cache" / "jars" / "fetch-killed"
    left.mkdir(parents=True)
    (left / "one-1.0.jar").write_bytes(b"half")
    kafka_jars(tmp_path / "cache", lock)
    assert cached(tmp_path / "cache") == {"one-1.0.jar", "two-2.1.jar", "three-3.jar"}


def test_two_processes_at_once_fetch_each_jar_once(repository: Repository, lock: Path, tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        answers = pool.starmap(kafka_jars, [(tmp_path / "cache", lock)] * 2)
    assert answers[0] == answers[1]
    assert all(jar.matches(path) for jar, path in zip(read_lock(lock), answers[0], strict=True))
    assert set(repository.jars_asked().values()) == {1}


def test_the_committed_lock_holds_the_roots_and_one_version_of_kafka() -> None:
    coordinates = [jar.coordinate for jar in read_lock(infra_file(jars.LOCK))]
    assert set(jars.ROOTS) <= set(coordinates)
    assert {name.split(":")[2] for name in coordinates if name.startswith("org.apache.kafka:")} == {"4.1.0"}
    assert len({jar.file_name for jar in read_lock(infra_file(jars.LOCK))}) == len(coordinates)


@pytest.mark.parametrize("place", ["CHECKOUT", "INSTALLED"])
def test_data_files_are_found_in_a_checkout_and_in_a_wheel(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, place: str
) -> None:
    monkeypatch.setattr(data_files, "CHECKOUT", tmp_path / "CHECKOUT")
    monkeypatch.setattr(data_files, "INSTALLED", tmp_path / "INSTALLED")
    with pytest.raises(MissingPrerequisiteError, match=r"kafka/jars\.lock is missing"):
        infra_file("kafka/jars.lock")
    (tmp_path / place / "kafka").mkdir(parents=True)
    (tmp_path / place / "kafka" / "jars.lock").touch()
    assert infra_file("kafka/jars.lock") == tmp_path / place / "kafka" / "jars.lock"


def test_a_wrong_argument_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert jars.main(["--help-me"]) == 2
    assert "usage:" in capsys.readouterr().err
