"""`spanfold prices`: publish a price document, show the one that holds.

A document is published as a whole, under the next epoch, and never changes afterwards. Workers take it within seconds;
rows that were written before keep their cost until `spanfold reprice`.
"""

from contextlib import closing
from pathlib import Path

import yaml

from pipeline.config import Settings
from pipeline.cost.base import base_version
from pipeline.cost.document import PriceDocumentError, parse_document
from pipeline.registry import PublishedPrices, open_registry


def publish(settings: Settings, path: Path, note: str = "") -> tuple[PublishedPrices, bool]:
    """Publish a file; False beside it where the newest says the same. Raises PriceDocumentError, RegistryError."""
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise PriceDocumentError(f"{path} cannot be read: {error.strerror}.", remedy="Check the path.") from error
    except UnicodeDecodeError as error:
        raise PriceDocumentError(f"{path} is not UTF-8: {error.reason}.", remedy="Check the file.") from error
    document = parse_document(text)
    with closing(open_registry(settings.registry)) as registry:
        return registry.publish_prices(document.model_dump(mode="json", by_alias=True), base_version(), note=note)


def show(settings: Settings) -> str:
    """The newest document as YAML, with its epoch; it can be edited and published again."""
    with closing(open_registry(settings.registry)) as registry:
        newest = registry.newest_prices()
    if newest is None:
        return f"# book 0, on {base_version()}: nothing was published\n"
    head = f"# book {newest.epoch}, published {newest.published_at:%Y-%m-%d %H:%M:%S} UTC, on {newest.base}\n"
    return head + yaml.safe_dump(_without_defaults(newest.document), sort_keys=False, allow_unicode=True)


def _without_defaults(value: object) -> object:
    if isinstance(value, dict):
        made = {key: _without_defaults(item) for key, item in value.items()}
        return {key: item for key, item in made.items() if item not in (None, "", [], {})}
    return [_without_defaults(item) for item in value] if isinstance(value, list) else value
