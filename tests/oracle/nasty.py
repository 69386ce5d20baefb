"""Event sets that try to break the fold: few ids, few times and few values, so that everything meets everything.

An event is a handful of small draws, each from a list, because that is fast and shrinks to something readable.
"""

from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from pipeline.events.keys import event_identity
from pipeline.events.model import Event, Kind, Micros
from tests.oracle.event_set import Known

LONG = "ö" * 800  # as long as an id may be
AT = 1_700_000_000_000_000
TIMES = st.sampled_from([0, 1, 1, 2, 3, 4, 10**9, -1]).map(lambda micros: Micros(AT + micros))
IDS = st.sampled_from([*(f"e{number}" for number in range(24)), "E1", "é", "", LONG])
NAMES = ["", "a", "b", "ünï", "a"]
FLAGS = [True, False]
LEVELS = ["DEBUG", "DEFAULT", "WARNING", "ERROR"]
MOMENTS = [AT - 5, AT, AT + 1, AT + 2, AT + 2000]
METADATA: list[dict[str, Any]] = [
    {}, {"a": None}, {"a": 1}, {"a": "x", "b": 1.5}, {"a": {}}, {"a": {"x": 1}}, {"a": {"x": 2, "y": [1, None]}},
    {"a": {"x": {"z": 1}}}, {"a": {"x": {}}}, {"a": {"x": None, "y": 3}}, {"a": {"x": {"z": None}}}, {"b": {"": True}},
    {"a": [1], "b": None}, {"a": {"x": {"z": 2, "w": 0}}, "b": ""}, {"ключ": {"a": {"a": {"a": "深"}}}}, {"a": False},
]  # fmt: skip
TAGS = [[], ["red"], ["green", "red"], ["blue", "blue"], [""]]
USAGE: list[dict[str, int]] = [
    {}, {"input": 1}, {"input": 1, "output": 2}, {"output": 2, "input": 1, "total": 3}, {"prompt_tokens": 1},
    {"total": 7}, {"input": 1, "total": 9}, {"unheard_of": 4}, {"input": 0},
]  # fmt: skip
COST = [
    {},
    {"total": Decimal("0.1")},
    {"input": Decimal("0.000000000001"), "output": Decimal(2)},
    {"total": Decimal(0)},
]
MODELS = ["gpt-4o", "gpt-4o", "claude-3-5-sonnet-20241022", "nobody-knows-me", ""]


def _opinions(**values: list[Any]) -> list[tuple[str, Any]]:
    """(field, value) pairs, each field as often as any other."""
    most = max(len(some) for some in values.values())
    return [(name, some[number % len(some)]) for number in range(most) for name, some in values.items()]


_CARRIED: dict[str, list[Any]] = {
    "user_id": NAMES, "session_id": NAMES, "release": NAMES, "tags": TAGS, "public": FLAGS, "version": NAMES,
    "environment": ["default", "live", ""], "metadata": METADATA, "input": NAMES, "output": NAMES, "name": NAMES,
    "start_time": MOMENTS,
}  # fmt: skip
_SPAN: dict[str, list[Any]] = {
    "trace_name": NAMES, "type": ["SPAN", "GENERATION", "EVENT"], "type_provisional": ["EVENT", "GENERATION"],
    "end_time": MOMENTS, "completion_start_time": MOMENTS, "level": LEVELS, "status_message": NAMES, "model": MODELS,
    "usage": USAGE, "cost": COST, "model_parameters": ["", "{}"], "prompt_name": NAMES, "prompt_version": [1, 2],
    "tool_calls": [[], ["f"], ["g", "f"]],
}  # fmt: skip
_SCORE: dict[str, list[Any]] = {
    "name": NAMES, "comment": NAMES, "metadata": METADATA, "environment": ["default", "live"], "evaluator": NAMES,
}  # fmt: skip
_VALUES: list[dict[str, Any]] = [
    {"data_type": "NUMERIC", "value": 0.5, "string_value": ""},
    {"data_type": "NUMERIC", "value": 0.0, "string_value": ""},
    {"data_type": "BOOLEAN", "value": 1.0, "string_value": "True"},
    {"data_type": "CATEGORICAL", "string_value": "good"},
    {"data_type": "TEXT", "string_value": ""},
]
OBSERVATIONS = ["o1", "o2", "o3", "o4", "o5", "ø", LONG]
PARENTS = [*OBSERVATIONS, *OBSERVATIONS, "", "elsewhere"]
TOMBSTONE = ("deleted", True)
_NOT_ON_THE_WIRE = [("parent_observation_id", ""), ("model_parameters", "")]


@st.composite
def _fields(draw: st.DrawFn, opinions: list[tuple[str, Any]], most: int) -> dict[str, Any]:
    return dict(draw(st.lists(st.sampled_from(opinions), max_size=most)))


def as_sent(event: Event) -> Event:
    """The event with what a producer could not send left out or mended: empty ids, a score without a name or value."""
    fields: Any = {name: value for name, value in event.fields.items() if (name, value) not in _NOT_ON_THE_WIRE}
    if "deleted" in fields:
        return event._replace(event_id=event.event_id or "e0", fields={"deleted": True}, derived_trace=False)
    if event.kind is Kind.SCORE and not fields.get("name"):
        fields["name"] = "quality"
    if event.kind is Kind.SCORE and "data_type" not in fields:
        fields |= _VALUES[0]
    return event._replace(event_id=event.event_id or "e0", fields=fields, derived_trace=False)


def known(kind: Kind, trace: str, entity: str, event_id: str, at: Micros, fields: Any, derived: bool = False) -> Known:
    """An event whose bytes are what it says."""
    event = Event("p", trace, kind, entity, event_id, at, fields, True, derived)
    return Known(event, event_identity(event_id, repr(event).encode()))


def _events(kind: Kind, entities: list[str], fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Known]:
    derived = st.sampled_from([False] * 15 + [True])
    return st.builds(known, st.just(kind), st.just("t"), st.sampled_from(entities), IDS, TIMES, fields, derived)


def _with_parent(fields: dict[str, Any], parent: str | None) -> dict[str, Any]:
    return fields if parent is None else fields | {"parent_observation_id": parent}


def trace_events(features: frozenset[str]) -> st.SearchStrategy[Known]:
    """What trace events say, deletion included where that is a feature."""
    opinions = _fields(_opinions(**_CARRIED), 4)
    tombstones = [st.just(dict([TOMBSTONE]))] if "tombstones" in features else []
    return _events(Kind.TRACE, ["t"], st.one_of(opinions, opinions, opinions, *tombstones))


def span_events(entities: list[str], most: int = 6) -> st.SearchStrategy[Known]:
    """What observations say, half of them with a parent."""
    parents = st.sampled_from([None, *PARENTS])
    return _events(
        Kind.OBSERVATION, entities, st.builds(_with_parent, _fields(_opinions(**_CARRIED, **_SPAN), most), parents)
    )


def score_events(features: frozenset[str]) -> st.SearchStrategy[Known]:
    """Scores that are scored again, with other types too."""
    tombstones: list[dict[str, Any]] = [{"deleted": True}] if "tombstones" in features else []
    fields = st.builds(
        lambda value, more: value | more, st.sampled_from(_VALUES + tombstones), _fields(_opinions(**_SCORE), 3)
    )
    return _events(Kind.SCORE, ["s1", "s2", LONG], fields)


def any_traces(features: frozenset[str]) -> st.SearchStrategy[list[Known]]:
    """One trace of every kind of event."""
    spans = span_events(OBSERVATIONS)
    return st.lists(st.one_of(trace_events(features), spans, spans, score_events(features)), min_size=1, max_size=12)


def crowded_observations() -> st.SearchStrategy[list[Known]]:
    """Many events of few observations: what one event said is hidden, uncovered and forgotten."""
    return st.lists(span_events(["o1", "o2"]), min_size=10, max_size=30)


def tangled_trees() -> st.SearchStrategy[list[Known]]:
    """Little but parent links, times and money: circles, several roots, orphans, parents that change."""
    shape = {name: _SPAN[name] for name in ("usage", "cost", "model", "level", "end_time")} | {"start_time": MOMENTS}
    fields = st.builds(_with_parent, _fields(_opinions(**shape), 3), st.sampled_from(PARENTS))
    return st.lists(_events(Kind.OBSERVATION, OBSERVATIONS, fields), min_size=2, max_size=16)


def scattered_attributes() -> st.SearchStrategy[list[Known]]:
    """A trace's attributes on a few spans, seldom on the trace itself: whose word counts, the root's or the newest."""
    of_trace = {name: _CARRIED[name] for name in ("user_id", "tags", "version", "environment", "public", "name")}
    opinions = _opinions(**of_trace, trace_name=NAMES)
    parents = st.sampled_from([None, None, "o1", "o2"])
    spans = _events(Kind.OBSERVATION, ["o1", "o2", "o3"], st.builds(_with_parent, _fields(opinions, 3), parents))
    of_trace_alone = _events(Kind.TRACE, ["t"], _fields(_opinions(**of_trace), 2))
    return st.lists(st.one_of(spans, spans, spans, of_trace_alone), min_size=2, max_size=7)


def deep_chains() -> st.SearchStrategy[list[Known]]:
    """A chain longer than a path is kept, with one link that may be missing or run back."""
    return st.builds(_chain, st.integers(99, 130), st.integers(0, 129), st.sampled_from(["", "c0", "c7", "elsewhere"]))


def _chain(length: int, odd: int, odd_parent: str) -> list[Known]:
    parents = ["", *(f"c{number}" for number in range(length - 1))]
    if odd < length:
        parents[odd] = odd_parent
    return [
        known(Kind.OBSERVATION, "t", f"c{number}", f"e{number}", Micros(AT + number), {
            "parent_observation_id": parent, "model": "gpt-4o", "usage": {"input": number},
        })
        for number, parent in enumerate(parents)
    ]  # fmt: skip


def neighbours(features: frozenset[str]) -> st.SearchStrategy[list[Known]]:
    """Several traces and projects that use the same ids, and groups of scores that have no trace."""
    homes = st.sampled_from([("p", "t"), ("p", "u"), ("q", "t"), ("p", LONG)])
    moved = st.builds(
        _moved, st.one_of(trace_events(features), span_events(["o1", "o2"]), score_events(features)), homes
    )
    grouped = st.builds(_grouped, score_events(features), st.sampled_from(["session:x", "run:x"]))
    return st.lists(st.one_of(moved, moved, grouped), min_size=1, max_size=12)


def _moved(each: Known, home: tuple[str, str]) -> Known:
    project_id, trace_id = home
    entity = trace_id if each.event.kind is Kind.TRACE else each.event.entity_id
    event = each.event._replace(project_id=project_id, trace_id=trace_id, entity_id=entity)
    return Known(event, event_identity(event.event_id, repr(event).encode()))


def _grouped(each: Known, group: str) -> Known:
    """A score of a session or a run, under an id that others use as well."""
    prefix, _, id_ = group.partition(":")
    fields: Any = {**each.event.fields, {"session": "session_id", "run": "dataset_run_id"}[prefix]: id_}
    event = each.event._replace(trace_id=group, fields=fields)
    return Known(event, event_identity(event.event_id, repr(event).encode()))
