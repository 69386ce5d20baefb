"""Every worked example in docs/folding.md is true: of the fold, in every order of arrival, and of the oracle."""

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from itertools import islice, permutations
from pathlib import Path
from typing import Any

import orjson
import pytest

from pipeline.events.canonical import parse_canonical_json
from pipeline.events.keys import event_identity
from tests.oracle.event_set import Known
from tests.oracle.fold import Views, views
from tests.oracle.folded import PRICE, FoldedTraces

Json = dict[str, Any]

PAGE = (Path(__file__).parents[2] / "docs" / "folding.md").read_text("utf-8")
BLOCKS = re.findall(r"```json (\w+)\n(.*?)```", PAGE, re.DOTALL)
EXAMPLES = [
    (json.loads(events), json.loads(rows, parse_float=Decimal))
    for (_, events), (_, rows) in zip(BLOCKS[::2], BLOCKS[1::2], strict=True)
]
ORDERS = 720  # all orders of six events
SECTIONS = {"trace": "traces", "observations": "observations", "scores": "scores"}


def known(number: int, body: Json) -> Known:
    """An event of the page, completed as the page says. `deleted` has no wire format: it is put in afterwards."""
    body = {"project_id": "p", "trace_id": "t", "event_id": f"e{number}"} | body
    raw = orjson.dumps(body)
    event = parse_canonical_json(raw)
    if body.get("deleted"):
        fields = event.fields.copy()
        fields["deleted"] = True
        event = event._replace(fields=fields)
    return Known(event, event_identity(event.event_id, raw))


def shown(found: Views, section: str) -> dict[str, Json]:
    """The rows of a section by the name that the page gives them: the row's id, outside of trace t TRACE/ID."""
    names = {key: key[2] if len(key) > 2 else "t" for key in found[SECTIONS[section]]}
    rows = found[SECTIONS[section]].items()
    return {names[key] if key[1] in ("t", "") else f"{key[1]}/{names[key]}": row for key, row in rows}


def check(found: Views, expected: Json) -> None:
    for section, rows in expected.items():
        if section == "trace":
            rows = {"t": rows}
        real = shown(found, section)
        assert real.keys() == rows.keys()
        for id_, columns in rows.items():
            assert {name: plain(real[id_][name]) for name in columns} == columns


def plain(value: Any) -> Any:
    """Numbers as the page writes them."""
    return Decimal(str(value)) if isinstance(value, float) else value


def orders(events: list[Known]) -> Iterator[list[Known]]:
    """All orders of few events, of many events some; one event, or all of them, come again."""
    for order in islice(permutations(events), ORDERS):
        yield [*order, order[0]]
        yield [*reversed(order), *order]


def split_version(expected: Json) -> tuple[Json, int | None]:
    """The trace's version apart from what the rows say: the oracle does not know it."""
    trace = dict(expected.get("trace", {}))
    version = trace.pop("row_version", None)
    return expected | ({"trace": trace} if trace else {}), version


def test_the_page_has_examples_in_pairs() -> None:
    assert len(EXAMPLES) >= 15
    assert {name for name, _ in BLOCKS[::2]} == {"events"}
    assert {name for name, _ in BLOCKS[1::2]} == {"rows"}
    assert PAGE.count("```json") == len(BLOCKS)


@pytest.mark.parametrize(("events", "expected"), EXAMPLES)
def test_the_fold_gives_the_rows_of_the_page(events: list[Json], expected: Json) -> None:
    expected, version = split_version(expected)
    for order in orders([known(number, body) for number, body in enumerate(events, 1)]):
        for each_time in (False, True):
            traces = FoldedTraces()
            for offset, each in enumerate(order):
                traces.take(each, offset)
                if each_time:
                    traces.write()
            traces.write()
            check(traces.views(), expected)
            if version is not None:
                assert traces.table.rows["traces", ("p", "t")].version == version


@pytest.mark.parametrize(("events", "expected"), EXAMPLES)
def test_the_oracle_agrees_with_the_page(events: list[Json], expected: Json) -> None:
    check(views([known(number, body) for number, body in enumerate(events, 1)], PRICE), split_version(expected)[0])
