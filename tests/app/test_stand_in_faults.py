"""The model's misbehaviours, over a socket: each happens, each the same at every run, and each is billed as it says."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from typing import Any

import httpx
import openai
import pytest

from agents.base import AgentResult, ReportDraft, SupervisorDecision
from app.stand_in.faults import HONEST, PROFILES, Profile
from app.stand_in.faults.wordings import OPENERS, QUESTIONS, REASONS, SCOPES, wording
from graphs.errors import PlanError
from graphs.evidence.store import Evidence
from graphs.nodes.verify import problem_with
from graphs.planning.plan import validated
from graphs.state import FindingState
from tests.app.offline_team import serving

Json = dict[str, Any]

QUESTION = "How did our revenue develop from 2023 to 2025, by channel?"
AGENTS = [{"name": "researcher"}, {"name": "sales"}, {"name": "analyst"}]
RESULT = {"type": "function", "function": {"name": "AgentResult", "parameters": {}}}
SCHEMA = {"type": "function", "function": {"name": "sales__describe_schema", "parameters": {}}}
STREAM: Json = {"stream": True, "stream_options": {"include_usage": True}}


@asynccontextmanager
async def misbehaving(profile: str | Profile) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a model that does so."""
    behaviour = PROFILES[profile] if isinstance(profile, str) else profile
    with serving(behaviour) as url:
        async with httpx.AsyncClient(base_url=url) as client:
            yield client


def wanting(schema: str) -> Json:
    return {"response_format": {"type": "json_schema", "json_schema": {"name": schema, "schema": {}}}}


def decision(*tasks: Json, **fields: Any) -> Json:
    packet = {"question": QUESTION, "agents": AGENTS, "tasks": list(tasks), "may_assign": True}
    content = json.dumps(packet)
    return {"model": "m", "messages": [{"role": "user", "content": content}], **wanting("SupervisorDecision"), **fields}


def work(number: int = 1, objective: str = QUESTION, **fields: Any) -> Json:
    content = json.dumps({"question": QUESTION, "task": {"id": f"T{number}", "objective": objective}})
    tools = [SCHEMA, RESULT]
    return {"model": "m", "messages": [{"role": "user", "content": content}], "tools": tools, **fields}


def draft(**fields: Any) -> Json:
    content = json.dumps({"question": QUESTION, "findings": [], "gaps": ["Nothing was found."]})
    return {"model": "m", "messages": [{"role": "user", "content": content}], **wanting("ReportDraft"), **fields}


async def choice(client: httpx.AsyncClient, request: Json) -> Json:
    response = await client.post("/chat/completions", json=request)
    assert response.status_code == 200, response.text
    found: Json = response.json()["choices"][0]
    return found


async def decided(client: httpx.AsyncClient, *tasks: Json) -> SupervisorDecision:
    return SupervisorDecision.model_validate_json((await choice(client, decision(*tasks)))["message"]["content"])


async def result(client: httpx.AsyncClient, request: Json) -> AgentResult:
    [call] = (await choice(client, request))["message"]["tool_calls"]
    assert call["function"]["name"] == "AgentResult"
    return AgentResult.model_validate_json(call["function"]["arguments"])


async def invoice(client: httpx.AsyncClient) -> Json:
    body: Json = (await client.get("../invoice")).json()
    return body


def overlap(one: str, other: str) -> float:
    """The words that two texts share, of all their words."""
    words, others = (set(text.lower().strip(".").split()) for text in (one, other))
    return len(words & others) / len(words | others)


async def outcome(client: httpx.AsyncClient, request: Json) -> object:
    """What came back, without what tells the time."""
    try:
        response = await client.post("/chat/completions", json=request)
    except httpx.RemoteProtocolError:
        return "cut"
    return response.status_code, response.json().get("choices"), response.json().get("usage")


@pytest.mark.parametrize("name", [name for name in PROFILES if name not in {"hang", "slow"}])
async def test_a_profile_is_the_same_at_every_run(name: str) -> None:
    requests = [decision(), work(1), draft(), work(2, max_completion_tokens=50), decision({"id": "T1"}), work(3)]
    runs = []
    for _ in range(2):
        async with misbehaving(name) as client:
            runs.append([await outcome(client, {"max_completion_tokens": 900, **each}) for each in requests])
            body = await invoice(client)
        assert body["calls"] == 6 == len(body["billed"]) + body["failed"]
    assert runs[0] == runs[1]


def test_wordings_do_not_come_back_and_share_few_words() -> None:
    endless = len(OPENERS) * len(QUESTIONS) * len(SCOPES) * len(REASONS)
    sentences = [wording(number) for number in range(endless)]
    assert len(set(sentences)) == endless > 100_000
    near = [overlap(*pair) for pair in pairwise(sentences[:300])]
    assert max(near) < 0.25
    assert sum(near) / len(near) < 0.05
    assert max(overlap(one, other) for one in sentences[:60] for other in sentences[:60] if one != other) < 0.5


async def test_clarify_never_ends_and_never_says_the_same() -> None:
    tasks: list[Json] = []
    said: list[str] = []
    async with misbehaving("clarify") as client:
        for number in range(1, 25):
            made = await decided(client, *tasks)
            [task] = made.tasks
            answer = await result(client, work(number, task.objective))
            assert (made.action, answer.findings, len(answer.gaps)) == ("assign", [], 1)
            said += [task.objective, *answer.gaps]
            tasks.append(task.model_dump() | {"status": "done"})
        report = await choice(client, draft())
    ReportDraft.model_validate_json(report["message"]["content"])
    assert [task["agent"] for task in tasks[:4]] == ["researcher", "sales", "researcher", "sales"]
    assert [task["id"] for task in tasks] == [f"T{number}" for number in range(1, 25)]
    assert len(set(said)) == 48
    assert max(overlap(*pair) for pair in pairwise(said)) < 0.25


async def test_clarify_goes_on_when_every_id_is_used() -> None:
    async with misbehaving("clarify") as client:
        made = await decided(client, *({"id": f"T{number}"} for number in range(1, 100)))
    assert [task.id for task in made.tasks] == ["T99"]


def tool(name: str, **properties: Json) -> Json:
    parameters = {"type": "object", "properties": properties, "required": [*properties][:1]}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


SEARCH = tool("notes__search", query={"type": "string"}, limit={"type": "integer", "maximum": 20})
READ = tool("notes__read", id={"type": "string"})
QUERY = tool("shop__query", sql={"type": "string"}, max_rows={"type": "integer", "maximum": 1000})
OVERVIEW = tool("shop__overview")
FOUND = "E1\n# Found\nid,title\nN1,One\nN2,Two"
TABLES = "E2\n# Tables\ntable,column,type\norders,amount,INTEGER\nvans,name,VARCHAR"


async def calls_of(profile: str, tools: list[Json], *results: str) -> list[list[Json]]:
    """The calls of four turns; each of a turn's calls gets one of the results."""
    made: list[list[Json]] = []
    request = work(1)
    async with misbehaving(profile) as client:
        for _ in range(4):
            message = (await choice(client, {**request, "tools": [*tools, RESULT]}))["message"]
            calls = message["tool_calls"]
            made.append([{each["function"]["name"]: json.loads(each["function"]["arguments"])} for each in calls])
            said = zip(calls, results * len(calls), strict=False)
            answers = [{"role": "tool", "tool_call_id": each["id"], "content": text} for each, text in said]
            request = {**request, "messages": [*request["messages"], message, *answers]}
    return made


@pytest.mark.parametrize("offered", [[SEARCH], [QUERY], [SEARCH, QUERY, READ]])
async def test_busy_agents_call_tools_in_new_words_and_never_finish(offered: list[Json]) -> None:
    made = await calls_of("busy", offered, FOUND)
    assert [len(each) for each in made] == [1, 1, 1, 1]
    assert len({json.dumps(each) for each in made}) == 4


async def test_busy_supervisors_hand_out_one_task_after_another() -> None:
    async with misbehaving("busy") as client:
        [first] = (await decided(client)).tasks
        [second] = (await decided(client, first.model_dump())).tasks
    assert first.agent != second.agent
    assert overlap(first.objective, second.objective) < 0.25


async def test_hoarders_fetch_ever_more_of_all_that_there_is() -> None:
    made = await calls_of("hoarder", [SEARCH, READ, QUERY], FOUND, TABLES)
    assert [next(iter(each)) for each in made[0]] == ["notes__search"]
    read = [each["notes__read"]["id"] for turn in made for each in turn if "notes__read" in each]
    assert {"N1", "N2"} <= set(read)
    assert len(read) == len(set(read))
    queries = [each["shop__query"] for each in made[3] if "shop__query" in each]
    assert queries == [{"sql": f"SELECT * FROM {table} LIMIT 353", "max_rows": 1000} for table in ("orders", "vans")]
    searched = [each["notes__search"] for turn in made for each in turn if "notes__search" in each]
    assert [each["limit"] for each in searched] == [20, 20, 20, 20]
    assert len({each["query"] for each in searched}) == 4


async def test_verbose_agents_think_aloud_and_read_one_page_after_another() -> None:
    described, *pages = await calls_of("verbose", [OVERVIEW, QUERY], TABLES)
    assert [next(iter(each)) for each in described] == ["shop__overview"]
    read = [each["shop__query"]["sql"] for turn in pages for each in turn]
    assert read == [f"SELECT * FROM orders LIMIT 10 OFFSET {number}0" for number in (1, 2, 3)]
    async with misbehaving("verbose_no_usage") as client:
        answer = (await client.post("/chat/completions", json=work(tools=[OVERVIEW, QUERY, RESULT]))).json()
    assert answer["choices"][0]["message"]["tool_calls"]
    assert (len(answer["choices"][0]["message"]["content"]) > 6_000, "usage" in answer) == (True, False)


async def test_a_crowd_gets_all_its_tasks_at_once() -> None:
    async with misbehaving("crowd") as client:
        tasks = (await decided(client)).tasks
        then = await decided(client, *(task.model_dump() for task in tasks))
    assert [len(tasks), {task.agent for task in tasks}, then.action] == [12, {"sales"}, "report"]


async def test_severed_answers_are_billed() -> None:
    async with misbehaving("severed") as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post("/chat/completions", json=decision())
        assert len((await invoice(client))["billed"]) == 1


async def test_deadlocked_plans_are_refused_every_time() -> None:
    async with misbehaving("deadlock") as client:
        for tasks in ([], [{"id": "T1"}]):
            made = await decided(client, *tasks)
            assert len(made.tasks) == 2
            with pytest.raises(PlanError, match="wait for one another"):
                validated(made.tasks, {}, [each["name"] for each in AGENTS])


async def test_empty_agents_are_sure_of_what_no_evidence_carries() -> None:
    async with misbehaving("empty") as client:
        made = await result(client, work())
        plan = await decided(client)
    [finding] = made.findings
    assert (finding.confidence, finding.evidence) == ("high", ["E1"])
    assert {task.agent for task in plan.tasks} <= {each["name"] for each in AGENTS}
    told: Any = {"id": "T1.1.1", "task": "T1", "agent": "sales", "status": "unverified", "refused": None}
    state: FindingState = told | finding.model_dump()
    other = Evidence(
        task="T1", server="sales", tool="query", arguments={}, text="# t\na\n1", duration_ms=1,
        content={"kind": "table", "title": "t", "columns": ["a"], "rows": [[1]], "row_count": 1},
    )  # fmt: skip
    assert "there is no evidence E1" in str(problem_with(state, {}))
    assert "is not in E1" in str(problem_with(state, {"E1": other}))


async def test_broken_json_is_broken_wherever_json_is_wanted() -> None:
    async with misbehaving("broken_json") as client:
        for request in (decision(), draft()):
            with pytest.raises(json.JSONDecodeError):
                json.loads((await choice(client, request))["message"]["content"])
        [call] = (await choice(client, work()))["message"]["tool_calls"]
        plain = await choice(client, {"model": "m", "messages": [{"role": "user", "content": "hello"}]})
    with pytest.raises(json.JSONDecodeError):
        json.loads(call["function"]["arguments"])
    assert plain["message"]["content"].endswith("as part of its team.")


@pytest.mark.parametrize("streamed", [True, False])
async def test_refusals_use_their_own_field_where_a_schema_is_wanted(streamed: bool) -> None:
    with serving(PROFILES["refusal"]) as url:
        async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client:
            if streamed:
                stream = await client.chat.completions.create(**decision(), stream=True)
                deltas = [chunk.choices[0].delta async for chunk in stream]
                refused = "".join(delta.refusal or "" for delta in deltas)
                assert all(not delta.content for delta in deltas)
            else:
                message = (await client.chat.completions.create(**decision())).choices[0].message
                refused = message.refusal or ""
                assert message.content is None
            plain = (await client.chat.completions.create(**work())).choices[0]
    assert refused.startswith("I'm sorry")
    assert (plain.message.content, plain.message.refusal, plain.message.tool_calls) == (refused, None, None)


@pytest.mark.parametrize("make", [decision, work, draft])
async def test_huge_answers_fill_what_is_allowed(make: Any) -> None:
    async with misbehaving("huge") as client:
        capped = (await client.post("/chat/completions", json=make(max_completion_tokens=300))).json()
        free = (await client.post("/chat/completions", json=make())).json()
        billed = (await invoice(client))["billed"]
    for answer, tokens in ((capped, 300), (free, 128_000)):
        assert answer["usage"]["completion_tokens"] == tokens
        assert answer["choices"][0]["finish_reason"] == "length"
    assert [each["output_tokens"] for each in billed] == [300, 128_000]
    said = capped["choices"][0]["message"]
    text = said["content"] or said["tool_calls"][0]["function"]["arguments"]
    with pytest.raises(json.JSONDecodeError, match="Unterminated string"):
        json.loads(text)


async def test_no_usage_is_told_and_all_is_billed() -> None:
    async with misbehaving("no_usage") as client, misbehaving(HONEST) as honest:
        whole = (await client.post("/chat/completions", json=work())).json()
        lines = (await client.post("/chat/completions", json=work(**STREAM))).text.splitlines()
        expected = (await honest.post("/chat/completions", json=work())).json()
        billed = (await invoice(client))["billed"]
        same = (await invoice(honest))["billed"]
    assert whole["choices"] == expected["choices"]
    assert "usage" not in whole
    assert lines[-2] == "data: [DONE]"
    assert not any('"usage"' in line for line in lines)
    assert billed == same * 2


async def test_flaky_fails_every_other_call_in_four_ways() -> None:
    body = json.dumps(work(max_completion_tokens=77)).encode()
    seen: list[object] = []
    async with misbehaving("flaky") as client:
        for _ in range(9):
            try:
                response = await client.post("/chat/completions", content=body)
                seen.append(response.status_code)
                if response.status_code == 429:
                    assert response.headers["retry-after"] == "0"
            except httpx.RemoteProtocolError:
                seen.append("cut")
        billed = await invoice(client)
        honest = (await client.post("/chat/completions", content=body)).json()["usage"]
    assert seen == [500, 200, 429, 200, 503, 200, "cut", 200, 500]
    assert (billed["calls"], billed["failed"], len(billed["billed"])) == (9, 4, 5)
    lost = {"model": "m", "input_tokens": honest["prompt_tokens"], "cached_tokens": 0, "output_tokens": 77}
    assert [each == lost for each in billed["billed"]] == [False, False, False, True, False]


async def test_a_stream_is_cut_in_the_middle_too() -> None:
    cut = replace(PROFILES["flaky"], failure=lambda _: PROFILES["flaky"].failure(7))
    arrived: list[str] = []
    async with misbehaving(cut) as client, client.stream("POST", "/chat/completions", json=work(**STREAM)) as response:
        assert response.status_code == 200
        with pytest.raises(httpx.RemoteProtocolError):
            arrived.extend([text async for text in response.aiter_text()])


async def test_an_outage_is_free() -> None:
    async with misbehaving("outage") as client:
        statuses = [(await client.post("/chat/completions", json=make())).status_code for make in (work, draft)]
        assert statuses == [503, 503]
        assert await invoice(client) == {"calls": 2, "failed": 2, "billed": [], "embedded": []}


async def lost(profile: Profile, body: bytes) -> Json:
    """The bill of a request whose client gave up."""
    async with misbehaving(profile) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.post("/chat/completions", content=body, timeout=httpx.Timeout(5, read=0.3))
        [bill] = (await invoice(client))["billed"]
    found: Json = bill
    return found


@pytest.mark.parametrize("name", ["hang", "slow"])
@pytest.mark.parametrize(("fields", "output"), [({"max_completion_tokens": 60}, 60), ({}, 128_000)])
async def test_what_a_client_gave_up_on_costs_the_worst_case(name: str, fields: Json, output: int) -> None:
    async with misbehaving(HONEST) as client:
        usage = (await client.post("/chat/completions", json=work(**fields))).json()["usage"]
    bill = await lost(PROFILES[name], json.dumps(work(**fields)).encode())
    assert bill == {"model": "m", "input_tokens": usage["prompt_tokens"], "cached_tokens": 0, "output_tokens": output}


async def test_an_honest_model_bills_a_lost_answer_as_it_is() -> None:
    async with misbehaving(HONEST) as client:
        usage = (await client.post("/chat/completions", json=work())).json()["usage"]
    bill = await lost(replace(HONEST, wait_s=30), json.dumps(work()).encode())
    assert (bill["input_tokens"], bill["output_tokens"]) == (usage["prompt_tokens"], usage["completion_tokens"])


async def test_a_slow_answer_that_was_waited_for_costs_what_it_says() -> None:
    assert PROFILES["slow"].wait_s == 8
    async with misbehaving(replace(PROFILES["slow"], wait_s=0.05)) as client:
        usage = (await client.post("/chat/completions", json=work())).json()["usage"]
        [bill] = (await invoice(client))["billed"]
    assert bill["input_tokens"] == usage["prompt_tokens"]
    assert bill["output_tokens"] == usage["completion_tokens"]
