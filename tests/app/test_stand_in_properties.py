"""Whatever is asked, in whatever script: a valid answer, never a failure."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from agents.base import AgentResult, ReportDraft, SupervisorDecision
from app.stand_in.embeddings import vector
from app.stand_in.roles import reply_to
from app.stand_in.schema_walk import minimal_instance
from app.stand_in.wire import ChatRequest

SCHEMAS: dict[str, type[BaseModel]] = {each.__name__: each for each in (SupervisorDecision, AgentResult, ReportDraft)}
VOCABULARY = (
    "revenue Bolt's in Germany France Japan 2024 2019 by channel month and the market of used cars forecast "
    "next 6 months compare with top five customers \"Model 1\" share ' ; -- E1 [E2] growth Q3 | # % Nut's why"
)
WORDS = st.sampled_from(VOCABULARY.split())
QUESTIONS = st.one_of(st.text(max_size=300), st.lists(WORDS, max_size=25).map(" ".join))
AGENTS = [{"name": "sales", "does": "Our own revenue."}, {"name": "reader", "does": "Reads what others wrote."}]
TOOLS = ["sales__describe_schema", "knowledge_base__search", "analytics__growth"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


def said(schema: str, content: str, tools: list[str], results: tuple[str, ...] = ()) -> dict[str, Any]:
    """The role's answer, after each of the given tool results."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
    offered = [{"type": "function", "function": {"name": name, "parameters": {}}} for name in tools]
    wanted = {"type": "json_schema", "json_schema": {"name": schema, "schema": {}}}
    for text in (*results, ""):
        request = {"model": "m", "messages": messages, "tools": offered, "response_format": wanted}
        reply = reply_to(ChatRequest.model_validate(request))
        if reply.refusal:  # of a language that it cannot read: an answer, too, in words
            return {"findings": [], "gaps": [reply.refusal]}
        if not reply.calls:
            answer: dict[str, Any] = json.loads(reply.text)
            return answer
        calls = [
            {"id": str(index), "function": {"name": call.name, "arguments": json.dumps(call.arguments)}}
            for index, call in enumerate(reply.calls)
        ]
        messages.append({"role": "assistant", "tool_calls": calls})
        messages += [{"role": "tool", "tool_call_id": call["id"], "content": text} for call in calls]
    return {"findings": [], "gaps": []}


@pytest.mark.parametrize("schema", SCHEMAS)
@given(question=QUESTIONS)
@settings(deadline=None)
def test_any_question_gets_a_valid_answer(schema: str, question: str) -> None:
    packet = {"question": question, "task": {"id": "T1", "objective": question}, "gaps": [question]}
    SCHEMAS[schema].model_validate(said(schema, json.dumps(packet), []))


@given(question=QUESTIONS, result=st.text(max_size=200), tool=st.sampled_from(TOOLS))
@settings(deadline=None)
def test_any_tool_result_is_survived(question: str, result: str, tool: str) -> None:
    packet = json.dumps({"question": question, "task": {"id": "T1", "objective": question}})
    results = (f"E1\n{result}", f"E2\n# t\ncountry,year,revenue_eur\n{result}", result)
    AgentResult.model_validate(said("AgentResult", packet, [tool, "sales__revenue_by", "sales__query"], results))


@given(question=QUESTIONS)
@settings(deadline=None)
def test_a_plan_never_waits_for_itself(question: str) -> None:
    decision = SupervisorDecision.model_validate(
        said("SupervisorDecision", json.dumps({"question": question, "agents": AGENTS, "tasks": []}), [])
    )
    ids = [task.id for task in decision.tasks]
    assert decision.tasks
    assert len(ids) == len(set(ids))
    for index, task in enumerate(decision.tasks):
        assert set(task.depends_on) <= set(ids[:index])


@pytest.mark.parametrize("schema", SCHEMAS)
@given(packet=JSON)
@settings(deadline=None)
def test_any_json_is_a_packet(schema: str, packet: Any) -> None:
    SCHEMAS[schema].model_validate(said(schema, json.dumps(packet), []))


@given(text=st.text(max_size=200), dimensions=st.integers(8, 512))
@settings(deadline=None)
def test_vectors_have_length_one(text: str, dimensions: int) -> None:
    found = vector(text, dimensions)
    assert len(found) == dimensions
    assert sum(each * each for each in found) == pytest.approx(1)


@given(schema=JSON.filter(lambda value: isinstance(value, dict)))
@settings(deadline=None)
def test_any_schema_has_an_instance_or_none(schema: dict[str, Any]) -> None:
    json.dumps(minimal_instance(schema))
    json.dumps(minimal_instance({"type": "object", "properties": {"a": schema}, "required": ["a"]}))


def test_a_schema_that_refers_to_itself_ends() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]}
    assert json.dumps(minimal_instance(node)).count("next") < 20
