"""The supervisor is not asked what is known already, and is asked whatever is not."""

import pytest

from agents import AGENTS
from tests.graphs.research import Run, invoked, once, started
from tests.scripted_model import Json, Script, assign, finding, gap_after_looking, quoting, result, revenue, task

WHOLE = {"then": "report"}


async def test_a_whole_plan_that_found_everything_leads_to_the_report(graph: Run) -> None:
    script = Script(once({**assign(task(1, "sales")), **WHOLE}), revenue, quoting)
    async with graph(script) as research:
        ended = await invoked(research, started())
    assert (ended["status"], ended["stop_reason"]) == ("completed", "answered")
    assert len(script.asked("SupervisorDecision")) == 1


async def test_a_plan_that_is_to_be_continued_is_asked_for_again(graph: Run) -> None:
    script = Script(once(assign(task(1, "sales"))), revenue, quoting)
    async with graph(script) as research:
        await invoked(research, started())
    assert len(script.asked("SupervisorDecision")) == 2


def false(packet: Json, messages: list[Json]) -> Json:
    found = revenue(packet, messages)
    return found if messages[-1]["role"] != "tool" else result(finding("Revenue was EUR 1.", "E1"))


def in_part(packet: Json, messages: list[Json]) -> Json:
    return (gap_after_looking if packet["task"]["id"] == "T2" else revenue)(packet, messages)


@pytest.mark.parametrize("work", [gap_after_looking, false, in_part], ids=["a gap", "no finding stood", "a gap in one"])
async def test_what_was_not_found_is_for_the_supervisor_to_decide(graph: Run, work: object) -> None:
    plan = {**assign(task(1, "sales"), task(2, "sales")), **WHOLE}
    script = Script(once(plan), work, quoting)  # type: ignore[arg-type]
    async with graph(script) as research:
        await invoked(research, started())
    assert len(script.asked("SupervisorDecision")) == 2


async def test_an_agent_begins_with_what_it_is_briefed_with(graph: Run) -> None:
    """No model is asked for a call that is made in any case. The result is evidence, but of no use to other agents."""
    given: list[Json] = []

    def working(packet: Json, messages: list[Json]) -> Json:
        given.append(packet)
        return revenue(packet, messages)

    plan = {**assign(task(1, "sales"), task(2, "sales", "T1")), **WHOLE}
    script = Script(once(plan), working, quoting)
    async with graph(script, agents=AGENTS) as research:
        ended = await invoked(research, started())
    [_, _, asked, briefed] = script.requests[1]["messages"]
    assert [each["function"]["name"] for each in asked["tool_calls"]] == ["sales__describe_schema"]
    assert "revenue_eur" in briefed["content"]
    assert ended["evidence"]["E1"]["tool"] == "describe_schema"
    assert ended["status"] == "completed"
    assert len(script.requests) == ended["used"]["model_calls"] == 6, "a plan, two turns for each task, a report"
    assert [each["tool"] for each in given[-1]["evidence"]] == ["revenue_by"]


async def test_an_agent_whose_briefing_is_not_to_be_had_begins_by_itself(graph: Run) -> None:
    lost = tuple(each.model_copy(update={"briefing": ("sales.describe_it",)}) for each in AGENTS)
    script = Script(once({**assign(task(1, "sales")), **WHOLE}), revenue, quoting)
    async with graph(script, agents=lost) as research:
        ended = await invoked(research, started())
    assert [each["role"] for each in script.requests[1]["messages"]] == ["system", "user"]
    assert ended["status"] == "completed"
