"""From what a front door tells to its row in `edge_counts`."""

import msgspec

from pipeline.events.edge_counts import Publication
from pipeline.events.model import Record
from pipeline.events.reasons import DecodeError, Reason
from pipeline.store.retention import DEFAULT_DAYS, Kind, expiry
from pipeline.store.rows import EdgeCountRow

_DECODER = msgspec.json.Decoder(Publication)


def edge_count_row(record: Record, days: int = DEFAULT_DAYS[Kind.LEDGER]) -> EdgeCountRow:
    """The row of a record of the topic of edge counts, kept so many `days`. Raises DecodeError where it is none."""
    try:
        told = _DECODER.decode(record.value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DecodeError(Reason.MALFORMED, f"no counts of a front door: {error}") from None
    values = msgspec.structs.astuple(told)
    if len({len(each) for each in values[4:]}) != 1:
        raise DecodeError(Reason.INVALID, "the lists of counts differ in length")
    return EdgeCountRow(*(*values, expiry(told.published_at, days)))
