"""Questions about many entities whose ids are as long as ids may be: the server is told to read so long a text."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from clickhouse_connect.driver.binding import bind_query
from clickhouse_connect.driver.client import Client

from pipeline.audit import stored
from pipeline.audit.contents import KINDS, Expected, _stored
from pipeline.audit.examine import AT_ONCE
from pipeline.evaluate.requests import EvaluationRequest, Rule
from pipeline.evaluate.scoring import portions, read_subjects
from pipeline.events.keys import MAX_ID_LENGTH
from pipeline.ops.ledger.read import archived_anywhere
from pipeline.store import lookups

OWN_LIMIT = 262_144  # bytes, of a server that is told nothing; a query's own SETTINGS come too late for it
NAMES = [("p", f"{number:0{MAX_ID_LENGTH}}".replace("0", "😀")) for number in range(2_000)]


class Asked:
    """A client that keeps each question as it is sent, and whether its text is within the limit that goes with it."""

    def __init__(self) -> None:
        self.fit: list[bool] = []

    def query(self, query: str, *, parameters: Any, settings: Any = None, **_: Any) -> Any:
        text, _bound = bind_query(query, parameters)
        self.fit.append(len(text if isinstance(text, bytes) else text.encode()) < _limit(settings))
        return SimpleNamespace(result_rows=[], named_results=list)

    def query_rows_stream(self, query: str, **options: Any) -> Any:
        self.query(query, **options)
        return _Nothing()


class _Nothing:
    """A stream of no rows."""

    source = SimpleNamespace(summary={"query_id": "some-query"})

    def __enter__(self) -> Iterator[Any]:
        return iter(self)

    def __exit__(self, *_: object) -> None:
        pass

    def __iter__(self) -> Iterator[Any]:
        return iter(())


def _limit(settings: dict[str, int] | None) -> int:
    return (settings or {}).get("max_query_size", OWN_LIMIT)


def _requests() -> list[EvaluationRequest]:
    rule = Rule("r", "name", "has_errors", {}, 1.0)
    return [EvaluationRequest(project, trace, 1, 0, rule) for project, trace in NAMES]


QUESTIONS: dict[str, Callable[[Any], object]] = {
    "what evaluators see": lambda client: [read_subjects(client, some) for some in portions(_requests())],
    "the events of traces": lambda client: list(lookups.read_back(client, NAMES)),
    "the events of observations": lambda client: list(
        lookups.read_back_observations(client, NAMES[0], [id_ for _, id_ in NAMES])
    ),
    "the audit's rows": lambda client: stored.read(client, "events", NAMES[:AT_ONCE]),
    "the audit's contents": lambda client: list(
        _stored(client, KINDS[0], dict.fromkeys(NAMES[:AT_ONCE], Expected(0, 0, None)))
    ),
    "what the ledger misses": lambda client: archived_anywhere(client, NAMES),
}


@pytest.mark.parametrize("about", QUESTIONS)
def test_a_question_about_the_longest_ids_is_one_that_the_server_reads(
    about: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "stored_now", lambda _client, _topic: [])
    client: Client = Asked()  # type: ignore[assignment]
    QUESTIONS[about](client)
    assert client.fit  # type: ignore[attr-defined]
    assert all(client.fit)  # type: ignore[attr-defined]
