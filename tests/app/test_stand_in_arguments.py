"""Arguments by schema: whatever the schema, they are valid, or there are none."""

from typing import Any

import jsonschema_rs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis_jsonschema import from_schema

from app.stand_in.policy.arguments import Seen, fill
from app.stand_in.policy.facts import Asked

QUESTION = "How many orders of the Bolt M8 did Hamburg have between 2023 and 2025, with 12 pieces?"
ASKED = Asked.of(QUESTION)
SERIES = {"evidence_id": "E1", "label_column": "month", "value_column": "orders"}
SEEN = Seen({"id": ["A1", "B2"], "url": ["https://example.org/a"]}, [SERIES], "SELECT 1")

NAMES = st.sampled_from(["query", "id", "limit", "year", "start_date", "region", "sql", "series", "urls", "a", "flag"])
LEAVES = st.one_of(
    st.fixed_dictionaries(
        {"type": st.just("string")},
        optional={
            "enum": st.lists(st.sampled_from(["Hamburg", "Oslo", "all"]), min_size=1, unique=True),
            "format": st.sampled_from(["date", "date-time", "uri", "uuid"]),
            "maxLength": st.integers(1, 20),
            "minLength": st.integers(0, 5),
            "pattern": st.sampled_from([r"^[A-Z]\d$", r"^\w+$", "^$", r"\d{4}"]),
            "default": st.text(max_size=5),
        },
    ),
    st.fixed_dictionaries(
        {"type": st.sampled_from(["integer", "number"])},
        optional={"minimum": st.integers(-5, 50), "maximum": st.integers(-5, 50), "examples": st.just([3])},
    ),
    st.just({"type": "boolean"}),
    st.just({"type": ["string", "null"], "description": "a question in natural language"}),
    st.just({"const": 7}),
)
NODES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(lambda items, least: {"type": "array", "items": items, "minItems": least}, inner, st.integers(0, 2)),
        st.builds(lambda options: {"anyOf": options}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(
            lambda properties, extra: {
                "type": "object", "properties": properties, "required": [*properties][:extra],
                "additionalProperties": False,
            },
            st.dictionaries(NAMES, inner, max_size=3), st.integers(0, 3),
        ),
    ),
    max_leaves=6,
)  # fmt: skip


@given(properties=st.dictionaries(NAMES, NODES, max_size=5), required=st.integers(0, 5))
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_arguments_are_valid_or_absent(properties: dict[str, Any], required: int) -> None:
    schema = {"type": "object", "properties": properties, "required": [*properties][:required]}
    for arguments in fill(schema, ASKED, SEEN):
        jsonschema_rs.validate(schema, arguments)


KEYWORDS = st.sampled_from(["type", "properties", "required", "$ref", "enum", "a"])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYWORDS, inner),
)


@given(schema=ANYTHING)
@settings(deadline=None)
def test_what_is_no_schema_gives_no_failure(schema: Any) -> None:
    fill({"type": "object", "properties": {"a": schema}, "required": ["a"]}, ASKED, SEEN)


@given(schema=from_schema({"type": "object"}))
@settings(deadline=None, max_examples=30)
def test_any_object_as_a_schema_gives_no_failure(schema: dict[str, Any]) -> None:
    fill(schema, ASKED, SEEN)


@pytest.mark.parametrize(
    ("name", "schema", "wanted"),
    [
        ("query", {"type": "string", "description": "keywords"}, "orders Bolt M8 Hamburg 2023 2025 pieces"),
        ("question", {"type": "string"}, QUESTION),
        ("city", {"type": "string", "enum": ["Oslo", "Hamburg"]}, "Hamburg"),
        ("item", {"type": "string"}, "Bolt M8"),
        ("year", {"type": "integer"}, 2023),
        ("start_date", {"type": "string", "format": "date"}, "2023-01-01"),
        ("end_date", {"type": "string", "format": "date"}, "2025-12-31"),
        ("pieces", {"type": "integer"}, 12),
        ("horizon", {"type": "integer", "examples": [6]}, 6),
        ("order_id", {"type": "string"}, "A1"),
        ("page_url", {"type": "string", "format": "uri"}, "https://example.org/a"),
        ("statement", {"type": "string", "description": "one SELECT in SQL"}, "SELECT 1"),
        ("code", {"type": "string", "pattern": r"^[A-Z]\d$"}, "M8"),
        ("series", {"type": "object", "properties": {"evidence_id": {"type": "string"}, "label_column": {
            "type": "string"}, "value_column": {"type": "string"}, "points": {"type": "array"}}},
         SERIES),
    ],
)  # fmt: skip
def test_a_question_fills_what_it_names(name: str, schema: dict[str, Any], wanted: Any) -> None:
    found = fill({"type": "object", "properties": {name: schema}, "required": [name]}, ASKED, SEEN)
    assert found[0] == {name: wanted}


@pytest.mark.parametrize(
    ("name", "schema"),
    [("weight", {"type": "number"}), ("customer_id", {"type": "string"}), ("since", {"type": "string"})],
)
def test_nothing_is_made_up(name: str, schema: dict[str, Any]) -> None:
    parameters = {"type": "object", "properties": {name: schema}, "required": [name]}
    assert fill(parameters, Asked.of("How are bolts stored?"), Seen({})) == []


@pytest.mark.parametrize(("labels", "kind"), [("month", "line"), ("region", "bar")])
def test_a_chart_of_categories_has_no_lines(labels: str, kind: str) -> None:
    parameters = {"type": "object", "properties": {"kind": {"enum": ["line", "bar"]}}, "required": ["kind"]}
    assert fill(parameters, ASKED, Seen({}, [{**SERIES, "label_column": labels}]))[0] == {"kind": kind}


def test_what_is_optional_stays_away() -> None:
    parameters = {"type": "object", "properties": {"sort": {"type": "string"}, "deep": {"type": "boolean"}}}
    assert fill(parameters, ASKED, SEEN) == [{}]
