"""What is learned from refusals: the words of real servers, one after the other; never a request without a bound."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphs.answers.dialect import LIMITS, Dialect
from graphs.answers.refusals import refusal_in
from graphs.answers.written import FUNCTIONS, RETURNED, SCHEMA

Json = dict[str, Any]
SCHEMA_OF_AN_ANSWER = {"type": "object", "properties": {"a": {"type": "string"}}}
ANSWER: Json = {
    "model": "m",
    "messages": [{"role": "system", "content": "You plan."}, {"role": "user", "content": "Plan."}],
    "max_completion_tokens": 8192,
    "temperature": 0.2,
    "service_tier": "default",
    "parallel_tool_calls": False,
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "Plan", "strict": True, "schema": SCHEMA_OF_AN_ANSWER},
    },
}
PARAMETERS = {
    "type": "object",
    "properties": {"q": {"$ref": "#/$defs/Q"}},
    "$defs": {"Q": {"type": "string", "default": "x"}},
}
CALL = {"id": "abcdefghi", "type": "function", "function": {"name": "look", "arguments": '{"q": "x"}'}}
AGENT: Json = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "You look."},
        {"role": "user", "content": "Look."},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "abcdefghi", "content": "E1\nfound"},
    ],
    "max_completion_tokens": 8192,
    "tools": [{"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": PARAMETERS}}],
    "tool_choice": "required",
}


def openai(message: str, param: str | None = None) -> Json:
    return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": None}}


def mistral(field: str) -> Json:
    return {"object": "error", "message": {"detail": [{"type": "extra_forbidden", "loc": ["body", field]}]}}


def gemini(field: str, where: str = "") -> list[Json]:
    said = f'Invalid JSON payload received. Unknown name "{field}"{where}: Cannot find field.'
    return [{"error": {"code": 400, "message": said, "status": "INVALID_ARGUMENT"}}]


NO_LIMIT = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
AT = " at 'tools[0].function_declarations[0].parameters'"
OLD_VLLM = "[{'type': 'extra_forbidden', 'loc': ('body', 'service_tier'), 'msg': 'Extra inputs are not permitted'}]"
WORDS: dict[str, tuple[int, Any]] = {
    "limit": (400, openai(NO_LIMIT, "max_tokens")),
    "limit at Azure": (400, openai("Unrecognized request argument supplied: max_completion_tokens")),
    "limit at Mistral": (422, mistral("max_completion_tokens")),
    "temperature": (400, openai("Unsupported value: 'temperature' does not support 0.2 with this model.")),
    "parallel": (400, openai("Unsupported parameter: 'parallel_tool_calls' is not supported with this model.")),
    "tier at old vLLM": (400, {"object": "error", "message": OLD_VLLM}),
    "tier at Gemini": (400, gemini("service_tier")),
    "most": (400, openai("max_tokens is too large: 8192. This model supports at most 4096 completion tokens.")),
    "most at DeepSeek": (400, openai("Invalid max_tokens value, the valid range of max_tokens is [1, 2048]")),
    "most at Groq": (400, openai("`max_tokens` must be less than or equal to `4096`, the maximum value")),
    "most at Anthropic": (400, openai("max_tokens: 8192 > 4096, which is the maximum allowed number of output tokens")),
    "schema": (400, openai("This response_format type is unavailable now")),
    "no tools at Ollama": (400, openai("registry.ollama.ai/library/gemma3:4b does not support tools")),
    "no tools at llama.cpp": (500, {"error": {"code": 500, "message": "tools param requires --jinja flag"}}),
    "no tools at vLLM": (400, openai('"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser')),
    "no tools at OpenRouter": (404, {"error": {"code": 404, "message": "No endpoints found that support tool use."}}),
    "forced": (404, {"error": {"code": 404, "message": "No endpoints found that support the 'tool_choice' value."}}),
    "forced at LM Studio": (400, {"error": "Invalid tool_choice type: 'object'. Supported string values: none, auto"}),
    "strict": (400, openai("Unknown parameter: 'response_format.json_schema.strict'.")),
    "keyword": (400, gemini("default", AT)),
    "references": (400, gemini("$defs", AT)),
    "grammar": (400, openai("Failed to initialize samplers: failed to parse grammar")),
    "signature": (400, [{"error": {"code": 400, "message": "Function call is missing a thought_signature."}}]),
}  # fmt: skip


def taught(dialect: Dialect, asked: Json, *names: str) -> Json:
    for name in names:
        status, body = WORDS[name]
        assert dialect.learns(refusal_in(status, json.dumps(body).encode(), {}), dialect.spoken(asked)), name
    return dialect.spoken(asked)


@pytest.mark.parametrize(
    ("asked", "names", "expected"),
    [
        (ANSWER, ["limit"], {"max_completion_tokens": 8192}),
        (ANSWER, ["temperature"], {"temperature": None, "max_tokens": 8192}),
        (ANSWER, ["parallel", "tier at Gemini"], {"parallel_tool_calls": None, "service_tier": None}),
        (ANSWER, ["tier at old vLLM"], {"service_tier": None}),
        (ANSWER, ["most"], {"max_tokens": 4096}),
        (ANSWER, ["most", "most at DeepSeek"], {"max_tokens": 2048}),
        (ANSWER, ["most at Groq"], {"max_tokens": 4096}),
        (ANSWER, ["most at Anthropic"], {"max_tokens": 4096}),
        (AGENT, ["forced"], {"tool_choice": "auto"}),
        (ANSWER, ["schema", "forced at LM Studio"], {"response_format": None, "tool_choice": "auto"}),
    ],
)
def test_the_next_request_is_as_the_server_wants_it(asked: Json, names: list[str], expected: Json) -> None:
    said = taught(Dialect(), asked, *names)
    assert {key: said.get(key) for key in expected} == expected


def test_the_newer_name_of_the_limit_is_given_up_where_it_is_refused() -> None:
    for name in ("limit at Azure", "limit at Mistral"):
        said = taught(Dialect(limit="max_completion_tokens"), ANSWER, name)
        assert {limit: said.get(limit) for limit in LIMITS} == {"max_tokens": 8192, "max_completion_tokens": None}


def test_a_server_that_refuses_both_names_of_the_limit_is_asked_for_nothing_without_one() -> None:
    dialect = Dialect()
    taught(dialect, ANSWER, "limit")
    status, body = WORDS["limit at Azure"]
    assert not dialect.learns(refusal_in(status, json.dumps(body).encode(), {}), dialect.spoken(ANSWER))
    assert dialect.spoken(ANSWER)[dialect.limit] == 8192


def test_a_schema_becomes_a_tool_and_then_a_part_of_the_prompt() -> None:
    dialect = Dialect()
    as_tool = taught(dialect, ANSWER, "schema")
    assert as_tool["tools"][0]["function"]["parameters"] == SCHEMA_OF_AN_ANSWER
    assert as_tool["tool_choice"]["function"]["name"] == "Plan"
    in_prompt = taught(dialect, ANSWER, "no tools at Ollama")
    assert "tools" not in in_prompt
    assert json.loads(in_prompt["messages"][0]["content"].partition(SCHEMA)[2]) == {
        "title": "Plan",
        **SCHEMA_OF_AN_ANSWER,
    }
    assert in_prompt["messages"][1:] == ANSWER["messages"][1:]


@pytest.mark.parametrize("name", [each for each in WORDS if each.startswith("no tools")])
def test_tools_are_written_out_where_there_are_none(name: str) -> None:
    said = taught(Dialect(), AGENT, name)
    assert not {"tools", "tool_choice"} & said.keys()
    system, user, assistant, answer = said["messages"]
    assert json.loads(system["content"].partition(FUNCTIONS)[2])[0]["name"] == "look"
    assert json.loads(assistant["content"]) == {"name": "look", "arguments": {"q": "x"}}
    assert (user["role"], answer) == ("user", {"role": "user", "content": f"{RETURNED}E1\nfound"})
    assert said["response_format"]["json_schema"]["schema"]["anyOf"][0]["properties"]["name"]["enum"] == ["look"]


def test_keywords_that_a_server_does_not_know_are_left_out_and_references_put_in_their_place() -> None:
    said = taught(Dialect(), AGENT, "keyword", "references")
    parameters = {"type": "object", "properties": {"q": {"type": "string"}}}
    assert said["tools"][0]["function"]["parameters"] == parameters


def test_sizes_are_left_out_wherever_they_make_a_grammar_too_large() -> None:
    sized = {"type": "array", "items": {"type": "string", "maxLength": 9}, "maxItems": 2000}
    function = {"name": "look", "parameters": {"type": "object", "properties": {"pattern": sized}}}
    asked = {**AGENT, "tools": [{"type": "function", "function": function}]}
    plain = {"type": "object", "properties": {"pattern": {"type": "array", "items": {"type": "string"}}}}
    offered = taught(Dialect(), asked, "grammar")
    assert offered["tools"][0]["function"]["parameters"] == plain
    written = taught(Dialect(), asked, "no tools at Ollama", "grammar")
    [call] = written["response_format"]["json_schema"]["schema"]["anyOf"]
    assert call["properties"]["arguments"] == plain


def test_calls_of_the_past_are_signed_where_that_is_wanted() -> None:
    said = taught(Dialect(), AGENT, "signature")
    assert said["messages"][2]["tool_calls"][0]["extra_content"]["google"]["thought_signature"]


def test_what_was_asked_stays_as_it_was() -> None:
    before = json.dumps([ANSWER, AGENT])
    dialect = Dialect()
    for status, body in WORDS.values():
        for asked in (ANSWER, AGENT):
            dialect.learns(refusal_in(status, json.dumps(body).encode(), {}), dialect.spoken(asked))
            dialect.spoken(asked)
    assert json.dumps([ANSWER, AGENT]) == before


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, openai("Invalid 'messages[0].content': string too long.", "messages[0].content")),
        (400, openai("The model 'm' does not exist", "model")),
        (401, openai("Incorrect API key; temperature is not supported", "temperature")),
        (400, "Bad Request"),
    ],
)
def test_what_names_nothing_that_can_go_teaches_nothing(status: int, body: Any) -> None:
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    assert not Dialect().learns(refusal_in(status, raw, {}), Dialect().spoken(ANSWER))


@given(st.lists(st.sampled_from(sorted(WORDS)), max_size=60), st.sampled_from(["answer", "agent"]))
def test_learning_comes_to_an_end_and_every_request_has_a_bound(names: list[str], which: str) -> None:
    asked, dialect, learned = {"answer": ANSWER, "agent": AGENT}[which], Dialect(), 0
    for name in names:
        status, body = WORDS[name]
        learned += dialect.learns(refusal_in(status, json.dumps(body).encode(), {}), dialect.spoken(asked))
        said = dialect.spoken(asked)
        assert [limit for limit in LIMITS if limit in said] == [dialect.limit]
        assert 0 < said[dialect.limit] <= 8192
    assert learned <= 20
