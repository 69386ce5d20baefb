"""NaN and Infinity are not JSON, but some parsers take them and some writers write them.

Problem: what one parser of the way accepts and the next refuses (ClickHouse, a client that reads the row) is lost late.
Rule: an event that holds such a literal is refused where it arrives. Cost: a search for two words in most events; only
where one is found, as a text may well say "NaN", a strict parser decides.
Failure: DecodeError, MALFORMED.
"""

import msgspec

from pipeline.events.reasons import DecodeError, Reason

_STRICT = msgspec.json.Decoder(msgspec.Raw)


def check_literals(raw: bytes) -> None:
    """Raise DecodeError where `raw` holds NaN or Infinity outside of a string."""
    if b"NaN" not in raw and b"Infinity" not in raw:
        return
    try:
        _STRICT.decode(raw)
    except (msgspec.DecodeError, RecursionError) as error:
        raise DecodeError(Reason.MALFORMED, f"JSON has no NaN and no Infinity: {error}") from None
