"""An insert is done when ClickHouse says so: an answer of somebody between is none, however friendly its status."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from clickhouse_connect.driver.summary import QuerySummary

from pipeline.store.insert import Inserter
from pipeline.store.retry import Backoff
from pipeline.store.tables import RAW_EVENTS
from tests.fixtures.store import raw_event_row


class Answering:
    """A client whose requests are answered with these headers' summaries, one after the other."""

    def __init__(self, answers: Sequence[dict[str, Any]]) -> None:
        self.answers = list(answers)

    def raw_insert(self, *_: Any, **__: Any) -> QuerySummary:
        return QuerySummary(self.answers.pop(0))


STORED = {"written_rows": "1", "query_id": "some-query"}


@pytest.mark.parametrize("good", [STORED, {"query_id": "some-query"}, {"written_rows": "1", "query_id": ""}])
def test_an_answer_that_is_not_of_clickhouse_stores_nothing_and_is_tried_again(good: dict[str, Any]) -> None:
    """A proxy's page of maintenance with status 200 has none of ClickHouse's headers."""
    client: Any = Answering([{"query_id": ""}, {"query_id": ""}, good])
    told: list[str] = []
    inserter = Inserter(client, backoff=Backoff(0.001, 0.001), on_retry=lambda table, error, _: told.append(str(error)))
    assert asyncio.run(inserter.insert(RAW_EVENTS, [raw_event_row("e")], "token")) == []
    inserter.close()
    assert (client.answers, len(told)) == ([], 2)
    assert "not of ClickHouse" in told[0]
