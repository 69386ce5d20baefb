"""How rules are applied: precedence, what is merged, what stays, and that the tables are sound."""

from decimal import Decimal
from typing import Any

from pipeline.events.mapping import resolve
from pipeline.events.mapping.explain import rule_name
from pipeline.events.mapping.rule import FIELDS, IGNORE, MERGED, WITHHOLD
from pipeline.events.mapping.table import MAPPERS, RULES, concerned
from pipeline.events.model import Kind
from pipeline.events.otlp.events import span_events
from pipeline.events.otlp.span import Span
from tests.fixtures.otlp import span_of


def fields_of(span: Span) -> Any:
    """The fields of the span's observation."""
    (observation,) = [event for event in span_events("p", span) if event.kind is Kind.OBSERVATION]
    return observation.fields


def test_every_rule_sets_a_field_that_there_is() -> None:
    assert {ranked.rule.field for ranked in RULES} <= FIELDS
    assert len({mapper.name for mapper in MAPPERS}) == len(MAPPERS)


def test_no_rule_is_written_twice() -> None:
    rules = [(ranked.mapper, ranked.rule.field, ranked.rule.source) for ranked in RULES]
    assert [rule for rule in set(rules) if rules.count(rule) > 1 and rule[1] not in ("input", "output", "name")] == []


def test_an_attribute_cannot_pass_for_another_source() -> None:
    for name in ("span", "resource:service.version", "event:exception", "field:model", "gen_ai.usage.*"):
        assert all(rest for _, rest in concerned(name)), name


def test_a_value_that_its_rule_cannot_read_stays_in_the_metadata_and_the_next_rule_is_asked() -> None:
    fields = fields_of(
        span_of(
            {
                "langfuse.observation.cost_details": '{"input": -1}',
                "langfuse.observation.completion_start_time": "yesterday",
                "gen_ai.usage.cost": 0.5,
                "langfuse.observation.prompt.version": "one",
            }
        )
    )
    assert fields["cost"] == {"total": Decimal("0.5")}
    assert set(fields["metadata"]["attributes"]) == {
        "langfuse.observation.cost_details",
        "langfuse.observation.completion_start_time",
        "langfuse.observation.prompt.version",
    }


def test_precedence_is_the_order_of_the_tables_and_not_of_the_attributes() -> None:
    said = {"gen_ai.request.model": "c", "llm.model_name": "b", "langfuse.observation.model.name": "a"}
    for attributes in (said, dict(reversed(said.items()))):
        resolved = resolve(span_of(attributes))
        assert resolved.fields["model"] == "a"
        assert [rule_name(rank) for rank in resolved.origins["model"]] == ["langfuse: langfuse.observation.model.name"]


def test_fields_that_are_merged_take_every_rule_s_word() -> None:
    resolved = resolve(span_of({"langfuse.trace.tags": ["a"], "tag.tags": '["b"]', "langfuse.tags": "c, d"}))
    assert resolved.fields["tags"] == ["a", "c", "d", "b"]
    assert len(resolved.origins["tags"]) == 3
    assert not {WITHHOLD, IGNORE} & MERGED
