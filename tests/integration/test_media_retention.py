"""On the real engine: media leave when no row refers to them, and not before; what only was declared leaves, too."""

import asyncio
import base64
import hashlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import OperationalError

from pipeline.blobs import Media, MediaStore, open_blobs
from pipeline.config import Settings
from pipeline.events.media import media_id_of
from pipeline.metrics import Metric, Metrics, Role
from pipeline.ops.retention import media as media_module
from pipeline.ops.retention import watch
from pipeline.ops.retention.media import MARGIN, Sweep
from pipeline.ops.retention.rules import Rules
from pipeline.ops.retention.run import run_media
from pipeline.registry import RetentionDays, open_registry
from pipeline.store.dead_letter_rows import DeadLetterRow
from pipeline.store.errors import StoreError
from pipeline.store.native import encode
from pipeline.store.retention import DAY_SECONDS, FOREVER
from pipeline.store.tables import DEAD_LETTERS, OBSERVATIONS, SCORES, TABLES, TRACES
from tests.fixtures.clickhouse import ClickHouseProcess
from tests.fixtures.store import NOW, migrated, observation_row, score_row, settings_for, trace_row

pytestmark = pytest.mark.stack

DAYS = 7
OLD = time.time() - MARGIN - (DAYS + 1) * DAY_SECONDS
REFERRED = ("trace", "observation", "metadata", "score", "letter", "odd", "superseded")
ODD = "it's %(x)s \\ '"


def medium(name: str) -> Media:
    digest = hashlib.sha256(name.encode()).digest()
    return Media(media_id_of(digest), "image/png", len(name), base64.b64encode(digest).decode())


def reference(name: str, form: str = "type=image\\/png|id={}|source=bytes") -> str:
    return f'[{{"text": "@@@langfuseMedia:{form.format(medium(name).id)}@@@"}}]'


@pytest.fixture
def settings(clickhouse: ClickHouseProcess, database: str, tmp_path: Path) -> Settings:
    return settings_for(clickhouse.url, database).model_copy(update={"data_dir": tmp_path})


@pytest.fixture
def client(settings: Settings) -> Iterator[Client]:
    """Rows of `p` that refer to media, one in each place where a reference may stand."""
    with migrated(settings.clickhouse_url, settings.clickhouse_database) as client:
        of = {"project_id": "p"}
        insert(client, TRACES, trace_row(**of, trace_id="a", input=reference("trace")))
        insert(client, TRACES, trace_row(**of, trace_id="b", output=reference("superseded"), row_version=2))
        insert(client, TRACES, trace_row(**of, trace_id="b", output="none any more", row_version=4))
        insert(client, OBSERVATIONS, observation_row(**of, output=f"x {reference('observation')} {reference('odd')}"))
        insert(client, OBSERVATIONS, observation_row(**of, observation_id="m", metadata={"k": reference("metadata")}))
        insert(client, SCORES, score_row(**of, data_type="CORRECTION", string_value=reference("score", "id={}|type=x")))
        insert(client, DEAD_LETTERS, letter(reference("letter").encode()))
        insert(client, TRACES, trace_row(project_id="q", input=reference("another's")))
        yield client


def letter(value: bytes) -> DeadLetterRow:
    return DeadLetterRow(
        "t", 0, 0, NOW, "p", "malformed", "decode", "", b"k", value, [], [], 1, NOW, NOW, "", "1", FOREVER
    )  # fmt: skip


def insert(client: Client, table: str, row: object) -> None:
    known = TABLES[table]
    client.raw_insert(table, list(known.columns), bytes(encode(known, [row])), fmt="Native")  # type: ignore[list-item]


@pytest.fixture
def blobs(settings: Settings) -> MediaStore:
    """Media of `p`, all of them old but `new`, and of a project with an odd name."""
    store = MediaStore(open_blobs(settings.blobs))
    for name in (*REFERRED, "another's", "free", "held", "new"):
        store.put("p", medium(name), name.encode())
        if name != "new":
            aged(settings, "p", medium(name), ".json", held=name == "held")
    store.put(ODD, medium("free"), b"free")
    aged(settings, ODD, medium("free"), ".json")
    for name in ("promised", "promised for a set", "promised just now", "free"):
        store.declare("r" if name == "free" else "p", medium(name))
    aged(settings, "p", medium("promised"), ".declared.json")
    aged(settings, "p", medium("promised for a set"), ".declared.json", held=True)
    return store


def aged(settings: Settings, project: str, media: Media, kind: str, *, held: bool = False) -> None:
    """As if nobody had wanted it for long."""
    path = Path(settings.blobs) / "media" / f"project={quote(project, safe='')}" / f"{media.id}{kind}"
    there = OLD if kind == ".json" else None
    path.write_bytes(orjson.dumps(media._replace(uploaded_at=there, wanted_at=OLD, held=held)._asdict()))
    os.utime(path, (OLD, OLD))


def rules(days: int = DAYS) -> Rules:
    return Rules({"": RetentionDays(rows=days)}, frozenset())


def names(store: MediaStore, project: str, among: tuple[str, ...]) -> set[str]:
    return {name for name in among if store.find(project, medium(name).id) is not None}


def test_media_leave_once_no_row_refers_to_them(
    client: Client, settings: Settings, blobs: MediaStore, capsys: pytest.CaptureFixture[str]
) -> None:
    everything = (*REFERRED, "another's", "free", "held", "new", "promised", "promised for a set", "promised just now")
    with_registry = open_registry(settings.registry)
    with_registry.set_retention("", RetentionDays(rows=DAYS))
    with_registry.close()
    [for_ever] = Sweep(client, blobs, rules(0), dry_run=True).run(["p"])
    assert (for_ever.looked_at, for_ever.removed, for_ever.orphans) == (0, 0, 1)
    run_media(settings, "", dry_run=True, as_json=True)
    promised = json.loads(capsys.readouterr().out)
    assert names(blobs, "p", everything) == set(everything)
    run_media(settings, "", dry_run=False, as_json=True)
    done = json.loads(capsys.readouterr().out)
    assert done == promised
    gone = {"another's", "free", "promised"}
    assert names(blobs, "p", everything) == set(everything) - gone
    size = len("another's") + len("free")
    told = {"looked_at": len(REFERRED) + 3, "referred": len(REFERRED), "removed": 2, "bytes": size, "orphans": 1}
    assert {each["project_id"]: each for each in done}["p"] == {"project_id": "p", **told}
    assert blobs.find(ODD, medium("free").id) is None
    assert blobs.find("r", medium("free").id) is not None
    for name in REFERRED:
        assert b"".join(blobs.chunks("p", medium(name).id)) == name.encode()
    assert all(each.removed == each.orphans == 0 for each in Sweep(client, blobs, rules()).run())
    client.command("TRUNCATE TABLE observations_rows")  # as when they expire
    client.command("OPTIMIZE TABLE traces_rows FINAL")
    [swept] = Sweep(client, blobs, rules()).run(["p"])
    assert (swept.removed, swept.referred) == (4, 3)
    assert names(blobs, "p", everything) == set(everything) - gone - {"observation", "odd", "metadata", "superseded"}


class Silent:
    """A store that does not answer."""

    def query(self, *_: object, **__: object) -> None:
        raise OperationalError("no answer")


def test_what_is_left_of_a_removal_is_seen_to_and_a_store_that_does_not_answer_loses_nothing(
    settings: Settings, blobs: MediaStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(settings.blobs) / "media" / "project=p"
    (folder / medium("free").id).rename(folder / f"{medium('free').id}.leaving")
    part = folder / f"{medium('new').id}.part-00"
    part.touch()
    os.utime(part, (OLD, OLD))
    silent: Any = Silent()
    with pytest.raises(StoreError, match="Nothing of them was removed"):
        Sweep(silent, blobs, rules()).run(["p"])
    assert b"".join(blobs.chunks("p", medium("free").id)) == b"free"
    assert not part.exists()
    monkeypatch.setattr(blobs, "declared", lambda *_: part.read_bytes())  # it is gone: a blob store that says no
    with pytest.raises(StoreError, match="store of media"):
        Sweep(silent, blobs, rules()).run(["p"])
    assert [each.removed for each in Sweep(silent, blobs, rules(), stop=lambda: True).run()] == []


async def test_an_evaluator_does_so_by_itself_and_once_a_day(
    client: Client, settings: Settings, blobs: MediaStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = open_registry(settings.registry)
    registry.set_retention("", RetentionDays(rows=DAYS))
    registry.close()
    monkeypatch.setattr(watch, "FIRST", 0.01)
    monkeypatch.setattr(watch, "LOOKS", 0.01)
    monkeypatch.setattr(media_module, "PIECE", 3)
    metrics, looked, mine = Metrics(Role.EVALUATOR, "e"), 0, False

    def is_mine() -> bool:
        nonlocal looked, mine
        looked += 1
        mine = looked > 2
        return mine

    await asyncio.wait_for(watch.sweep_media(settings.model_copy(update={"media_interval": 0}), metrics, is_mine), 5)
    sweeping = asyncio.create_task(watch.sweep_media(settings, metrics, is_mine))
    deadline = time.monotonic() + 20
    while metrics.value(Metric.MEDIA_REMOVED) < 3:  # two of p, one of the other project
        assert time.monotonic() < deadline and not sweeping.done()
        await asyncio.sleep(0.01)
    aged(settings, "p", medium("new"), ".json")
    seen = looked
    while looked < seen + 5:  # it looks whether it is time, and it is not
        assert time.monotonic() < deadline and not sweeping.done()
        await asyncio.sleep(0.01)
    sweeping.cancel()
    assert blobs.find("p", medium("new").id) is not None
