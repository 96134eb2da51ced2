"""Reading answers: every form of a whole one is read as what it is, and half of one is never read as anything."""

import contextlib
import json
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.base import AgentResult, Finding, ReportDraft, SupervisorDecision
from graphs.answers.reading import read
from graphs.errors import UnusableAnswer

WORDS = st.text(string.ascii_letters + string.digits + " .,:;-_%€'\"{}[]\\/\n你é", min_size=3, max_size=40)
FINDINGS = st.builds(
    Finding,
    claim=WORDS,
    value=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    unit=st.sampled_from(["EUR", "%", ""]),
    period=st.sampled_from(["2024", ""]),
    evidence=st.lists(st.sampled_from(["E1", "E2"]), max_size=2),
    confidence=st.sampled_from(["high", "medium", "low"]),
)
RESULTS = st.builds(AgentResult, findings=st.lists(FINDINGS, max_size=2), gaps=st.lists(WORDS, max_size=2))


def literal(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def trailing_commas(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + "".join(f"{literal(key)}: {trailing_commas(each)}," for key, each in value.items()) + "}"
    if isinstance(value, list) and value:
        return "[" + "".join(f"{trailing_commas(each)}," for each in value) + "]"
    return literal(value)


FORMS = {
    "as it is": literal,
    "fenced": lambda it: f"```json\n{literal(it)}\n```",
    "in prose": lambda it: f"Here it is:\n{literal(it)}\nDone.",
    "after a thought": lambda it: f'<think>or {{"findings": [], "gaps": []}}?</think>{literal(it)}',
    "in a string": lambda it: literal(literal(it)),
    "in an object": lambda it: literal({"AgentResult": it}),
    "as a call": lambda it: literal({"name": "AgentResult", "arguments": it}),
    "as a call in a string": lambda it: literal({"name": "AgentResult", "arguments": literal(it)}),
    "in a list": lambda it: literal([it]),
    "with more keys": lambda it: literal({**it, "mood": "good"}),
    "with trailing commas": trailing_commas,
    "as Python": repr,
}


@given(RESULTS, st.sampled_from(sorted(FORMS)))
def test_a_whole_answer_is_read_as_what_it_is(result: AgentResult, form: str) -> None:
    assert read(FORMS[form](result.model_dump(mode="json")), AgentResult, "a result") == result


@given(RESULTS, st.sampled_from(["as it is", "fenced", "with trailing commas", "as Python"]), st.data())
def test_half_an_answer_is_never_read(result: AgentResult, form: str, data: st.DataObject) -> None:
    whole = FORMS[form](result.model_dump(mode="json")).removesuffix("\n```")
    half = whole[: data.draw(st.integers(0, len(whole) - 1))]
    with pytest.raises(UnusableAnswer):
        read(half, AgentResult, "a result")


@given(st.text(max_size=300))
def test_any_text_is_read_or_refused(text: str) -> None:
    for model in (AgentResult, SupervisorDecision, ReportDraft):
        with contextlib.suppress(UnusableAnswer):
            read(text, model, "an answer")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 20_000, "(" * 50_000, "{" * 3000 + "}" * 3000, "`" * 9999])
def test_what_is_made_to_take_long_is_refused(text: str) -> None:
    with pytest.raises(UnusableAnswer):
        read(text, AgentResult, "a result")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "answered with nothing"),
        ("<think>hm</think>", "answered with nothing"),
        ("I would say so.", "answered in prose"),
        ('{"findings": [', "is incomplete or invalid"),
        ('{"findings": []}', "gaps: Field required"),
        ('{"findings": [], "gaps": "none"}', "gaps: Input should be a valid list"),
        ('{"findings": [], "gaps": []} or {"findings": [], "gaps": ["x"]}', "2 different answers"),
    ],
)
def test_what_is_wrong_is_said(text: str, told: str) -> None:
    with pytest.raises(UnusableAnswer, match=told):
        read(text, AgentResult, "a result")
