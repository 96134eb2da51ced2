"""Jobs whose sources, models or agents do not do what they should: they end by themselves, and say what happened."""

import json
from typing import Any

import pytest
from langgraph.types import Command
from redis.asyncio import Redis
from starlette.responses import JSONResponse

from agents import sales
from graphs.evidence.store import Evidence, EvidenceStore
from graphs.state import MAX_ENTRIES
from tests.graphs.planning import test_handoff
from tests.graphs.research import CONFIG, Run, invoked, once, started
from tests.graphs.unruly_mcp import Unruly
from tests.scripted_model import (
    REPORT,
    REVENUE,
    Json,
    Script,
    assign,
    call,
    finding,
    gap_after_looking,
    quoting,
    result,
    revenue,
    task,
)

NOWHERE = "http://127.0.0.1:9/mcp"
DOWN = dict.fromkeys(["sales", "knowledge_base", "analytics"], NOWHERE)
GAP = result(gaps=("The server does not answer.",))


async def test_a_plan_that_reports_before_anything_ran_is_refused_and_may_be_mended(graph: Run) -> None:
    def mending(packet: Json, messages: list[Json]) -> Json:
        told = "nothing has been looked up yet" in messages[-1]["content"]
        return assign(task(1, "sales")) if told else REPORT

    script = Script(mending, revenue, quoting)
    async with graph(script) as research:
        ended = await invoked(research, started())
    assert (ended["status"], ended["stop_reason"]) == ("completed", "answered")


async def test_a_model_that_only_ever_reports_ends_as_a_plan_that_failed(graph: Run) -> None:
    script = Script(lambda *_: REPORT, revenue, quoting)
    async with graph(script) as research:
        ended = await invoked(research, started(on_limit="finish_partial"))
    assert (ended["status"], ended["stop_reason"]) == ("partial", "plan_failed")
    assert "nothing has been looked up yet" in ended["stop_detail"]
    assert "nothing was looked up" not in ended["report"]["body"]
    assert len(script.requests) == 2


async def test_an_agent_that_looks_nothing_up_has_not_found_that_it_is_not_there(graph: Run) -> None:
    script = Script(once(assign(task(1, "sales"))), lambda *_: result(gaps=("There is nothing on that.",)), quoting)
    async with graph(script) as research:
        ended = await invoked(research, started())
    assert (ended["status"], ended["stop_reason"]) == ("partial", "nothing_looked_up")


async def test_an_agent_that_looked_may_say_that_it_is_not_there(graph: Run) -> None:
    script = Script(once(assign(task(1, "sales"))), gap_after_looking, quoting)
    async with graph(script) as research:
        ended = await invoked(research, started())
    assert (ended["status"], ended["stop_reason"]) == ("completed", "not_in_data")
    assert "1 source was read" in ended["report"]["body"]
    assert "[E1]" in ended["report"]["body"]


async def test_with_every_source_down_no_job_says_that_it_is_not_in_the_data(graph: Run) -> None:
    script = Script(once(assign(task(1, "sales"), task(2, "researcher"))), lambda *_: GAP, quoting)
    async with graph(script, DOWN) as research:
        ended = await invoked(research, started())
    assert (ended["status"], ended["stop_reason"]) == ("partial", "source_unavailable")
    assert {each["reason"] for each in ended["tasks"].values()} == {"source_unavailable"}


@pytest.mark.parametrize("found", [True, False])
async def test_with_one_of_three_down_the_others_report_and_the_job_is_partial(graph: Run, found: bool) -> None:
    def work(packet: Json, messages: list[Json]) -> Json:
        return revenue(packet, messages) if found else gap_after_looking(packet, messages)

    script = Script(once(assign(task(1, "sales"), task(2, "researcher"))), work, quoting)
    async with graph(script, {"knowledge_base": NOWHERE}) as research:
        ended = await invoked(research, started())
    assert (ended["status"], ended["stop_reason"]) == ("partial", "source_unavailable")
    assert "researcher" in ended["stop_detail"]
    assert ("[E1]" in ended["report"]["body"]) is True


@pytest.mark.parametrize("body", ["", " \n", "I am afraid that I cannot do that."])
async def test_a_report_that_says_nothing_of_the_findings_is_asked_for_again(graph: Run, body: str) -> None:
    script = Script(once(assign(task(1, "sales"))), revenue, lambda *_: {"title": "Revenue", "body": body})
    async with graph(script) as research:
        ended = await invoked(research, started())
    assert len(script.asked("ReportDraft")) == 2
    assert "Revenue in 2024 was EUR" in ended["report"]["body"], "put together without a model"
    assert "cites no evidence" in ended["flags"][0]


async def test_a_source_that_does_not_answer_a_call_is_named(graph: Run, unruly: Unruly) -> None:
    unruly.faults = ["503"] * 2  # a call that only reads is made once more

    def work(packet: Json, messages: list[Json]) -> Json:
        if messages[-1]["role"] != "tool":
            return call("sales__read", name="once")
        return result(gaps=("It is not there.",))

    plan = once(assign(task(1, "sales")))
    async with graph(Script(plan, work, quoting), {"sales": unruly.url}) as research:
        ended = await invoked(research, started())
    assert (ended["status"], ended["stop_reason"]) == ("partial", "source_unavailable")
    assert ended["stop_detail"] == "sales: no answer from sales"


async def test_a_source_that_answers_when_it_is_asked_again_has_answered(graph: Run, unruly: Unruly) -> None:
    unruly.faults = ["503"] * 2

    def persistent(packet: Json, messages: list[Json]) -> Json:
        if messages[-1]["role"] == "tool" and "does not answer" not in messages[-1]["content"]:
            return result(gaps=("It is not there.",))
        return call("sales__read", name=f"try {len(messages)}")

    script = Script(once(assign(task(1, "sales"))), persistent, quoting)
    async with graph(script, {"sales": unruly.url}) as research:
        ended = await invoked(research, started())
    assert (ended["status"], ended["stop_reason"]) == ("completed", "not_in_data")


@pytest.mark.parametrize(("agent", "expected"), [("researcher", "nothing_looked_up"), ("analyst", "not_in_data")])
async def test_an_agent_handed_what_another_read_has_not_looked_for_itself(
    graph: Run, agent: str, expected: str
) -> None:
    def work(packet: Json, messages: list[Json]) -> Json:
        return gap_after_looking(packet, messages) if packet["task"]["id"] == "T1" else GAP

    script = Script(once(assign(task(1, "sales"), task(2, agent, "T1"))), work, quoting)
    async with graph(script) as research:
        ended = await invoked(research, started())
    assert ended["stop_reason"] == expected


async def test_what_an_agent_misses_before_its_calls_are_answered_is_no_result(graph: Run) -> None:
    def hasty(packet: Json, messages: list[Json]) -> Json:
        if messages[-1]["role"] == "tool":
            return revenue(packet, messages)
        return {"tool_calls": [*REVENUE["tool_calls"], *GAP["tool_calls"]]}

    script = Script(once(assign(task(1, "sales"))), hasty, quoting)
    async with graph(script) as research:
        ended = await invoked(research, started())
    assert (ended["status"], ended["stop_reason"]) == ("completed", "answered")


async def test_an_agent_that_a_limit_kept_from_looking_on_does_not_know_that_it_is_not_there(graph: Run) -> None:
    def eager(packet: Json, messages: list[Json]) -> Json:
        last = "This is your last turn" in messages[-1]["content"]
        return GAP if last else call("sales__query", sql=f"SELECT {len(messages)} AS n")

    script = Script(once(assign(task(1, "sales"))), eager, quoting)
    async with graph(script) as research:
        ended = await invoked(research, started(agent_tool_calls=2))
    assert (ended["status"], ended["stop_reason"]) == ("partial", "agent_tool_call_limit")
    assert ended["tasks"]["T1"]["gaps"] == ["The server does not answer."]


@pytest.mark.parametrize("why", ["sent back", "halted"])
async def test_a_source_that_was_silent_at_the_first_attempt_is_not_forgotten(
    graph: Run, unruly: Unruly, why: str
) -> None:
    unruly.faults = ["503"] * 2
    both = sales.SPEC.model_copy(update={"tools": ("sales.*", "unruly.*"), "briefing": ()})

    def work(packet: Json, messages: list[Json]) -> Any:
        if packet["evidence"]:
            return result(gaps=("It is not there.",))
        looked = [each for each in messages if each["role"] == "tool"]
        if len(looked) < 2:
            return call("unruly__read", name="x") if looked else REVENUE
        return result(finding("There are 12,345,678 chargers.", "E1")) if why == "sent back" else refused

    refused = JSONResponse(REFUSALS[401], 401)
    script = Script(once(assign(task(1, "sales"))), work, quoting)
    async with graph(script, {"unruly": unruly.url}, agents=(both,)) as research:
        ended = await invoked(research, started())
        if why == "halted":
            ended = await invoked(research, Command(resume={"action": "approve_more", "amount_usd": 0}))
    assert (ended["status"], ended["stop_reason"]) == ("partial", "source_unavailable")
    assert ended["tasks"]["T1"]["unanswered"] == ["unruly"]


async def test_a_source_that_only_ever_fails_has_not_said_that_it_is_not_there(graph: Run, unruly: Unruly) -> None:
    both = sales.SPEC.model_copy(update={"tools": ("sales.*", "unruly.*")})
    turns: list[Json] = [REVENUE, call("unruly__fail"), GAP]

    def work(packet: Json, messages: list[Json]) -> Json:
        looked: int = sum(each["role"] == "tool" for each in messages)
        return turns[looked]

    script = Script(once(assign(task(1, "sales"))), work, quoting)
    async with graph(script, {"unruly": unruly.url}, agents=(both,)) as research:
        ended = await invoked(research, started())
    assert (ended["status"], ended["stop_reason"]) == ("partial", "source_unavailable")
    assert ended["stop_detail"] == "sales: every call of unruly failed"


async def test_a_tool_of_any_name_is_called_by_its_own(graph: Run, unruly: Unruly) -> None:
    def work(packet: Json, messages: list[Json]) -> Json:
        if messages[-1]["role"] == "tool":
            return result(gaps=("It is not there.",))
        return call("sales__read_odd_name", name="x")

    async with graph(Script(once(assign(task(1, "sales"))), work, quoting), {"sales": unruly.url}) as research:
        ended = await invoked(research, started())
    assert [each["tool"] for each in ended["evidence"].values()] == ["read.odd/name"]
    assert unruly.calls == ["read.odd/name"]


async def test_the_last_turns_of_an_agent_have_no_tools_and_say_so(graph: Run) -> None:
    def eager(packet: Json, messages: list[Json]) -> Json:
        if "This is your last turn" not in messages[-1]["content"]:
            return call("sales__query", sql=f"SELECT {len(messages)} AS n")
        return result(finding("The figure is 2.", "E1"))

    script = Script(once(assign(task(1, "sales"))), eager, quoting)
    async with graph(script) as research:
        ended = await invoked(research, started(agent_model_calls=4))
    agents = [each for each in script.requests if each.get("tools")]
    offered = [[tool["function"]["name"] for tool in each["tools"]] for each in agents]
    assert offered[-1] == ["AgentResult"]
    assert all(len(names) > 1 for names in offered[:-1])
    assert agents[-1]["messages"][-1]["role"] == "tool", "no message of its own: some servers take no user after a tool"
    assert [each["status"] for each in ended["findings"].values()] == ["verified"]
    assert (ended["status"], ended["stop_reason"]) == ("completed", "answered")


REFUSALS = {
    401: {"error": {"message": "Incorrect API key provided: sk-abc", "code": "invalid_api_key"}},
    402: {"error": {"message": "This request requires more credits", "code": 402}},
    403: {"error": {"message": "You are not allowed to use this model", "code": None}},
    429: {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}},
    400: [{"error": {"code": 400, "message": "API key not valid.", "details": [{"reason": "API_KEY_INVALID"}]}}],
}


@pytest.mark.parametrize("status", REFUSALS)
@pytest.mark.parametrize("who", ["supervisor", "agent"])
async def test_an_account_that_is_refused_asks_a_human_and_loses_no_task(graph: Run, status: int, who: str) -> None:
    refused = JSONResponse(REFUSALS[status], status, {"retry-after": "0"})
    plan = once(assign(task(1, "sales")))
    script = Script(
        (lambda *_: refused) if who == "supervisor" else plan,
        (lambda *_: refused) if who == "agent" else revenue,
        quoting,
    )
    async with graph(script) as research:
        paused = await invoked(research, started())
        asked = len(script.requests)
        script.decision, script.work = plan, revenue
        ended = await invoked(research, Command(resume={"action": "approve_more", "amount_usd": 0}))
    question = paused["__interrupt__"][0].value
    assert question["reason"] == "model_account_refused"
    assert "at the model provider" in question["remedy"]
    assert "sk-abc" not in json.dumps(question)
    assert asked == (1 if who == "supervisor" else 2), "it is not tried again"
    assert (ended["status"], ended["stop_reason"]) == ("completed", "answered")


async def test_an_agent_s_share_asks_once_for_an_amount_that_suffices(graph: Run) -> None:
    script = Script(once(assign(task(1, "sales"))), revenue, quoting)
    async with graph(script) as research:
        paused = await invoked(research, started(budget_micro_usd=5_000, agent_share_percent=50))
        question = paused["__interrupt__"][0].value
        assert question["reason"] == "agent_budget_reached"
        assert "the agent sales has spent 0% of the budget and may spend 50%" in question["detail"]
        answer = {"action": "approve_more", "amount_usd": question["least_amount_usd"]}
        ended = await invoked(research, Command(resume=answer))
    assert question["tasks_open"] == ["find it out"]
    assert question["least_amount_usd"] > 0
    assert (ended["status"], ended["stop_reason"]) == ("completed", "answered")


async def test_a_content_filter_is_named(graph: Run) -> None:
    filtered = {"error": {"message": "The response was filtered", "code": "content_filter", "innererror": {}}}
    script = Script(once(assign(task(1, "sales"))), lambda *_: JSONResponse(filtered, 400), quoting)
    async with graph(script) as research:
        ended = await invoked(research, started())
    assert (ended["status"], ended["stop_reason"]) == ("partial", "no_usable_answer")
    assert "content filter" in ended["stop_detail"]


async def test_a_deadline_of_the_job_is_not_told_as_one_of_the_agent(graph: Run) -> None:
    def slow(packet: Json, messages: list[Json]) -> Json:
        return call("sales__query", sql=f"SELECT count(*) FROM range({10**10 + len(messages)})")

    script = Script(once(assign(task(1, "sales"))), slow, quoting)
    async with graph(script) as research:
        of_job = await invoked(research, started(deadline_s=2, on_limit="finish_partial"))
    assert of_job["stop_reason"] == "deadline_reached"
    assert of_job["tasks"]["T1"]["error"] == "the time limit is reached"


class Broken(EvidenceStore):
    """An error of ours in the middle of a task."""

    async def add(self, job_id: str, evidence: Evidence) -> str:
        raise KeyError("a secret of this process")


async def test_a_bug_of_ours_is_logged_and_not_told(
    graph: Run, redis_client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    script = Script(once(assign(task(1, "sales"))), revenue, quoting)
    async with graph(script, evidence=Broken(redis_client, ttl_seconds=60)) as research:
        ended = await invoked(research, started())
    assert ended["tasks"]["T1"]["error"] == "an internal error, which the log has"
    assert (ended["status"], ended["stop_reason"]) == ("partial", "task_failed")
    assert "secret" not in json.dumps([ended["tasks"], ended["report"], ended["stop_detail"]])
    logged = [each.exc_info for each in caplog.records if each.exc_info]
    assert [kind.__name__ for kind, _, _ in logged if kind] == ["KeyError"]
    assert len(script.requests) == 3, "no model is asked to mend it"


async def test_what_a_job_has_no_room_for_is_left_out_and_told(graph: Run) -> None:
    twice = {"tool_calls": [{**REVENUE["tool_calls"][0], "id": each} for each in ("one", "two")]}

    def thirty(packet: Json, messages: list[Json]) -> Json:
        results = [each for each in messages if each["role"] == "tool" and not each["content"].startswith("error")]
        if not results:
            return twice
        honest = json.loads(revenue(packet, results)["tool_calls"][0]["function"]["arguments"])
        return result(*(30 * honest["findings"]))

    of_another: Json = {"task": "T0", "status": "repeated"}
    findings = {f"T0.1.{each}": test_handoff.finding(each) | of_another for each in range(MAX_ENTRIES - 10)}
    reference = test_handoff.evidence(1).reference("E0") | of_another
    evidence = {f"E0{number}": reference for number in range(MAX_ENTRIES - 1)}
    script = Script(once(assign(task(1, "sales"))), thirty, quoting)
    async with graph(script) as research:
        given: Any = started()
        await research.ainvoke(given, CONFIG, interrupt_after=["intake"])
        await research.aupdate_state(CONFIG, {"findings": findings, "evidence": evidence})
        ended = await invoked(research, None)
    assert (ended["status"], ended["stop_reason"]) == ("completed", "answered")
    assert (len(ended["findings"]), len(ended["evidence"])) == (MAX_ENTRIES, MAX_ENTRIES)
    assert ended["tasks"]["T1"]["gaps"] == [
        "20 findings of the agent sales are left out: a job may hold 400.",
        "The agent sales could not look up more: a job may hold 400 tool results.",
    ]


async def test_an_agent_for_whose_results_there_was_no_room_does_not_know_that_it_is_not_there(graph: Run) -> None:
    def work(packet: Json, messages: list[Json]) -> Json:
        looked = sum(each["role"] == "tool" for each in messages)
        return GAP if looked == 2 else call("sales__query", sql=f"SELECT {looked} AS n")

    reference = test_handoff.evidence(1).reference("E0") | {"task": "T0"}
    script = Script(once(assign(task(1, "sales"))), work, quoting)
    async with graph(script) as research:
        given: Any = started()
        await research.ainvoke(given, CONFIG, interrupt_after=["intake"])
        await research.aupdate_state(CONFIG, {"evidence": {f"E0{at}": reference for at in range(MAX_ENTRIES - 1)}})
        ended = await invoked(research, None)
    assert (ended["status"], ended["stop_reason"]) == ("partial", "tool_call_limit")
