"""Price documents, each published under a number of its own. They are kept here; what they say is pipeline.cost's."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.registry.entities import PublishedPrices
from pipeline.registry.models import PriceBookRow


def as_published(row: PriceBookRow) -> PublishedPrices:
    """The frozen value of a row."""
    return PublishedPrices(row.epoch, row.document, row.base, row.note, row.published_at)


def newest_prices(session: Session) -> PublishedPrices | None:
    """The document published last; None before the first."""
    row = session.scalars(select(PriceBookRow).order_by(PriceBookRow.epoch.desc()).limit(1)).one_or_none()
    return as_published(row) if row else None


def prices_of(session: Session, epoch: int) -> PublishedPrices | None:
    """The document of an epoch; None where there is none."""
    row = session.get(PriceBookRow, epoch)
    return as_published(row) if row else None


def publish_prices(
    session: Session, document: Mapping[str, Any], base: str, note: str, again: bool
) -> tuple[PublishedPrices, bool]:
    """The newest document, and whether it is new: what equals the newest on the same base is not, unless `again`."""
    newest = newest_prices(session)
    if newest is not None and not again and newest.base == base and dict(newest.document) == dict(document):
        return newest, False
    row = PriceBookRow(epoch=newest.epoch + 1 if newest else 1, document=dict(document), base=base, note=note)
    session.add(row)
    session.flush()
    return as_published(row), True
