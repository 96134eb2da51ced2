"""The graph against models that err: real client, real MCP servers, real Valkey, a scripted mind."""

import itertools
import json
from typing import Any

import pytest
from langgraph.types import Command
from redis.asyncio import Redis
from starlette.responses import JSONResponse

from graphs.planning.decision import DECISION
from tests.graphs.research import JOB, Run, invoked, once, started
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


async def test_an_honest_run_completes(graph: Run) -> None:
    script = Script(once(assign(task(1, "sales"))), revenue, quoting)
    async with graph(script) as research:
        ended = await invoked(research, started())
    assert (ended["status"], ended["stop_reason"]) == ("completed", "answered")
    assert ended["report"]["problems"] == []
    assert ended["used"]["model_calls"] == len(script.requests) == 5
    assert ended["used"]["tool_calls"] == 1
    assert ended["used"]["handoffs"] == 1
    assert ended["used"]["micro_usd"] == 5 * 450  # 1000 tokens in, 100 out at 0.25 and 2.00 USD a million
    assert ended["used"]["reserved_micro_usd"] == 0


async def test_an_invented_number_is_sent_back_once_and_then_dropped(graph: Run) -> None:
    def lying(packet: Json, messages: list[Json]) -> Json:
        if messages[-1]["role"] != "tool":
            return REVENUE
        return result(finding("Revenue in 2024 was EUR 123,456.78.", messages[-1]["content"].splitlines()[0]))

    script = Script(once(assign(task(1, "sales"))), lying, quoting)
    async with graph(script) as research:
        ended = await invoked(research, started())
    assert [each["status"] for each in ended["findings"].values()] == ["sent_back", "dropped"]
    assert "123,456.78 is not in E" in ended["findings"]["T1.2.1"]["refused"]
    assert ended["tasks"]["T1"]["attempts"] == 2
    assert (ended["status"], ended["stop_reason"]) == ("partial", "findings_dropped")
    assert "123,456.78" not in ended["report"]["body"]


async def test_a_citation_of_evidence_that_does_not_exist_is_dropped(graph: Run) -> None:
    def citing(packet: Json, messages: list[Json]) -> Json:
        if messages[-1]["role"] != "tool":
            return REVENUE
        right = json.loads(revenue(packet, messages)["tool_calls"][0]["function"]["arguments"])["findings"][0]
        return result({**right, "evidence": [*right["evidence"], "E77"]})

    script = Script(once(assign(task(1, "sales"))), citing, quoting)
    async with graph(script) as research:
        ended = await invoked(research, started())
    assert [each["status"] for each in ended["findings"].values()] == ["sent_back", "dropped"]
    assert ended["findings"]["T1.2.1"]["refused"] == "there is no evidence E77"
    assert (ended["status"], ended["stop_reason"]) == ("partial", "findings_dropped")


async def test_hand_offs_that_bring_nothing_stop_the_job(graph: Run) -> None:
    def insatiable(packet: Json, _: list[Json]) -> Json:
        return assign(task(len(packet["tasks"]) + 1, "sales"))

    script = Script(insatiable, gap_after_looking, quoting)
    async with graph(script) as research:
        paused = await invoked(research, started())
    question = paused["__interrupt__"][0].value
    assert (question["reason"], question["detail"]) == ("loop_identical", '3 times sales: "find it out"')


async def test_done_without_evidence_is_a_failure(graph: Run) -> None:
    script = Script(once(assign(task(1, "sales"))), lambda *_: result(), quoting)
    async with graph(script) as research:
        ended = await invoked(research, started())
    assert ended["tasks"]["T1"]["status"] == "failed"
    assert "neither a finding nor a gap" in ended["tasks"]["T1"]["error"]
    assert (ended["status"], ended["stop_reason"]) == ("partial", "no_usable_answer")


async def test_a_failing_agent_does_not_stop_its_siblings(graph: Run) -> None:
    def one_fails(packet: Json, messages: list[Json]) -> Any:
        if packet["task"]["id"] == "T1":
            return JSONResponse({"error": {"message": "no", "type": "bad", "code": None}}, status_code=400)
        return revenue(packet, messages)

    script = Script(once(assign(task(1, "researcher"), task(2, "sales"))), one_fails, quoting)
    async with graph(script) as research:
        ended = await invoked(research, started())
    assert {each["id"]: each["status"] for each in ended["tasks"].values()} == {"T1": "failed", "T2": "done"}
    assert ended["status"] == "partial"
    assert "[E1]" in ended["report"]["body"]


async def test_an_agent_whose_provider_is_down_is_paused_and_not_failed(graph: Run, redis_client: Redis) -> None:
    down = JSONResponse({"error": {"message": "busy", "type": "server", "code": None}}, 503, {"retry-after": "0"})
    script = Script(once(assign(task(1, "sales"))), lambda *_: down, quoting)
    async with graph(script) as research:
        paused = await invoked(research, started(outage_s=1))
        script.work = revenue
        await redis_client.delete(*[key async for key in redis_client.scan_iter("tollgate:breaker:*")])
        ended = await invoked(research, Command(resume={"action": "approve_more", "amount_usd": 0}))
    assert paused["__interrupt__"][0].value["reason"] == "model_unavailable"
    assert ended["status"] == "completed"


async def test_an_agent_cannot_call_a_tool_it_was_not_given(graph: Run) -> None:
    def trespassing(packet: Json, messages: list[Json]) -> Json:
        if messages[-1]["role"] != "tool":
            return REVENUE
        assert messages[-1]["content"].startswith("error: researcher has no tool sales__revenue_by")
        return result(gaps=("The researcher has no sales data.",))

    script = Script(once(assign(task(1, "researcher"))), trespassing, quoting)
    async with graph(script) as research:
        ended = await invoked(research, started())
    assert ended["tasks"]["T1"]["gaps"] == ["The researcher has no sales data."]
    assert ended["evidence"] == {}


async def test_an_agent_that_repeats_itself_is_told_and_then_stopped(graph: Run) -> None:
    script = Script(once(assign(task(1, "sales"))), lambda *_: REVENUE, quoting)
    async with graph(script) as research:
        paused = await invoked(research, started())
        question = paused["__interrupt__"][0].value
        ended = await invoked(research, Command(resume={"action": "finish_partial"}))
    assert question["reason"] == "loop_identical"
    assert "sales__revenue_by" in question["detail"]
    assert question["tasks_open"] == ["find it out"]
    assert len(script.requests) <= 7
    assert (ended["status"], ended["stop_reason"]) == ("partial", "finished_by_human")


async def test_each_request_of_an_agent_begins_as_the_one_before_so_that_a_provider_can_cache_it(graph: Run) -> None:
    def three_calls(packet: Json, messages: list[Json]) -> Json:
        asked = sum(each["role"] == "tool" for each in messages)
        return call("sales__query", sql=f"SELECT {asked} AS n") if asked < 3 else result(gaps=("Nothing.",))

    script = Script(once(assign(task(1, "sales"))), three_calls, quoting)
    async with graph(script) as research:
        await invoked(research, started())
    asked = [each for each in script.requests if each.get("tools")]
    assert len(asked) == 4
    for before, after in itertools.pairwise(asked):
        assert after["messages"][: len(before["messages"])] == before["messages"]
        assert after["tools"] == before["tools"]


@pytest.mark.slow
async def test_a_long_conversation_loses_its_oldest_results_and_the_evidence_stays(graph: Run) -> None:
    wide = "SELECT n, repeat('abcdefgh', 11) AS padding FROM generate_series({0}, {0} + 119) AS t(n)"

    def hungry(packet: Json, messages: list[Json]) -> Json:
        asked = sum(each["role"] == "tool" for each in messages)
        return call("sales__query", sql=wide.format(asked)) if asked < 12 else result(gaps=("Nothing.",))

    script = Script(once(assign(task(1, "sales"))), hungry, quoting)
    async with graph(script) as research:
        ended = await invoked(research, started())
    results = [each["content"] for each in script.requests[-2]["messages"] if each["role"] == "tool"]
    cleared = [each.startswith("[left out to keep this conversation short") for each in results]
    assert cleared == [True] * 8 + [False] * 4
    assert len(ended["evidence"]) == 12
    assert max(len(json.dumps(each)) for each in script.requests) < 160_000


async def test_an_endless_agent_ends_at_its_own_limits(graph: Run) -> None:
    def endless(packet: Json, messages: list[Json]) -> Json:
        return call("sales__query", sql=f"SELECT {len(messages)} AS n")

    script = Script(once(assign(task(1, "sales"))), endless, quoting)
    async with graph(script) as research:
        ended = await invoked(research, started(agent_model_calls=5))
    assert ended["tasks"]["T1"]["status"] == "failed"
    assert "one agent has made all the model calls it may make" in ended["tasks"]["T1"]["error"]
    assert "called sales__query, which it no longer has, instead of giving its result, twice" in ended["stop_detail"]
    assert (ended["status"], ended["stop_reason"]) == ("partial", "agent_model_call_limit")
    assert ended["used"]["agents"]["sales"]["model_calls"] == 5


async def test_a_cyclic_plan_is_refused_and_may_be_mended(graph: Run) -> None:
    def mending(packet: Json, messages: list[Json]) -> Json:
        if packet["tasks"]:
            return REPORT
        if "wait for one another" in messages[-1]["content"]:
            return assign(task(1, "sales"))
        return assign(task(1, "sales", "T2"), task(2, "analyst", "T1"))

    script = Script(mending, revenue, quoting)
    async with graph(script) as research:
        ended = await invoked(research, started())
    assert ended["status"] == "completed"
    assert len(script.asked("SupervisorDecision")) == 3


async def test_a_supervisor_that_never_makes_sense_ends_the_job(graph: Run) -> None:
    script = Script(lambda *_: "I would rather chat.", revenue, quoting)
    async with graph(script) as research:
        paused = await invoked(research, started())
        ended = await invoked(research, Command(resume={"action": "finish_partial"}))
    assert paused["__interrupt__"][0].value["reason"] == "plan_failed"
    assert (ended["status"], ended["stop_reason"]) == ("partial", "finished_by_human")
    assert len(script.requests) == 2


async def test_a_supervisor_that_never_has_enough_is_stopped(graph: Run) -> None:
    def insatiable(packet: Json, _: list[Json]) -> Json:
        return assign(task(len(packet["tasks"]) + 1, "sales"))

    script = Script(insatiable, revenue, quoting)
    async with graph(script) as research:
        ended = await invoked(research, started(on_limit="finish_partial"))
    assert ended["used"]["handoffs"] == 6
    assert (ended["status"], ended["stop_reason"]) == ("partial", "plan_limit")


@pytest.mark.parametrize("limit", range(10, 18))  # a hand-off takes four steps: each is the last one twice
async def test_no_recursion_limit_is_met_with_an_exception(graph: Run, limit: int) -> None:
    script = Script(
        lambda packet, _: assign(task(len(packet["tasks"]) + 1, "sales")),
        lambda *_: result(gaps=("Nothing there.",)),
        lambda *_: {"title": "x", "body": "We made 999,999 euros."},
    )
    async with graph(script) as research:
        ended = await invoked(research, started(on_limit="finish_partial"), recursion_limit=limit)
    assert ended["status"] in {"completed", "partial"}


async def test_a_limit_is_asked_for_again_when_the_answer_adds_nothing(graph: Run) -> None:
    script = Script(lambda packet, _: assign(task(len(packet["tasks"]) + 1, "sales")), revenue, quoting)
    async with graph(script) as research:
        paused = await invoked(research, started(budget_micro_usd=5_000, agent_share_percent=50))
        again = await invoked(research, Command(resume={"action": "redirect", "note": "only Italy"}))
        odd = await invoked(research, Command(resume={"action": "make it so"}))
    reasons = [each["__interrupt__"][0].value["reason"] for each in (paused, again, odd)]
    assert reasons == ["agent_budget_reached"] * 3
    assert "not one of the choices" in odd["__interrupt__"][0].value["detail"]


@pytest.mark.parametrize(
    "answer",
    [
        {"choices": None},
        {"error": {"message": "busy", "type": "server", "code": None}},
    ],
)
async def test_a_provider_that_gives_no_answer_fails_the_job_and_is_named(graph: Run, answer: Json) -> None:
    script = Script(lambda *_: JSONResponse(answer, status_code=400), revenue, quoting)
    async with graph(script) as research:
        paused = await invoked(research, started())
        ended = await invoked(research, Command(resume={"action": "abort"}))
    assert paused["__interrupt__"][0].value["reason"] == "model_refused"
    assert "status 400" in paused["__interrupt__"][0].value["detail"]
    assert (ended["status"], ended["stop_reason"]) == ("failed", "aborted_by_human")
    assert len(script.requests) == 1


@pytest.mark.parametrize(
    "reference",
    [
        {"value_column": "revenue_eur", "label_column": ["year"]},
        {"where": [{"a": 1}]},
        {"where": ["year"]},
        {"where": {"year": {"a": 1}}},
    ],
)
async def test_a_malformed_reference_is_told_to_the_model(graph: Run, reference: Json) -> None:
    def careless(packet: Json, messages: list[Json]) -> Json:
        if packet["task"]["agent" if "agent" in packet["task"] else "id"] == "T1":
            return revenue(packet, messages)
        if messages[-1]["role"] != "tool":
            return call("analytics__growth", series={"evidence_id": "E1", **reference})
        assert messages[-1]["content"].startswith("error: the reference does not fit: ")
        return result(gaps=("Not computed.",))

    script = Script(once(assign(task(1, "sales"), task(2, "analyst", "T1"))), careless, quoting)
    async with graph(script) as research:
        ended = await invoked(research, started())
    assert ended["tasks"]["T2"]["gaps"] == ["Not computed."]


async def test_a_finding_that_is_made_again_is_reported_once(graph: Run) -> None:
    def half_right(packet: Json, messages: list[Json]) -> Json:
        if messages[-1]["role"] != "tool":
            return REVENUE
        right = json.loads(revenue(packet, messages)["tool_calls"][0]["function"]["arguments"])["findings"][0]
        return result(right, finding("We made EUR 1.", messages[-1]["content"].splitlines()[0]))

    script = Script(once(assign(task(1, "sales"))), half_right, quoting)
    async with graph(script) as research:
        ended = await invoked(research, started())
    assert [each["status"] for each in ended["findings"].values()] == ["verified", "sent_back", "repeated", "dropped"]


@pytest.mark.parametrize("value", [999.0, 1e12])
async def test_a_value_of_its_own_is_refused(graph: Run, value: float) -> None:
    def wrong_value(packet: Json, messages: list[Json]) -> Json:
        if messages[-1]["role"] != "tool":
            return REVENUE
        right = json.loads(revenue(packet, messages)["tool_calls"][0]["function"]["arguments"])["findings"][0]
        return result({**right, "value": value})

    script = Script(once(assign(task(1, "sales"))), wrong_value, quoting)
    async with graph(script) as research:
        ended = await invoked(research, started())
    assert "its value" in ended["findings"]["T1.2.1"]["refused"]


async def test_a_boasting_title_is_replaced_by_the_question(graph: Run) -> None:
    def boasting(packet: Json, messages: list[Json]) -> Json:
        return {**quoting(packet, messages), "title": "Revenue rose 55% to EUR 99,000,000"}

    script = Script(once(assign(task(1, "sales"))), revenue, boasting)
    async with graph(script) as research:
        ended = await invoked(research, started())
    assert ended["report"]["title"] == "What was our revenue?"


async def test_words_of_the_job_s_own_are_not_marked(graph: Run) -> None:
    script = Script(once(assign(task(1, "sales"))), lambda *_: REVENUE, quoting)
    async with graph(script) as research:
        ended = await invoked(research, started(on_limit="finish_partial"))
    assert "4 times" in ended["report"]["body"] or "3 times" in ended["report"]["body"]
    assert "not verified" not in ended["report"]["body"]
    assert ended["report"]["problems"] == []


async def test_a_second_question_in_a_thread_starts_from_nothing(graph: Run) -> None:
    script = Script(once(assign(task(1, "sales"))), revenue, quoting)
    async with graph(script) as research:
        first = await invoked(research, {"question": "What was our revenue?"})
        script.work = gap_after_looking
        second = await invoked(research, {"question": "How many chargers has Italy?"})
    assert first["stop_reason"] == "answered"
    assert (second["stop_reason"], second["findings"]) == ("not_in_data", {})
    assert (first["job_id"], second["job_id"]) == (f"{JOB}-1", f"{JOB}-2")
    assert second["used"]["handoffs"] == 1


async def test_an_ungrounded_report_gets_one_repair_and_is_then_marked(graph: Run) -> None:
    def boasting(packet: Json, _: list[Json]) -> Json:
        return {"title": "Revenue", "body": "We made 999,999 euros [E1]. That is good."}

    script = Script(once(assign(task(1, "sales"))), revenue, boasting)
    async with graph(script) as research:
        ended = await invoked(research, started())
    assert len(script.asked("ReportDraft")) == 2
    assert "We made 999,999 euros [E1]. *(not verified)*" in ended["report"]["body"]
    assert len(ended["report"]["problems"]) == 1


async def test_at_the_budget_a_human_is_asked_and_the_answer_counts(graph: Run) -> None:
    script = Script(once(assign(task(1, "sales"))), revenue, quoting)
    async with graph(script) as research:
        paused = await invoked(research, started(budget_micro_usd=3_700))
        question = paused["__interrupt__"][0].value
        assert question["reason"] == "budget_reached"
        assert question["spent_usd"] == 0.00045 * len(script.requests)
        assert question["tasks_open"] == ["find it out"]
        least = question["least_amount_usd"]
        answer = DECISION.validate_python({"action": "approve_more", "amount_usd": max(least, 0.05)})
        ended = await invoked(research, Command(resume=answer.model_dump()))
    assert least > 0
    assert ended["status"] == "completed"
    assert ended["limits"]["budget_micro_usd"] == 53_700


async def test_no_human_grants_more_than_the_ceiling(graph: Run) -> None:
    script = Script(once(assign(task(1, "sales"))), revenue, quoting)
    async with graph(script) as research:
        paused = await invoked(research, started(budget_micro_usd=400))
        assert paused["__interrupt__"][0].value["most_amount_usd"] == 0.9996
        ended = await invoked(research, Command(resume={"action": "approve_more", "amount_usd": 5}))
    assert (ended["status"], ended["limits"]["budget_micro_usd"]) == ("completed", 1_000_000)


@pytest.mark.parametrize(
    ("answer", "status", "reason"),
    [
        ({"action": "finish_partial"}, "partial", "finished_by_human"),
        ({"action": "abort"}, "failed", "aborted_by_human"),
    ],
)
async def test_a_human_can_end_it(graph: Run, answer: Json, status: str, reason: str) -> None:
    script = Script(once(assign(task(1, "sales"))), revenue, quoting)
    async with graph(script) as research:
        await invoked(research, started(budget_micro_usd=400))
        ended = await invoked(research, Command(resume=answer))
    assert (ended["status"], ended["stop_reason"]) == (status, reason)
    assert script.requests == []


async def test_a_redirection_replaces_the_open_tasks(graph: Run) -> None:
    script = Script(once(assign(task(1, "sales"), task(2, "sales", "T1"))), revenue, quoting)
    async with graph(script) as research:
        paused = await invoked(research, started(handoffs=1))
        assert paused["__interrupt__"][0].value["reason"] == "handoff_limit"
        ended = await invoked(research, Command(resume={"action": "redirect", "note": "only T1, please"}))
    notes = [each["messages"][1]["content"] for each in script.asked("SupervisorDecision")]
    assert ['"note": null' in each for each in notes] == [True, False]
    assert "only T1, please" in notes[1]
    assert {each["id"]: each["status"] for each in ended["tasks"].values()} == {"T1": "done", "T2": "withdrawn"}
    assert (ended["status"], ended["note"]) == ("completed", None)


@pytest.mark.parametrize(("on_limit", "status"), [("finish_partial", "partial"), ("fail", "failed")])
async def test_without_a_human_the_limit_ends_it(graph: Run, on_limit: str, status: str) -> None:
    script = Script(once(assign(task(1, "sales"))), revenue, quoting)
    async with graph(script) as research:
        ended = await invoked(research, started(budget_micro_usd=400, on_limit=on_limit))
    assert (ended["status"], ended["stop_reason"]) == (status, "budget_reached")
    assert script.requests == []


async def test_a_question_that_is_none_is_refused_without_a_call(graph: Run) -> None:
    script = Script(once(assign(task(1, "sales"))), revenue, quoting)
    async with graph(script) as research:
        ended = await invoked(research, {**started(), "question": "  "})
    assert (ended["status"], ended["stop_reason"]) == ("failed", "question_refused")
    assert script.requests == []
