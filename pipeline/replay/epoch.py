"""The epoch under which rows are made anew, and the book that it stands for.

Rows made anew need a higher epoch than those they replace, and workers must have it, too: then a row that a worker
writes meanwhile, made from more events, wins over the one made here. So the newest price document is published once
more. Workers look for a new book every few seconds; after TAKEN_SECONDS they all have it.
"""

import time
from datetime import UTC, datetime

from pipeline.cost.base import base_version
from pipeline.cost.book import PriceBook
from pipeline.cost.document import EMPTY, check_document
from pipeline.cost.price import ObservationPricer
from pipeline.errors import SpanfoldError
from pipeline.registry import PublishedPrices, Registry


class StaleEpochError(SpanfoldError):
    """Prices were published since the rows were made."""


def newest_epoch(registry: Registry) -> int:
    """The epoch that workers have, or will have within seconds; 0 before anything was published."""
    newest = registry.newest_prices()
    return newest.epoch if newest else 0


def raise_epoch(registry: Registry, note: str) -> int:
    """Publish what holds under the next epoch."""
    newest = registry.newest_prices()
    document = check_document(newest.document) if newest else EMPTY
    plain = document.model_dump(mode="json", by_alias=True)
    published, _ = registry.publish_prices(plain, base_version(), note=note, again=True)
    return published.epoch


def wait_until_taken(registry: Registry, seconds: float) -> None:
    """Return once the newest book has been out for so long."""
    newest: PublishedPrices | None = registry.newest_prices()
    if newest is not None:
        age = (datetime.now(UTC) - newest.published_at).total_seconds()
        time.sleep(max(seconds - age, 0))


def pricer(registry: Registry, epoch: int) -> ObservationPricer:
    """Prices by the newest book, under this epoch."""
    newest = registry.newest_prices()
    return ObservationPricer(PriceBook(check_document(newest.document) if newest else EMPTY, epoch=epoch))
