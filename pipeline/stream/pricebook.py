"""The price book of this worker: the newest that the registry has published, looked for now and then.

Call it for the pricer that holds now; a flush takes one and uses it throughout, so no row mixes two books. A new book
is in use everywhere `prices_refresh` plus one flush after it was published, where the registry answers: `spanfold
reprice` and `replay` wait for longer than that.
"""

import asyncio

import structlog

from pipeline.cost.base import base_version
from pipeline.cost.book import PriceBook
from pipeline.cost.document import PriceDocumentError, check_document
from pipeline.cost.price import ObservationPricer
from pipeline.cost.tokens import TokenCounter
from pipeline.registry import PublishedPrices, Registry
from pipeline.stream.registry_book import REFRESH_SECONDS, RegistryBook

log = structlog.get_logger(__name__)


class PriceShelf(RegistryBook):
    """Call it for the pricer of the newest book that is known here."""

    name = "prices"

    def __init__(self, registry: Registry, refresh_seconds: float = REFRESH_SECONDS) -> None:
        super().__init__(registry, refresh_seconds)
        self.counter = TokenCounter()
        self._pricer = ObservationPricer(PriceBook(), self.counter)

    def __call__(self) -> ObservationPricer:
        """The pricer that holds now."""
        return self._pricer

    async def refresh(self) -> None:
        """Look for a newer book once, and take it."""
        published = await asyncio.to_thread(self._registry.newest_prices)
        if published is None or published.epoch <= self._pricer.epoch:
            return
        if published.base != base_version():
            log.warning("prices_on_another_base", epoch=published.epoch, theirs=published.base, ours=base_version())
        book = await asyncio.to_thread(_book, published)
        if book is not None:
            self._pricer = ObservationPricer(book, self.counter)
            log.info("prices_taken", epoch=book.epoch)


def _book(published: PublishedPrices) -> PriceBook | None:
    """None, and a line in the log, for a document that this version cannot read: the last known book stays."""
    try:
        return PriceBook(check_document(published.document), epoch=published.epoch)
    except PriceDocumentError as error:
        log.error("prices_not_readable", epoch=published.epoch, error=str(error))
        return None
