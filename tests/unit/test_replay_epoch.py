"""The epoch of a replay: always the next one, on the prices that hold; refused where others came in between."""

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.config import Settings
from pipeline.cost.base import base_version
from pipeline.cost.document import parse_document
from pipeline.events.model import Fields, Micros
from pipeline.registry import Registry, open_registry
from pipeline.replay.epoch import StaleEpochError, newest_epoch, pricer, raise_epoch, wait_until_taken
from pipeline.replay.runs import Run
from pipeline.replay.swap import _publish

TEXT = "prices: [{id: mine, match: my-model, per_million: {input: 1}}]"
CALL = Fields(model="my-model", usage={"input": 1_000_000})


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    made = open_registry(Settings(data_dir=tmp_path).registry)
    yield made
    made.close()


def publish(registry: Registry, text: str = TEXT) -> int:
    plain = parse_document(text).model_dump(mode="json", by_alias=True)
    return registry.publish_prices(plain, base_version())[0].epoch


def test_the_next_epoch_stands_on_the_prices_that_hold(registry: Registry) -> None:
    assert newest_epoch(registry) == 0
    assert raise_epoch(registry, "first") == newest_epoch(registry) == 1
    assert publish(registry) == 2
    assert raise_epoch(registry, "again") == 3
    newest = registry.newest_prices()
    assert newest is not None
    assert (newest.note, newest.document["prices"][0]["id"]) == ("again", "mine")
    price = pricer(registry, 9)
    assert (price.epoch, price("p", CALL, Micros(1)).total_cost) == (9, 1)


def test_a_document_that_says_the_same_goes_on_standing_where_it_was(registry: Registry) -> None:
    publish(registry)
    raise_epoch(registry, "replay")
    assert publish(registry) == 2  # as re-pricing asks for it: under the epoch of the replay


def test_workers_get_their_time_from_the_moment_of_publishing(registry: Registry) -> None:
    began = time.monotonic()
    wait_until_taken(registry, 5.0)  # nothing was published: nothing to take
    assert time.monotonic() - began < 2
    raise_epoch(registry, "replay")
    wait_until_taken(registry, 0.3)
    assert time.monotonic() - began >= 0.3


def place(registry: Registry) -> Any:
    return SimpleNamespace(registry=registry)


def test_a_swap_publishes_the_epoch_of_its_rows_once(registry: Registry) -> None:
    publish(registry)
    run = Run("shadow", "[]", 0, epoch=2)
    _publish(place(registry), run)
    assert newest_epoch(registry) == 2
    _publish(place(registry), run)  # given again after it was broken off
    assert newest_epoch(registry) == 2


@pytest.mark.parametrize("changes", [{"epoch": 1}, {"epoch": 3}, {"epoch": 2, "code": "0.0.0"}])
def test_a_swap_of_rows_on_another_book_or_by_other_code_is_refused(
    registry: Registry, changes: dict[str, Any]
) -> None:
    publish(registry)
    with pytest.raises(StaleEpochError, match="--restart"):
        _publish(place(registry), Run("shadow", "[]", 0, **changes))
    assert newest_epoch(registry) == 1
