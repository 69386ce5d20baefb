"""From a record of the dead-letter topic to its row in `dead_letters_rows`.

Rule: what a record's own producer wrote into headers of our names was taken out when the letter was made, so the
headers of a letter are ours. A record without them was put into the topic by somebody else: it gets a row all the same,
`unlabelled`, with its place in the dead-letter topic as its origin.
Failure: none; a record whose bytes are in the table already (too large for the topic) gives no row.
"""

from collections.abc import Callable

from pipeline.events import headers
from pipeline.events.model import Headers, Record
from pipeline.events.reasons import Reason
from pipeline.store.dead_letter_rows import DeadLetterRow
from pipeline.store.retention import DEFAULT_DAYS, Kind, expiry
from pipeline.stream.deadletters import MOST_ATTEMPTS, DeadLetter, number

_UINT32, _UINT64 = 2**32 - 1, 2**64 - 1
_DAY = 86_400_000_000  # microseconds; a clock that is further ahead is wrong
IN_TABLE = b"table"

Until = Callable[[str, int], int]
"""When a letter of a project that failed at a time (microseconds) may leave, in seconds since the epoch."""


def by_default(_project_id: str, failed_at: int) -> int:
    """For who does not know what projects say."""
    return expiry(failed_at, DEFAULT_DAYS[Kind.DEAD_LETTERS])


def dead_letter_row(letter: Record, until: Until = by_default) -> DeadLetterRow | None:
    """The row of a record of the dead-letter topic."""
    kept = dict(letter.headers).get(headers.DEAD_KEPT) == IN_TABLE
    return None if kept else _row(letter, until)


def row_of(letter: DeadLetter) -> DeadLetterRow:
    """The row of a letter that is not sent; `spanfold retention apply` gives it what its project says."""
    return _row(letter.record._replace(headers=tuple(letter.headers()), timestamp=letter.at), by_default)


def _row(letter: Record, until: Until) -> DeadLetterRow:
    said, latest = dict(letter.headers), letter.timestamp + _DAY
    labelled = headers.DEAD_REASON in said and headers.DEAD_TOPIC in said
    own = tuple(each for each in letter.headers if not labelled or not each[0].startswith(headers.DEAD_PREFIX))
    project_id = project_of(letter.key, own)
    failed_at = number(said.get(headers.DEAD_LAST), letter.timestamp, latest) if labelled else letter.timestamp
    return DeadLetterRow(
        topic=_text(said.get(headers.DEAD_TOPIC)) if labelled else letter.topic,
        partition=_place(said.get(headers.DEAD_PARTITION), _UINT32) if labelled else letter.partition,
        offset=_place(said.get(headers.DEAD_OFFSET), _UINT64) if labelled else letter.offset,
        timestamp=number(said.get(headers.DEAD_TIMESTAMP), letter.timestamp, latest) if labelled else letter.timestamp,
        project_id=project_id,
        reason=_text(said.get(headers.DEAD_REASON)) if labelled else Reason.UNLABELLED.value,
        stage=_text(said.get(headers.DEAD_STAGE)),
        detail=_text(said.get(headers.DEAD_DETAIL)),
        key=letter.key,
        value=letter.value,
        header_names=[name for name, _ in own],
        header_values=[value for _, value in own],
        attempts=number(said.get(headers.DEAD_ATTEMPTS), 1, MOST_ATTEMPTS),
        first_failed_at=number(said.get(headers.DEAD_FIRST), failed_at, latest),
        failed_at=failed_at,
        replay_of=_text(said.get(headers.REPLAY_OF)),
        code_version=_text(said.get(headers.DEAD_VERSION)),
        expires_at=until(project_id, failed_at),
    )


def project_of(key: bytes | None, named: Headers) -> str:
    """The project by the record's header, else by its key (PROJECT/TRACE); '' where neither tells."""
    project = next((value for name, value in named if name == headers.PROJECT and value), b"")
    if not project and key and b"/" in key:
        project = key.partition(b"/")[0]
    return _text(project)


def _text(value: bytes | None) -> str:
    return (value or b"").decode(errors="replace")


def _place(value: bytes | None, most: int) -> int:
    return number(value, 0, most)
