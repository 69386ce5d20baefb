"""Price documents in the registry: numbered, never changed, taken by workers, kept when they cannot be read."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from pipeline.config import Settings
from pipeline.cost.base import base_version
from pipeline.cost.document import PriceDocumentError, parse_document
from pipeline.events.model import Fields, Micros
from pipeline.ops.prices import publish, show
from pipeline.registry import Registry, open_registry
from pipeline.stream.pricebook import PriceShelf

TEXT = "prices: [{id: mine, match: my-model, from: 2026-01-01, per_million: {input: 0.1}}]"
CALL = Fields(model="my-model", usage={"input": 10})
AT = Micros(1_800_000_000_000_000)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


@pytest.fixture
def registry(settings: Settings) -> Iterator[Registry]:
    made = open_registry(settings.registry)
    yield made
    made.close()


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "prices.yaml"
    path.write_text(text)
    return path


def test_a_document_is_published_under_the_next_number_and_only_once(settings: Settings, tmp_path: Path) -> None:
    first = publish(settings, write(tmp_path, TEXT), "why")
    again = publish(settings, write(tmp_path, TEXT))
    second = publish(settings, write(tmp_path, "prices: []"))
    assert [(each[0].epoch, each[1]) for each in (first, again, second)] == [(1, True), (1, False), (2, True)]
    assert (first[0].note, first[0].base) == ("why", base_version())


def test_what_is_shown_can_be_published_again(settings: Settings, tmp_path: Path) -> None:
    assert "nothing was published" in show(settings)
    publish(settings, write(tmp_path, TEXT))
    shown = show(settings)
    assert shown.startswith("# book 1, published")
    assert parse_document(shown) == parse_document(TEXT)
    assert publish(settings, write(tmp_path, shown))[1] is False


@pytest.mark.parametrize("text", ["prices: [{id: a}]", "\udcff", "prices"])
def test_a_wrong_document_is_not_published(settings: Settings, registry: Registry, tmp_path: Path, text: str) -> None:
    path = tmp_path / "prices.yaml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(PriceDocumentError):
        publish(settings, path)
    with pytest.raises(PriceDocumentError, match="cannot be read"):
        publish(settings, tmp_path / "missing.yaml")
    assert registry.newest_prices() is None


def test_another_base_is_another_book(registry: Registry) -> None:
    epochs = [registry.publish_prices({}, base)[0].epoch for base in ("one", "one", "two", "one")]
    assert epochs == [1, 1, 2, 3]


def test_two_who_publish_at_once_get_numbers_of_their_own(registry: Registry) -> None:
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda n: registry.publish_prices({"n": n}, "base")[0].epoch, range(16)))
    assert sorted(made) == list(range(1, 17))


async def test_a_worker_takes_a_newer_book_and_keeps_its_token_counts(registry: Registry) -> None:
    shelf = PriceShelf(registry)
    before = shelf()
    assert (before.epoch, before("p", CALL, AT).total_cost) == (0, None)
    document = parse_document(TEXT).model_dump(mode="json", by_alias=True)
    registry.publish_prices(document, base_version())
    await shelf.refresh()
    after = shelf()
    assert (after.epoch, after("p", CALL, AT).price_id) == (1, "entry:mine")
    assert (before.epoch, before("p", CALL, AT).total_cost) == (0, None)  # a flush that has begun keeps its book
    await shelf.refresh()
    assert shelf() is after


async def test_a_book_that_cannot_be_read_leaves_the_last_one(registry: Registry) -> None:
    shelf = PriceShelf(registry)
    document = parse_document(TEXT).model_dump(mode="json", by_alias=True)
    registry.publish_prices(document, "another base")
    await shelf.refresh()
    registry.publish_prices({"prices": [{"of": "the future"}]}, base_version())
    await shelf.refresh()
    assert shelf().epoch == 1


async def test_a_registry_that_does_not_answer_leaves_the_last_one(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()

    def fails() -> None:
        loop.call_soon_threadsafe(asked.set)
        raise OperationalError("SELECT", {}, Exception("gone"))

    shelf = PriceShelf(registry, refresh_seconds=0.0)
    monkeypatch.setattr(registry, "newest_prices", fails)
    running = asyncio.create_task(shelf.run())
    async with asyncio.timeout(10):
        await asked.wait()
        asked.clear()
        await asked.wait()  # and it goes on asking
    assert not running.done()
    running.cancel()
    assert shelf().epoch == 0
