"""What a job still does with the last of its budget: it gives what it found, and writes its report."""

import re

from graphs.spending.limits import CEILING, Limits
from tests.graphs.research import Run, invoked, once, started
from tests.scripted_model import Json, Script, assign, call, finding, quoting, result, task

LAST = "This is your last turn"


def endless(packet: Json, messages: list[Json]) -> Json:
    """One more query at each turn, as long as there are tools; then what the queries gave."""
    if LAST not in str(messages[-1]["content"]):
        return call("sales__query", sql=f"SELECT {len(messages)} AS amount, 'of the turn' AS what")
    told = [each["content"] for each in messages if each["role"] == "tool"]
    ids = [re.findall(r"E\d+", each)[0] for each in told]
    return result(*(finding("There was an amount.", each) for each in ids[:5]))


def _counted(request: Json) -> Json:
    """As many tokens as a provider would count, of the prompt and of an answer of usual length."""
    size = len(str(request["messages"])) + len(str(request.get("tools", "")))
    return {"prompt_tokens": size // 4, "completion_tokens": 150, "total_tokens": size // 4 + 150}


async def test_an_agent_whose_money_ends_gives_what_it_found_and_the_report_is_written(graph: Run) -> None:
    script = Script(once(assign(task(1, "sales"))), endless, quoting, usage=_counted)
    budget = 12_000
    async with graph(script) as research:
        ended = await invoked(research, started(budget_micro_usd=budget, on_limit="finish_partial"))
    assert LAST in str([each["messages"] for each in script.requests if "response_format" not in each][-1])
    assert len(ended["findings"]) == 5
    assert {each["status"] for each in ended["findings"].values()} == {"verified"}
    assert ended["report"]["by_code"] is False
    assert budget / 2 < ended["used"]["micro_usd"] <= budget


async def test_a_turn_that_turns_out_too_dear_is_followed_by_a_last_one(graph: Run) -> None:
    """Its answer is cut, and there is no money to ask for a longer one."""

    def cut(request: Json) -> Json:
        looked = [each["role"] for each in request["messages"]].count("tool")
        is_cut = looked == 2 and LAST not in str(request["messages"])
        return {**_counted(request), **({"completion_tokens": request["max_tokens"]} if is_cut else {})}

    script = Script(once(assign(task(1, "sales"))), endless, quoting, usage=cut)
    async with graph(script) as research:
        ended = await invoked(research, started(budget_micro_usd=10_000, on_limit="finish_partial"))
    assert [LAST in str(each["messages"]) for each in script.requests[1:5]] == [False, False, False, True]
    assert {each["status"] for each in ended["findings"].values()} == {"verified"}
    assert len(ended["findings"]) == 2


async def test_the_report_has_its_share_whatever_the_agents_spend(graph: Run) -> None:
    """Agents get nothing of it: the same calls are refused earlier the larger it is."""
    spent = {}
    for percent in (0, 50):
        script = Script(once(assign(task(1, "sales"))), endless, quoting, usage=_counted)
        own = {"report_share_percent": percent, "agent_share_percent": 100}
        limits = {"budget_micro_usd": 14_000, "on_limit": "fail", **own}
        async with graph(script, ceiling=CEILING.model_copy(update=own)) as research:
            ended = await invoked(research, {**started(**limits), "job_id": f"job-{percent}"}, **_thread(percent))
        spent[percent] = ended["used"]["agents"]["sales"]["micro_usd"]
    kept = 12_000 * 250 // 1000 + 2 * Limits().answer_floor_tokens * 2
    assert spent[50] + kept * 3 // 4 < spent[0]


def _thread(number: int) -> Json:
    return {"configurable": {"thread_id": f"job-{number}"}}
