"""Every way in which servers answer, at every role, once and always: what can be read is read, what cannot is asked for
again, what is no completion is an outage. A job ends with the right status, and costs what was billed."""

import asyncio
import contextlib
import dataclasses
import json
import logging
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from openai import DefaultAsyncHttpxClient
from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.config.settings import Settings
from app.running.processes import Addresses
from app.running.runtime import dependencies
from graphs.checkpoint.saver import RedisSaver
from graphs.deps import Deps
from graphs.redis.breaker import Breaker
from graphs.research import ResearchGraph, build_research_graph
from graphs.spending.limits import Limits
from graphs.tools.gateway import ToolGateway
from tests.graphs.insides import INSIDES
from tests.http_server import served
from tests.malformed import AGAIN, OUTAGE, READ, Role, Way
from tests.scripted_model import REPORT, assign, completion, quoting, revenue, task

pytestmark = pytest.mark.slow

Json = dict[str, Any]
MICRO = 450  # of an answer with its usage: 1000 tokens in, 100 out at 0.25 and 2.00 USD a million
AT_ONCE = 12
ROLES: dict[str, Role] = {"SupervisorDecision": "supervisor", "ReportDraft": "report"}
CLAIM = "Revenue in 2024 was EUR"


@dataclass(frozen=True)
class Case:
    """One job: which answers are changed, and how often."""

    way: Way
    role: Role
    when: str  # once, always, or "result": the first result of an agent

    @property
    def name(self) -> str:
        return f"{self.way.name} ({self.role}, {self.when})"


def cases(ways: list[Way], **whens: tuple[str, ...]) -> list[Case]:
    return [Case(way, role, when) for way in ways for role in way.roles for when in whens[role]]


ALWAYS = dict.fromkeys(["supervisor", "agent", "report"], ("always",))
TOLD = {"supervisor": ("once",), "agent": ("once", "result"), "report": ("once",)}
RETRIED = {"supervisor": (), "agent": ("once",), "report": ("once",)}  # whoever asks, it is the gate that retries
EACH = 6  # of the ways that a job cannot go on with, those that are given always: a job ends the same way by each


@dataclass
class Server:
    """Answers honestly but for the case that a question names, and keeps a bill for each."""

    cases: list[Case]
    changed: Counter[int] = field(default_factory=Counter)
    billed: Counter[int] = field(default_factory=Counter)
    unknown: set[int] = field(default_factory=set)  # cases with an answer whose usage nobody told

    async def answer(self, request: Request) -> Response:
        asked = await request.json()
        packet = json.loads(next(each["content"] for each in asked["messages"] if each["role"] == "user"))
        wanted = (asked.get("response_format") or {}).get("json_schema", {}).get("name")
        role, number = ROLES.get(wanted, "agent"), int(re.findall(r"\d+", packet["question"])[-1])
        document = completion(asked["model"], _honest(role, packet, asked["messages"]))
        answer: Json | Response = document
        if number < len(self.cases) and self._is_due(number, role, document):
            self.changed[number] += 1
            answer = self.cases[number].way.answer(document)
        if isinstance(answer, Response):
            if self.cases[number].way.name == "a body that breaks off":
                self.unknown.add(number)
            return answer
        self.billed[number] += MICRO
        return JSONResponse(answer)

    def _is_due(self, number: int, role: Role, document: Json) -> bool:
        case = self.cases[number]
        if role != case.role:
            return False
        gives_result = "AgentResult" in json.dumps(document)
        return {"once": not self.changed[number], "always": True, "result": gives_result and not self.changed[number]}[
            case.when
        ]


def _honest(role: Role, packet: Json, messages: list[Json]) -> Json:
    if role == "supervisor":
        return REPORT if packet["tasks"] else assign(task(1, "sales"))
    if role == "report":
        return quoting(packet, messages)
    results = [each for each in messages if each["role"] == "tool"]
    return revenue(packet, results or messages[:1])


@contextlib.contextmanager
def serving(server: Server) -> Iterator[str]:
    route = Route("/v1/chat/completions", server.answer, methods=["POST"])
    with served(Starlette(routes=[route])) as address:
        yield f"{address}/v1"


@contextlib.asynccontextmanager
async def built(url: str, settings: Settings, servers: Any, client: Redis) -> AsyncIterator[tuple[Deps, ResearchGraph]]:
    one_model = settings.model_copy(update={"supervisor_model": settings.model})
    async with ToolGateway(servers) as gateway, DefaultAsyncHttpxClient() as http:
        deps = dependencies(one_model, url, http, gateway, client)
        # Hundreds of jobs fail here at once: none of them may close the door for the others.
        breaker = Breaker(client, "of malformed answers", failures=10**6)
        model = deps.model.model_copy(update={"toll": dataclasses.replace(deps.model.toll, breaker=breaker)})
        deps = dataclasses.replace(deps, model=model, supervisor_model=model)
        yield deps, build_research_graph(deps, RedisSaver(client, ttl_seconds=600))


async def ended(server: Server, settings: Settings, addresses: Addresses, client: Redis) -> list[tuple[Json, int]]:
    """The last state of each case's job, and what the ledger says that it has cost."""
    free, days = asyncio.Semaphore(AT_ONCE), {"tenant_day_usd": 1000.0, "deployment_day_usd": 1000.0}
    limits = Limits(on_limit="finish_partial", outage_s=1, tenant_day_micro_usd=10**9, deployment_day_micro_usd=10**9)
    with serving(server) as url:
        async with built(url, settings.model_copy(update=days), addresses.servers, client) as (deps, research):

            async def run(number: int) -> tuple[Json, int]:
                given: Any = {
                    "job_id": f"job-{number}",
                    "question": f"What was our revenue, in case {number}?",
                    "limits": limits.model_dump(),
                }
                config: Any = {"configurable": {"thread_id": f"job-{number}"}}
                async with free:
                    state = await research.ainvoke(given, config)
                used = await deps.ledger.spend(f"job-{number}")
                assert used.reserved_micro_usd == 0
                return state, used.micro_usd

            await run(len(server.cases))  # an honest one first: the model is known to call tools
            return list(await asyncio.gather(*(run(number) for number in range(len(server.cases)))))


def problem_with(case: Case, state: Json, expected: tuple[str, str]) -> str:
    found = [each["claim"] for each in state["findings"].values() if each["status"] == "verified"]
    told = (state["status"], state["stop_reason"])
    if told != expected:
        return f"{case.name}: {told}, {state['stop_detail']}, instead of {expected}"
    if expected == ("completed", "answered") and [claim[: len(CLAIM)] for claim in found] != [CLAIM]:
        return f"{case.name}: the findings are {found}"
    shown = ("stop_detail", "flags", "report", "tasks", "findings")
    if inside := INSIDES.search(json.dumps([state[name] for name in shown])):
        return f"{case.name}: {inside[0]} is told to readers"
    if expected[0] == "partial" and not (state["stop_detail"] and state["report"]["body"]):
        return f"{case.name}: nobody is told why"
    return ""


ENDS = {
    "read": dict.fromkeys(["supervisor", "agent", "report"], ("completed", "answered")),
    "again": {
        "supervisor": ("partial", "plan_failed"),
        "agent": ("partial", "no_usable_answer"),
        "report": ("completed", "answered"),
    },
    "outage": {
        "supervisor": ("partial", "model_unavailable"),
        "agent": ("partial", "model_unavailable"),
        "report": ("completed", "answered"),
    },
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "asked",
    [
        pytest.param(cases(READ, **ALWAYS), id="read"),
        pytest.param(cases(AGAIN, **TOLD) + cases(AGAIN[::EACH], **ALWAYS), id="again"),
        pytest.param(cases(OUTAGE, **RETRIED) + cases(OUTAGE[::EACH], **ALWAYS), id="outage"),
    ],
)
async def test_every_way_ends_as_it_should(
    settings: Settings,
    addresses: Addresses,
    redis_client: Redis,
    caplog: pytest.LogCaptureFixture,
    asked: list[Case],
) -> None:
    server = Server(asked)
    with caplog.at_level(logging.WARNING):
        jobs = await ended(server, settings, addresses, redis_client)
    problems = []
    for number, (case, (state, cost)) in enumerate(zip(asked, jobs, strict=True)):
        always = ENDS[case.way.expected][case.role]
        problems.append(problem_with(case, state, always if case.when == "always" else ("completed", "answered")))
        if not server.changed[number]:
            problems.append(f"{case.name}: it was never answered so")
        if cost < server.billed[number] or (cost > server.billed[number] and number not in server.unknown):
            problems.append(f"{case.name}: the ledger says {cost}, the bill {server.billed[number]}")
        flagged = any("put together without a model" in each for each in state["flags"])
        if flagged != (case.role == "report" and case.when == "always" and case.way.expected != "read"):
            problems.append(f"{case.name}: the flags are {state['flags']}")
    told = [each for each in problems if each]
    assert told == [], "\n".join(told)
    assert [each for each in caplog.records if each.exc_info] == [], "no traceback"
