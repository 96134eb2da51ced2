"""The parts of the incident drills, each on its own: the proxy, the unguarded team, the bill and the verdict."""

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import DefaultAsyncHttpxClient, InternalServerError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.config.settings import Settings
from app.running.processes import Addresses
from evals.incident import faulty_mcp, proofs
from evals.incident.__main__ import HEAD, row
from evals.incident.drills import DRILLS, Drill, Kind
from evals.incident.invoice import LONGEST_ANSWER, Invoice
from evals.incident.naive import CapReached, Habits
from evals.incident.outcomes import With, Without, outcome_of
from evals.incident.runs import environment
from evals.incident.unguarded import Team
from evals.incident.without import CallLimit
from graphs.spending.limits import Limits
from graphs.stop_reasons import StopReason
from tests.http_server import served
from tests.scripted_model import Script, assign, finding, result, serving, task

LOOP = DRILLS[0]
NO_BILL = Invoice.of({"calls": 0, "billed": [], "failed": 0})
QUESTION = "Who were our top five customers in 2024?"
ANYTHING = '"anything"'  # the scripted model reads the first message as JSON


def listing(client: httpx.AsyncClient, url: str) -> Any:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    return client.post(url, json=body, headers={"accept": "application/json, text/event-stream"})


async def test_a_crowded_server_serves_one_at_a_time(addresses: Addresses) -> None:
    with faulty_mcp.served(addresses.servers["sales"], "crowded") as (url, asked):
        async with httpx.AsyncClient(timeout=60) as client:
            before = time.monotonic()
            await listing(client, url)
            alone = time.monotonic() - before
            answers = await asyncio.gather(*(listing(client, url) for _ in range(3)))
            together = time.monotonic() - before - alone
    assert alone >= faulty_mcp.ONE_AT_A_TIME_S
    assert together >= 3 * faulty_mcp.ONE_AT_A_TIME_S
    assert asked == {"tools/list": 4}
    assert all(answer.json()["result"]["tools"] for answer in answers)


async def test_a_burst_refuses_the_first_calls_of_tools_and_nothing_else(addresses: Addresses) -> None:
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "describe_schema", "arguments": {}}}
    headers = {"accept": "application/json, text/event-stream"}
    with faulty_mcp.served(addresses.servers["sales"], "burst") as (url, asked):
        async with httpx.AsyncClient(timeout=60) as client:
            listed = (await listing(client, url)).status_code
            refused = [(await client.post(url, json=call, headers=headers)).status_code for _ in range(12)]
            served_again = (await client.post(url, json=call, headers=headers)).status_code
    assert (set(refused), listed, served_again) == ({503}, 200, 200)
    assert asked == {"tools/list": 1, "tools/call": 13}


def failing(asked: list[str]) -> Starlette:
    async def fail(request: Request) -> Response:
        asked.append(request.url.path)
        return JSONResponse({"error": {"message": "no"}}, 500, {"retry-after-ms": "1"})

    return Starlette(routes=[Route("/v1/chat/completions", fail, methods=["POST"])])


async def test_one_failure_of_the_provider_becomes_nine_requests() -> None:
    asked: list[str] = []
    with served(failing(asked)) as address:
        async with DefaultAsyncHttpxClient() as http:
            with pytest.raises(InternalServerError):
                await Team(f"{address}/v1", {}, http).answer(QUESTION)
    assert len(asked) == 9


async def test_the_call_limit_lets_no_request_more_through() -> None:
    asked: list[str] = []
    limit = CallLimit(4)
    with served(failing(asked)) as address:
        async with DefaultAsyncHttpxClient(event_hooks={"request": [limit]}) as http:
            run = asyncio.create_task(Team(f"{address}/v1", {}, http).answer(QUESTION))
            await limit.reached.wait()
            assert not run.done()
            run.cancel()
            await asyncio.gather(run, return_exceptions=True)
    assert len(asked) == 4


async def test_tasks_that_wait_for_each_other_wait_for_ever() -> None:
    script = Script(
        decision=lambda *_: assign(task(1, "sales", "T2"), task(2, "researcher", "T1")),
        work=lambda *_: result(gaps=("nothing",)),
        draft=lambda *_: {},
    )
    with serving(script) as address:
        async with DefaultAsyncHttpxClient() as http:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(2):
                    await Team(address, {}, http).answer(ANYTHING)
    assert len(script.requests) == 1


async def test_everybody_reads_everything_and_the_last_words_are_the_report() -> None:
    plans: Iterator[Any] = iter(
        [assign(task(1, "sales")), assign(task(2, "researcher")), {"action": "report", "reason": "done", "tasks": []}]
    )
    claims: Iterator[str] = iter(["The first finding.", "The second finding, made up."])
    script = Script(
        decision=lambda *_: next(plans),
        work=lambda *_: result(finding(next(claims), "E99")),
        draft=lambda *_: {},
    )
    with serving(script) as address:
        async with DefaultAsyncHttpxClient() as http:
            report = await Team(address, {}, http).answer(ANYTHING)
    assert report == "The second finding, made up."
    later = script.requests[2:]  # of the supervisor, the second agent and the supervisor again
    assert all("The first finding." in json.dumps(request["messages"]) for request in later)


@pytest.mark.parametrize(("counter", "calls"), [("process", 2), ("state", 2), ("supervisor", 8)])
async def test_a_counter_stops_a_team_that_it_sees(counter: Any, calls: int) -> None:
    plans = iter([*(assign(task(number, "sales")) for number in range(1, 5)), {"action": "report", "tasks": []}])
    script = Script(
        decision=lambda *_: next(plans) | {"reason": "so"},
        work=lambda *_: result(gaps=("nothing",)),
        draft=lambda *_: {},
    )
    with serving(script) as address:
        async with DefaultAsyncHttpxClient() as http:
            team = Team(address, {}, http, Habits(cap_usd=Decimal("0.000001"), counter=counter))
            with pytest.raises(CapReached):
                await team.answer(ANYTHING)
    assert len(script.requests) <= calls
    assert team.counted


def test_the_bill_is_tokens_times_list_price() -> None:
    billed = [
        {"model": "gpt-5-mini", "input_tokens": 3_000, "cached_tokens": 1_000, "output_tokens": 200},
        {"model": "gpt-5-nano", "input_tokens": 10, "cached_tokens": 0, "output_tokens": 5},
    ]
    bill = Invoice.of({"calls": 3, "billed": billed, "failed": 1})
    micro = 2_000 * Decimal("0.25") + 1_000 * Decimal("0.025") + 200 * 2 + 10 * Decimal("0.05") + 5 * Decimal("0.4")
    assert (bill.calls, bill.failed, bill.tokens, bill.longest_input, bill.longest_answer) == (3, 1, 3_215, 3_000, 200)
    assert bill.dollars * 1_000_000 == micro


@pytest.mark.parametrize(
    ("read", "said", "problem"),
    [
        (272_000, 128_000, ""),
        (272_001, 1, "a request of 272001 tokens exceeds the model's context"),
        (1, 128_001, "an answer of 128001 tokens exceeds the model's output limit"),
    ],
)
def test_a_bill_that_no_provider_would_write_is_not_fair(read: int, said: int, problem: str) -> None:
    assert billed(read, said).problem == problem


def test_the_unguarded_team_lets_no_answer_be_longer_than_the_model_writes() -> None:
    script = Script(decision=lambda *_: {}, work=lambda *_: {}, draft=lambda *_: {})

    async def ask(address: str) -> None:
        async with DefaultAsyncHttpxClient() as http:
            with contextlib.suppress(ValueError):
                await Team(address, {}, http).answer(ANYTHING)

    with serving(script) as address:
        asyncio.run(ask(address))
    assert {request["max_completion_tokens"] for request in script.requests} == {LONGEST_ANSWER}


def billed(read: int, said: int = 0) -> Invoice:
    each = {"model": "gpt-5-mini", "input_tokens": read, "cached_tokens": 0, "output_tokens": said}
    return Invoice.of({"calls": 1, "billed": [each], "failed": 0})


RESULT: dict[str, Any] = {
    "status": "awaiting_human",
    "stop_reason": StopReason.LOOP_PING_PONG,
    "stop_detail": "",
    "report_path": None,
    "escalation": {"reason": StopReason.LOOP_PING_PONG},
    "cost_usd": 0.05,
    "findings": [],
    "gaps": [],
    "handoffs": 4,
    "steps": 9,
}


def said(**changes: Any) -> bytes:
    return json.dumps(RESULT | changes).encode()


def outcome(given: bytes, bill: Invoice = NO_BILL, drill: Drill = LOOP) -> With:
    return outcome_of(drill, bill, {}, given, b"first line\nlast line\nDuring task with name 'x'\n")


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (said(), ""),
        (said(escalation=None, report_path="report.md", status="partial"), ""),
        (said(stop_reason="answered"), "ended as awaiting_human (answered)"),
        (said(stop_reason="loop_reworded"), "ended as awaiting_human (loop_reworded)"),
        (said(stop_reason=None), "ended as awaiting_human (no reason)"),
        (said(escalation=None), "neither a report nor a question to a human"),
        (said(handoffs=9), "9 hand-offs before the loop was detected"),
        (b"", "it broke: last line"),
    ],
)
def test_a_guard_has_fired_when_the_job_ended_for_the_reason_of_the_drill(given: bytes, problem: str) -> None:
    assert outcome(given).problem == problem


def test_a_bill_above_the_budget_or_above_what_the_job_counted_fails_the_drill() -> None:
    assert outcome(said(), billed(200_001)).problem == "billed $0.050000 of a budget of $0.05"
    assert outcome(said(), billed(200_000)).problem == ""
    counted_less = outcome(said(cost_usd=0.049999), billed(200_000))
    assert counted_less.problem == "billed $0.050000, but the job counted $0.049999"


def test_the_rate_per_day_is_that_of_a_run_that_went_on() -> None:
    bill = billed(4_000_000)  # one dollar a call, of 5 seconds
    assert Without(bill, goes_on=True, got="").dollars_per_day == 17_280
    assert Without(bill, goes_on=False, got="").dollars_per_day is None


def test_a_row_has_a_cell_for_each_column_and_figures_of_two_digits() -> None:
    bare = Without(billed(12_345_678), True, "nothing")
    guarded = With(billed(1_234), 12, "loop_reworded", "a question", "")
    line = row(LOOP, bare, guarded)
    assert line.count("|") == HEAD.splitlines()[0].count("|")
    assert "1 call, 12,000,000 tokens, $3.1, $53,000 a day" in line
    assert "1 call, 12 steps, $0.00031 | `loop_reworded`" in line
    assert "0 calls, 0 tokens, $0 |" in row(LOOP, Without(NO_BILL, False, ""), With(NO_BILL, None, "", "", "broke"))


def test_every_drill_has_a_name_and_every_kind_a_drill(addresses: Addresses) -> None:
    assert (LOOP.name, LOOP.profile) == ("infinite loop", "clarify")
    assert len({drill.name for drill in DRILLS}) == len(DRILLS) >= 16
    assert {drill.kind for drill in DRILLS} == set(Kind)
    for drill in DRILLS:
        assert set(drill.faults) <= set(addresses.servers)
        assert set(drill.faults.values()) <= set(faulty_mcp.FAULTS)


def calls(number: int) -> Invoice:
    return Invoice.of({"calls": number, "billed": [], "failed": 0})


def ended(
    bill: Invoice = NO_BILL,
    asked: Mapping[str, int] | None = None,
    struck: tuple[int, ...] = (),
    errors: str = "",
    **changes: Any,
) -> proofs.Ended:
    bills = [calls(each) for each in struck]
    return proofs.Ended(RESULT | changes, bill, {"sales": Counter(asked or {})}, bills, errors)


FOUND: dict[str, Any] = {"findings": [{"claim": "It is 5."}], "gaps": ["sales broke off"]}
REPORTS = {
    "dropped": "No answer.\n\n## Dropped claims\n\n- It is EUR 5.",
    "stated": "It is EUR 5.\n\n## Dropped claims\n\n- It is EUR 5.",
    "silent": "No answer.",
    "partial": "**This report is partial: the budget is used up.**",
}
SHARE = {
    "what_happened": "The job is paused because one agent has used up its share of the budget.",
    "detail": "the agent sales has spent 9% of the budget and may spend 80%",
}


@pytest.mark.parametrize(
    ("proof", "job", "problem"),
    [
        (proofs.no_half_answer, ended(billed(1, 8_192), handoffs=0, stop_detail="ended at its token limit"), ""),
        (proofs.no_half_answer, ended(handoffs=0), "nobody is told that the answer was cut"),
        (proofs.no_half_answer, ended(billed(1, 8_193), handoffs=0), "an answer of 8193 tokens, 8192 are allowed"),
        (proofs.no_half_answer, ended(billed(1, 8_192)), "4 hand-offs of half a plan"),
        (proofs.contained, ended(billed(1), {"tools/call": 2}, **FOUND), ""),
        (proofs.contained, ended(billed(1), {"tools/call": 2}, **FOUND, steps=0), "1 calls of the model in 0 steps"),
        (
            proofs.contained,
            ended(billed(1), {"tools/call": 3}, **FOUND),
            "3 calls of a tool of the server that was down",
        ),
        (proofs.contained, ended(**FOUND | {"findings": []}), "the findings of the other agents are lost"),
        (proofs.contained, ended(**FOUND | {"gaps": ["other"]}), "no gap names the server that was down"),
        (proofs.nothing_made_up, ended(report_path="dropped"), ""),
        (proofs.nothing_made_up, ended(report_path="dropped", **FOUND), "a finding without evidence: It is 5."),
        (proofs.nothing_made_up, ended(report_path="stated"), "the report states the number that was made up"),
        (proofs.nothing_made_up, ended(report_path="silent"), "the report does not say what was dropped"),
        (proofs.share_kept, ended(escalation=SHARE), ""),
        (proofs.share_kept, ended(escalation={**SHARE, "detail": ""}), "the question does not name the agent's share"),
        (proofs.share_kept, ended(escalation=None), "the question does not name the agent's share"),
        (proofs.refused_at_once, ended(handoffs=0, stop_detail="wait: T1 → T2 → T1"), ""),
        (proofs.refused_at_once, ended(stop_detail="T1 → T2 → T1"), "4 hand-offs of a plan that cannot end"),
        (proofs.refused_at_once, ended(handoffs=0), "the tasks that wait for each other are not named"),
        (proofs.few_tries, ended(calls(4)), ""),
        (proofs.few_tries, ended(calls(5)), "5 calls that may all be billed"),
        (proofs.within_budget, ended(stop_detail="spent USD 0.04"), ""),
        (proofs.within_budget, ended(), "nobody is told that the money is spent"),
        (proofs.counted_after_death, ended(struck=(4,), model_calls=4), ""),
        (proofs.counted_after_death, ended(struck=(4,), model_calls=3), "it knows of 3 calls of at least 4"),
        (proofs.counted_after_death, ended(), "it ended before it was killed"),
        (proofs.counted_once, ended(billed(200_000), struck=(1,), cost_usd=0.050001), ""),
        (
            proofs.counted_once,
            ended(billed(200_000), struck=(1,), cost_usd=0.050002),
            "the job counts $0.000001 that were not billed",
        ),
        (proofs.counted_once, ended(), "no human was asked"),
        (proofs.refused_by_name, ended(errors="house-model-1: set TOLLGATE_PRICES"), ""),
        (proofs.refused_by_name, ended(errors="house-model-1"), "the error names only ['house-model-1']"),
        (proofs.refused_by_name, ended(calls(1)), "1 calls of a model without a price"),
        (proofs.assumed_spent, ended(billed(4), estimated_usd=0.000001), ""),
        (
            proofs.assumed_spent,
            ended(billed(8), estimated_usd=0.000001),
            "only $0.000001 of it are marked as estimated",
        ),
        (proofs.short_history, ended(billed(45_000)), ""),
        (proofs.short_history, ended(billed(45_001)), "a request of 45001 tokens"),
        (proofs.limit_kept, ended(billed(1, 8_192)), ""),
        (proofs.limit_kept, ended(billed(1, 8_193)), "an answer of 8193 tokens, 8192 are allowed"),
        (proofs.silent_after_cancel, ended(calls(7), struck=(3, 7)), ""),
        (proofs.silent_after_cancel, ended(calls(8), struck=(3, 7)), "1 calls after the job had been cancelled"),
        (proofs.silent_after_cancel, ended(calls(8), struck=(3, 8)), "5 calls between the cancel and the end"),
        (proofs.silent_after_cancel, ended(), "it ended before it was cancelled"),
        (proofs.findings_reported, ended(report_path="partial", **FOUND), ""),
        (proofs.findings_reported, ended(report_path="partial"), "what was found before is lost"),
        (proofs.findings_reported, ended(report_path="silent", **FOUND), "the report does not say that it is partial"),
        (proofs.one_session, ended(asked={"initialize": 1, "tools/call": 1}), ""),
        (proofs.one_session, ended(asked={"initialize": 2, "tools/call": 1}), "2 sessions were opened"),
        (proofs.one_session, ended(asked={"initialize": 1}), "no tool was called before the deadline"),
    ],
)
def test_a_proof_says_what_is_wrong(
    proof: proofs.Proof, job: proofs.Ended, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in REPORTS.items():
        Path(name).write_text(text)
    assert proof(job) == problem


def test_no_key_and_no_setting_of_the_caller_reaches_a_drill(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {"OPENAI_API_KEY": "secret", "TOLLGATE_JOB_STEPS": "3", "MCP__SALES__URL": "http://a/b"}.items():
        monkeypatch.setenv(name, value)
    for name, value in environment("http://stand-in/v1", {"sales": "http://here/mcp"}, tmp_path).items():
        monkeypatch.setenv(name, value)
    settings = Settings(_env_file=None)
    assert settings.offline
    assert settings.limits == Limits()
    assert settings.model_url == "http://stand-in/v1"
    assert str(settings.mcp["sales"].url) == "http://here/mcp"
