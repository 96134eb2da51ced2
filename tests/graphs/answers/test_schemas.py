"""Every schema that is sent keeps to OpenAI's documented rules for strict mode ("Structured Outputs", "Supported
schemas", as of 2026)."""

from typing import Any

import pytest
from pydantic import BaseModel

from agents import AGENTS
from agents.base import ReportDraft, SupervisorDecision
from app.stand_in.strict_mode import violations
from graphs.answers.schemas import response_format, strict
from graphs.nodes.specialist import AgentResult
from graphs.planning.plan import IDS, decision_for

Json = dict[str, Any]
NAMES = [agent.name for agent in AGENTS]
SENT: dict[str, type[BaseModel]] = {
    "the report": ReportDraft,
    "a decision": decision_for(NAMES, []),
    "a decision with all but one id taken": decision_for(NAMES, IDS[:-1]),
    "a decision with no id left": decision_for(NAMES, IDS),
    "a decision on a team of one": decision_for(NAMES[:1], []),
    "a result": AgentResult,
}


@pytest.mark.parametrize("name", SENT)
def test_strict_mode_takes_it(name: str) -> None:
    asked = response_format(SENT[name])["json_schema"]
    assert asked["strict"] is True
    assert violations(asked["schema"]) == []


def test_a_result_s_tool_has_the_same_schema() -> None:
    assert violations(AgentResult.model_json_schema()) == []


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"type": "string", "default": "x"}}},
        {"type": "object", "properties": {"a": {"type": "string", "maxLength": 3}}, "required": ["a"]},
        {"type": "object", "properties": {"a": {"type": "array", "uniqueItems": True, "items": {"type": "integer"}}}},
    ],
)
def test_what_it_does_not_take_is_left_out(schema: Json) -> None:
    assert violations(schema) != []
    assert violations(strict(schema)) == []


def test_a_plan_cannot_name_what_is_not_there() -> None:
    schema = response_format(decision_for(NAMES, ["T1", "T2"]))["json_schema"]["schema"]["$defs"]["Task"]["properties"]
    assert schema["agent"]["enum"] == NAMES
    assert schema["id"]["enum"] == list(IDS[2:14]), "as many as a decision may have"
    assert schema["depends_on"]["items"]["enum"] == ["T1", "T2", *IDS[2:14]]
    assert SupervisorDecision.__name__ == decision_for(NAMES, []).__name__
