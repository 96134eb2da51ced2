"""What a model reads of tools: shorter, with all that may be passed."""

import json
from typing import Any

import jsonschema_rs
import pytest

from app.stand_in.schema_walk import in_full
from app.stand_in.wire import FunctionSpec
from graphs.answers.schemas import brief

SERIES: dict[str, Any] = {
    "type": "object",
    "title": "Series",
    "additionalProperties": False,
    "properties": {
        "evidence_id": {"anyOf": [{"type": "string", "maxLength": 20}, {"type": "null"}], "default": None},
        "title": {"type": "string", "title": "Title", "description": "a property may be named so"},
        "where": {"anyOf": [{"type": "object"}, {"type": "string"}, {"type": "null"}], "default": None},
        "level": {"type": "integer", "default": 95},
        "value": {"anyOf": [{"type": "number"}, {"type": "null"}]},
    },
    "required": ["title", "value"],
}


def tool(name: str, **properties: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": [*properties]}
    return {"type": "function", "function": {"name": name, "description": "d", "parameters": parameters}}


def parameters_of(shown: dict[str, Any]) -> Any:
    return shown["function"]["parameters"]["properties"]


def test_what_says_nothing_is_left_out() -> None:
    [shown] = brief([tool("a__growth", series=SERIES)])
    assert parameters_of(shown)["series"] == {
        "type": "object",
        "properties": {
            "evidence_id": {"type": "string"},
            "title": {"type": "string", "description": "a property may be named so"},
            "where": {"anyOf": [{"type": "object"}, {"type": "string"}]},
            "level": {"type": "integer", "default": 95},
            "value": {"anyOf": [{"type": "number"}, {"type": "null"}]},
        },
        "required": ["title", "value"],
    }


@pytest.mark.parametrize(
    "arguments",
    [
        {"title": "x", "value": 1, "level": 3, "evidence_id": "E1", "where": {"a": 1}},
        {"title": "x", "value": None, "where": "all"},
    ],
)
def test_what_its_server_takes_is_still_allowed(arguments: dict[str, Any]) -> None:
    [shown] = brief([tool("a__growth", series=SERIES)])
    assert jsonschema_rs.is_valid(SERIES, arguments)
    assert jsonschema_rs.is_valid(parameters_of(shown)["series"], arguments)


def test_a_parameter_is_told_once_and_the_stand_in_knows_where() -> None:
    described = {**SERIES, "description": "what to compute on"}
    other = {**SERIES, "required": ["title"]}
    shown = brief([tool("a__growth", series=SERIES), tool("a__cagr", series=described), tool("a__other", series=other)])
    again = {"type": "object", "description": "what to compute on; as `series` of a__growth"}
    assert parameters_of(shown[1])["series"] == again
    assert "properties" in parameters_of(shown[2])["series"], "another schema under the same name is told in full"
    first, second, _ = in_full([FunctionSpec(**each["function"]) for each in shown])
    assert second.parameters == first.parameters
    assert len(json.dumps(shown)) < 0.7 * len(json.dumps([tool("a__growth", series=SERIES)] * 3))


@pytest.mark.parametrize("odd", [None, [], "x", {"properties": []}, {"properties": {"a": "b"}, "anyOf": 3, "items": 7}])
def test_what_is_no_schema_stays_as_it_is(odd: Any) -> None:
    given = {"type": "function", "function": {"name": "a__b", "description": "", "parameters": {"x": odd}}}
    assert brief([given]) == [given]
    assert brief([tool("a__b", odd=odd)]) == [tool("a__b", odd=odd)]
