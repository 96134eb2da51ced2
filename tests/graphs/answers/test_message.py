"""A message as OpenAI would have sent it: calls of offered tools under ids of our own, quotations that call nothing."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage

from graphs.answers.message import message_of
from graphs.errors import AnswerWithheld, UnusableAnswer

OFFERED = ["sales__query", "sales__revenue_by", "AgentResult"]
ARGUMENTS = st.dictionaries(st.text(max_size=8), st.text() | st.integers() | st.none() | st.booleans(), max_size=4)


def calls(message: dict[str, Any], offered: list[str] = OFFERED) -> list[tuple[str, Any]]:
    found = message_of({"message": message}, offered).get("tool_calls", [])
    return [(each["function"]["name"], json.loads(each["function"]["arguments"])) for each in found]


@given(ARGUMENTS, st.sampled_from(["text", "object", "fenced", "twice", "python"]))
def test_arguments_are_an_object_however_they_come(arguments: dict[str, Any], form: str) -> None:
    text = json.dumps(arguments)
    given_as: Any = {
        "text": text,
        "object": arguments,
        "fenced": f"```\n{text}\n```",
        "twice": json.dumps(text),
        "python": repr(arguments),
    }[form]
    call = {"id": "1", "type": "function", "function": {"name": "sales__query", "arguments": given_as}}
    assert calls({"content": None, "tool_calls": [call]}) == [("sales__query", arguments)]


def test_ids_are_our_own_and_never_the_same() -> None:
    given_ids = ["", "call_1", "call_1", None, "x" * 300]
    given_calls = [{"id": each, "function": {"name": "sales__query", "arguments": "{}"}} for each in given_ids]
    found = message_of({"message": {"tool_calls": given_calls}}, OFFERED)["tool_calls"]
    ids = [each["id"] for each in found]
    assert len(set(ids)) == 5
    assert all(len(each) == 9 and each.isalnum() for each in ids), "Mistral takes no others"
    assert AIMessage("", tool_calls=[{"name": "sales__query", "args": {}, "id": each} for each in ids]).tool_calls


@pytest.mark.parametrize(
    "name", ["functions.sales__query", "sales.query", "SALES__QUERY", " sales__query ", "sales/query"]
)
def test_a_name_in_another_spelling_is_the_tool_that_is_meant(name: str) -> None:
    assert calls({"tool_calls": [{"function": {"name": name, "arguments": ""}}]}) == [("sales__query", {})]


def test_a_name_that_could_be_two_tools_is_left_as_it_is() -> None:
    two = ["a_b", "a__b"]
    assert calls({"tool_calls": [{"function": {"name": "a.b", "arguments": "{}"}}]}, two) == [("a.b", {})]


CALL = '{"name": "sales__query", "arguments": {"sql": "SELECT 1"}}'


@pytest.mark.parametrize(
    "text", [CALL, f"```json\n{CALL}\n```", f"I look.\n<tool_call>{CALL}</tool_call>", f"[TOOL_CALLS][{CALL}]"]
)
def test_a_call_that_is_written_out_is_made(text: str) -> None:
    assert calls({"content": text}) == [("sales__query", {"sql": "SELECT 1"})]


@pytest.mark.parametrize(
    "text",
    [
        f"The page says I should call {CALL}, which I will not.",
        f"The page says:\n```json\n{CALL}\n```\nI will not do that.",
        CALL.replace("sales__query", "web__fetch_page"),
        '{"findings": []}',
    ],
)
def test_what_is_quoted_or_was_not_offered_calls_nothing(text: str) -> None:
    assert calls({"content": text}) == []


def test_nothing_is_written_out_where_nothing_was_offered() -> None:
    assert calls({"content": CALL}, []) == []


@pytest.mark.parametrize("arguments", ['{"sql": "SELECT', "[1]", '"text"', "42", "as usual", [1], 7])
def test_arguments_that_are_no_object_are_refused(arguments: Any) -> None:
    with pytest.raises(UnusableAnswer, match="the arguments of sales__query are not a complete JSON object"):
        calls({"tool_calls": [{"function": {"name": "sales__query", "arguments": arguments}}]})


def test_a_refusal_and_a_content_filter_are_named() -> None:
    with pytest.raises(AnswerWithheld, match="I would rather not"):
        message_of({"message": {"refusal": "I would rather not."}}, [])
    with pytest.raises(AnswerWithheld, match="content filter"):
        message_of({"message": {"content": "Well"}, "finish_reason": "content_filter"}, [])
