"""An escalation in LangChain's clients: what they show, and what each of their buttons means."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from graphs.planning.decision import DECISION, Abort, ApproveMore, FinishPartial, Redirect, decided, escalation
from graphs.planning.review import Review, choice, review
from graphs.spending.limits import Limits
from graphs.spending.spend import Spend
from graphs.state import Halt, ResearchState
from tests.graphs.planning.clients import chat_sends, chat_shows, inbox_sends, inbox_shows
from tests.graphs.planning.test_decision import CEILING, state

MONEY = st.integers(0, 10_000_000)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "note"]), inner),
    max_leaves=6,
)
KINDS = st.sampled_from(["approve", "edit", "reject", "respond", "accept", "response", "ignore", "other", None])
ARGUMENTS = st.fixed_dictionaries({}, optional={"amount_usd": JSON, "note": JSON, "more": JSON})
NAMES = st.sampled_from(["approve_more", "redirect", "finish_partial", "abort", "other"])
ACTIONS = st.fixed_dictionaries({}, optional={"action": NAMES, "name": NAMES, "args": ARGUMENTS}) | JSON
DECISIONS = st.fixed_dictionaries(
    {"type": KINDS}, optional={"args": ACTIONS, "edited_action": ACTIONS, "message": JSON, "more": JSON}
)


def paused(spent: int = 1100, budget: int = 1000, needed: int | None = None) -> ResearchState:
    job = state()
    job["used"] = Spend(micro_usd=spent).model_dump()
    job["limits"] = Limits(budget_micro_usd=max(1, budget)).model_dump()
    job["halted"] = None if needed is None else Halt(reason="budget_reached", detail="", needed_micro_usd=needed)
    return job


@given(MONEY, MONEY, st.none() | MONEY, MONEY, st.booleans())
def test_every_button_that_a_client_shows_is_a_decision_that_is_accepted(
    spent: int, budget: int, needed: int | None, ceiling: int, older: bool
) -> None:
    job, used, most = paused(spent, budget, needed), Spend(micro_usd=spent), Limits(budget_micro_usd=max(1, ceiling))
    question = escalation(job, most)
    value = json.loads(json.dumps(review(question)))
    inbox, chat = inbox_shows(value, older=older), chat_shows(value)
    assert inbox["action_request"] == {"action": chat["name"], "args": chat["args"]}
    goes_on = question["least_amount_usd"] <= question["most_amount_usd"]
    amount = chat["args"].get("amount_usd")

    def means(answer: object) -> object:
        return decided(job, used, choice(answer, question), most)

    approved = ApproveMore(amount_usd=amount) if goes_on else FinishPartial()
    assert means(inbox_sends(inbox, "accept")) == means(chat_sends(chat, "approve")) == approved
    assert means(chat_sends(chat, "reject", "too dear")) == (FinishPartial() if goes_on else Abort())
    for text, meant in {"abort": Abort(), " finish_partial\n": FinishPartial()}.items():
        assert means(chat_sends(chat, "reject", text)) == meant
    if older:
        assert means(inbox_sends(inbox, "ignore")) == FinishPartial()
    if goes_on:
        least = {"amount_usd": f"{question['least_amount_usd']:.6f}"}
        assert means(inbox_sends(inbox, "edit", edits=least)) == ApproveMore(amount_usd=question["least_amount_usd"])
        redirected = Redirect(note="only Italy", amount_usd=amount)
        assert means(chat_sends(chat, "edit", edits={"note": "only Italy"})) == redirected
        assert means(inbox_sends(inbox, "response", "only Italy")) == redirected
        assert means({"decisions": [{"type": "respond", "message": "only Italy"}]}) == redirected
        assert means(inbox_sends(inbox, "response", "abort")) == Abort()
        assert means(inbox_sends(inbox, "edit", edits={"note": "abort"})) == Abort()


@given(DECISIONS, st.sampled_from([lambda one: [one], lambda one: {"decisions": [one]}, lambda one: one]))
def test_whatever_a_client_sends_is_a_choice_or_is_refused(one: Any, enclosed: Any) -> None:
    question = escalation(state(), CEILING)
    try:
        chosen = choice(enclosed(one), question)
    except ValueError:
        return
    try:
        decision = DECISION.validate_python(chosen)
    except ValidationError:
        return
    if one["type"] in {"reject", "ignore"}:
        assert isinstance(decision, FinishPartial | Abort), "it adds money"
    if one["type"] == "approve":
        assert decision == ApproveMore(amount_usd=0.1)


@pytest.mark.parametrize("answer", [[], [{"type": "accept", "args": None}] * 2, {"decisions": []}, ["yes"], [None]])
def test_not_exactly_one_decision_is_refused(answer: Any) -> None:
    with pytest.raises(ValueError, match=r"one decision is needed|it is no complete"):
        choice(answer, escalation(state(), CEILING))


@pytest.mark.parametrize("answer", ["yes", None, 1, {}, {"action": "abort"}])
def test_any_other_form_is_left_to_our_own(answer: Any) -> None:
    assert choice(answer, escalation(state(), CEILING)) is None


def test_its_fields_stand_beside_our_own_and_no_argument_is_null() -> None:
    question = escalation(state(), CEILING)
    assert not set(Review.__annotations__) & set(question)
    assert set(review(question)) == set(Review.__annotations__)
    assert None not in review(question)["action_requests"][0]["args"].values()


def test_words_of_others_are_harmless_in_the_description() -> None:
    job = paused()
    job["question"] = "# Look\n![x](https://evil.example/?q=1) <script>"
    described = review(escalation(job, CEILING))["description"]
    assert "Question: \\# Look !\\[x]\\(https[:]//evil.example/?q=1) &lt;script>" in described
