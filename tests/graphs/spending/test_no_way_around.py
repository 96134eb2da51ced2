"""Nothing in a node gets past the gate: not the agents with a model that never stops, not code that means to.

The provider charges the most it may and keeps the invoice; the tests read nothing else for what was spent. What stands
outside of this is Python that takes the guard itself apart, or brings a client of its own: for that there is a linter.
"""

import ast
import asyncio
import contextlib
import contextvars
import dataclasses
import itertools
import json
import operator
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.runnables import ConfigurableField
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Send
from openai import DefaultAsyncHttpxClient
from pydantic import BaseModel
from redis.asyncio import Redis
from typing_extensions import TypedDict

from agents import AGENTS
from app.config.settings import Settings
from app.running.processes import Addresses
from app.running.runtime import dependencies
from graphs.deps import Deps
from graphs.errors import LimitReached, Unaccounted
from graphs.research import build_research_graph
from graphs.spending.limits import Limits
from graphs.spending.model import GovernedChatOpenAI
from graphs.tools.gateway import ToolGateway
from tests.billing_provider import MODEL, Behaviour, Provider, billing

Json = dict[str, Any]
ROOT = Path(__file__).parents[3]
JOB = "job-hostile"
BUDGET = 40_000  # micro-dollars: 19 calls of "hello" at their worst, or two that ask for eight answers each
DAY = 60_000
ROUNDS = 30
ENOUGH = 100  # requests, after which the provider refuses: without the gate a test fails, instead of running for ever
WITHOUT_END: Json = dict.fromkeys(
    ("steps", "handoffs", "plans", "tool_calls", "agent_tool_calls", "repeats", "idle_handoffs"), 10**6
)
RICH: Json = {"budget_micro_usd": 10**9, "spend_per_minute_micro_usd": 10**12, "agent_share_percent": 100}


@pytest.fixture
def provider() -> Iterator[Provider]:
    with billing(Provider(behave=lambda number: "worst" if number < ENOUGH else 400)) as served:
        yield served


@contextlib.asynccontextmanager
async def built(provider: Provider, settings: Settings, client: Redis, servers: Any) -> AsyncIterator[Deps]:
    one_model = settings.model_copy(update={"supervisor_model": MODEL, "model": MODEL})
    async with ToolGateway(servers) as gateway, DefaultAsyncHttpxClient() as http:
        deps = dependencies(one_model, provider.url, http, gateway, client)
        days = {"tenant_day_micro_usd": 10**12, "deployment_day_micro_usd": 10**12}
        generous = Limits(**{**WITHOUT_END, **RICH, **days, "model_calls": 10**6, "agent_model_calls": 10**6})
        yield dataclasses.replace(deps, limits=deps.limits.model_copy(update=days), ceiling=generous)


# The agents.


class Endless:
    """A mind that hands out task after task to one agent, and as that agent calls tool after tool."""

    def __init__(self, agent: str) -> None:
        self._agent = agent
        self._numbers = itertools.count()

    def __call__(self, request: Json) -> Json:
        number = next(self._numbers)
        offered = [each["function"]["name"] for each in request.get("tools", [])]
        if usable := [name for name in offered if name != "AgentResult"]:
            function = {"name": usable[number % len(usable)], "arguments": json.dumps({"attempt": number})}
            return {"content": None, "tool_calls": [{"id": f"call_{number}", "type": "function", "function": function}]}
        if offered:  # its last turns: it has nothing to say
            return {"content": "There is always more."}
        return {"content": json.dumps(self._answer(request, number))}

    def _answer(self, request: Json, number: int) -> Json:
        if request["response_format"]["json_schema"]["name"] == "ReportDraft":
            return {"title": "Never done", "body": f"There is always more. {number}"}
        packet = json.loads(next(each["content"] for each in request["messages"] if each["role"] == "user"))
        task = {"id": f"T{len(packet['tasks']) + 1}", "agent": self._agent, "depends_on": []}
        return {"action": "assign", "reason": "more", "tasks": [{**task, "objective": f"find number {number}"}]}


COSTLY: tuple[Behaviour, ...] = ("worst", 429, "no_usage", "broken_json")
PRESSED = {
    "for money": ({"budget_micro_usd": 50_000, "model_calls": 500, "agent_model_calls": 500}, COSTLY),
    "for calls": ({"budget_micro_usd": 10**9, "model_calls": 7, "agent_model_calls": 500}, ("answer",)),
    "for an agent's calls": ({"budget_micro_usd": 10**9, "model_calls": 14, "agent_model_calls": 9}, ("answer",)),
}


# Any two of agent, what is done at a limit, and what presses meet once.
ENDS = ("escalate", "finish_partial", "fail")
MEETINGS = [
    pytest.param(agent.name, ENDS[(first + second) % 3], pressed, marks=pytest.mark.slow if first else ())
    for first, agent in enumerate(AGENTS)
    for second, pressed in enumerate(PRESSED)
]


@pytest.mark.parametrize(("agent", "on_limit", "pressed"), MEETINGS)
async def test_no_agent_passes_its_limits(
    provider: Provider,
    settings: Settings,
    addresses: Addresses,
    redis_client: Redis,
    agent: str,
    on_limit: str,
    pressed: str,
) -> None:
    given, behaviours = PRESSED[pressed]
    limits = Limits(**{**WITHOUT_END, **RICH, "answer_tokens": 1000, "on_limit": on_limit, **given})
    provider.decide = Endless(agent)
    provider.behave = lambda number: behaviours[number % len(behaviours)] if number < ENOUGH else 400
    async with built(provider, settings, redis_client, addresses.servers) as deps:
        start: Any = {"job_id": JOB, "question": "What was our revenue?", "limits": limits.model_dump()}
        ended = await build_research_graph(deps).ainvoke(start)
        spend = await deps.ledger.spend(JOB)
    agent_requests = [each for each in provider.requests if each.get("tools")]
    assert agent_requests
    assert provider.billed_micro_usd <= spend.micro_usd <= limits.budget_micro_usd
    assert len(provider.requests) == spend.model_calls <= limits.model_calls
    assert len(agent_requests) <= limits.agent_model_calls
    assert spend.reserved_micro_usd == 0
    pressure = spend.micro_usd / limits.budget_micro_usd, spend.model_calls / limits.model_calls
    assert max(pressure) > 0.6, "it stopped long before any limit, so this has shown nothing"
    assert ended.get("status") in {"partial", "failed"} or "__interrupt__" in ended


# Hostile code.


@dataclass
class Inside:
    """What a node has in its hands: what it was given, its state, and a model on the account of its job."""

    deps: Deps
    state: Json
    model: GovernedChatOpenAI
    emit: Callable[[Json], None]
    round: int = 0
    errors: list[BaseException] = field(default_factory=list)


Way = Callable[[Inside], Awaitable[Any]]


class HostileState(TypedDict):
    job_id: str
    tenant: str
    limits: Json
    deadline_at: str
    branches: Annotated[list[int], operator.add]


async def let_loose(way: Way, deps: Deps, branches: int = 1) -> list[BaseException]:
    """Runs nodes of a real graph that do it again and again, and swallow every refusal. What they swallowed."""
    errors: list[BaseException] = []

    async def hostile(state: HostileState, runtime: Runtime) -> Json:
        model = deps.model.charged_to(deps.account(state, "sales", {}), runtime.stream_writer)
        inside = Inside(deps, dict(state), model, runtime.stream_writer, errors=errors)
        for inside.round in range(ROUNDS):
            try:
                await way(inside)
            except Exception as error:
                errors.append(error)
        return {"branches": [1]}

    def out(state: HostileState) -> list[Send]:
        return [Send("hostile", state) for _ in range(branches)]

    graph = StateGraph(HostileState)
    graph.add_node("hostile", hostile)
    graph.add_conditional_edges(START, out, ["hostile"])
    graph.add_edge("hostile", END)
    limits = Limits(**{**RICH, "budget_micro_usd": BUDGET, "answer_tokens": 1000, "model_calls": 10**4})
    limits = limits.model_copy(update={"agent_model_calls": 10**4, "call_timeout_s": 5})
    given: Any = {"job_id": JOB, "tenant": "local", "limits": limits.model_dump(), "branches": []}
    given["deadline_at"] = "2999-01-01T00:00:00+00:00"
    ended = await graph.compile().ainvoke(given)
    assert len(ended["branches"]) == branches
    return errors


@pytest.fixture
async def deps(provider: Provider, settings: Settings, redis_client: Redis) -> AsyncIterator[Deps]:
    async with built(provider, settings, redis_client, {}) as made:
        yield made


class Colour(BaseModel):
    """A colour."""

    name: str


async def in_plain_thread(call: Callable[[], Any]) -> None:
    def swallowing() -> None:
        with contextlib.suppress(LimitReached):
            call()

    thread = threading.Thread(target=swallowing)
    thread.start()
    await asyncio.to_thread(thread.join)


async def streamed(model: Any) -> None:
    async for _ in model.astream("hello"):
        pass


async def of_no_run(call: Any) -> Any:
    """In a context that knows of no run, no config and no callbacks."""
    return await asyncio.create_task(call, context=contextvars.Context())


def child(model: Any) -> Any:
    """A graph that calls the model for as long as it is let."""

    async def talk(state: Json) -> Json:
        await model.ainvoke("hello")
        return state

    graph = StateGraph(dict)  # type: ignore[type-var]
    graph.add_node("talk", talk)
    graph.add_edge(START, "talk")
    graph.add_edge("talk", "talk")
    return graph.compile()


def copied(**update: Any) -> Way:
    return lambda it: it.model.model_copy(update=update).ainvoke("hello")


def bound(**arguments: Any) -> Way:
    return lambda it: it.model.bind(**arguments).ainvoke("hello")


def bound_stream(**arguments: Any) -> Way:
    return lambda it: streamed(it.model.bind(**arguments))


BREAKS_OFF = "structured stream"  # at text that is no JSON, before the usage comes: charged at the worst

PAID: dict[str, Way] = {
    "ainvoke": lambda it: it.model.ainvoke("hello"),
    "astream": lambda it: streamed(it.model),
    "abatch": lambda it: it.model.abatch(["hello"] * 4),
    "agenerate": lambda it: it.model.agenerate([[HumanMessage("hello")]] * 3),
    "plain thread": lambda it: in_plain_thread(lambda: it.model.invoke("hello")),
    "to_thread": lambda it: asyncio.to_thread(it.model.invoke, "hello"),
    "thread, stream": lambda it: asyncio.to_thread(lambda: list(it.model.stream("hello"))),
    "thread, batch": lambda it: asyncio.to_thread(it.model.batch, ["hello"] * 4),
    "emptied callbacks": lambda it: it.model.ainvoke("hello", config={"callbacks": []}),
    "no config": lambda it: of_no_run(it.model.ainvoke("hello")),
    "eight at once": lambda it: asyncio.gather(*(it.model.ainvoke("hello") for _ in range(8))),
    "child graph without config": lambda it: of_no_run(child(it.model).ainvoke({})),
    "child graph of its own": lambda it: child(it.model).ainvoke({}, {"recursion_limit": 10**6}),
    "structured": lambda it: it.model.with_structured_output(Colour, method="json_schema").ainvoke("hello"),
    BREAKS_OFF: lambda it: streamed(it.model.with_structured_output(Colour, method="json_schema")),
    "tools": lambda it: it.model.bind_tools([Colour]).ainvoke("hello"),
    "with_retry": lambda it: it.model.with_retry(stop_after_attempt=3, wait_exponential_jitter=False).ainvoke("hello"),
    "with_fallbacks": lambda it: it.model.with_fallbacks([it.model] * 3).ainvoke("hello"),
    "longer answer": bound(max_tokens=10**6),
    "longer answer, by its other name": bound(max_completion_tokens=10**6),
    "endless answer": bound(max_tokens=-1),
    "eight answers": bound(n=8),
    "eight answers, streamed": bound_stream(n=8),
    "stream as an argument": bound(stream=True),
    "stream without usage": bound_stream(stream_usage=False),
    "made-up ticket": bound(extra_headers={"X-Tollgate-Ticket": "mine"}),
    "copy": copied(),
    "copy with retries": copied(max_retries=9),
    "copy with a longer answer": copied(max_tokens=10**6),
    "copy with arguments": copied(model_kwargs={"max_tokens": 10**6, "max_completion_tokens": 10**6}),
    "copy with eight answers": copied(n=8),
    "copy that streams": copied(streaming=True),
    "copy that keeps headers": copied(include_response_headers=True),
    "as another agent": lambda it: charged(it, it.state, f"agent-{it.round}").ainvoke("hello"),
}


def charged(it: Inside, state: Json, agent: str = "sales") -> GovernedChatOpenAI:
    return it.deps.model.charged_to(it.deps.account(state, agent, {}), it.emit)


def rebuilt(it: Inside, **given: Any) -> GovernedChatOpenAI:
    fields = {"model": MODEL, "base_url": it.model.openai_api_base, "api_key": "none", "toll": it.model.toll}
    return GovernedChatOpenAI(**{**fields, "max_retries": 9, **given})


def http(client: Any) -> Any:
    assert client is not None
    return client


def unbuilt(it: Inside) -> GovernedChatOpenAI:
    """A copy whose clients are made anew, without ours."""
    without = dict.fromkeys(["client", "root_client", "async_client", "root_async_client"])
    model = it.model.model_copy(update={**without, "http_client": None, "http_async_client": None, "max_retries": 9})
    model.validate_environment()  # type: ignore[operator]  # pydantic leaves it a method
    return model


def reconfigured(it: Inside, **values: Any) -> Any:
    fields: Any = {name: ConfigurableField(id=name) for name in values}
    return it.model.configurable_fields(**fields).with_config(configurable=values)


ASKED: Json = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}]}
IN_THE_BODY: Json = {"max_completion_tokens": 10**6, "n": 8, "model": "gpt-5.5-pro"}

REFUSED: dict[str, Way] = {
    "nobody's model": lambda it: it.deps.model.ainvoke("hello"),
    "nobody's model, streamed": lambda it: streamed(it.deps.model),
    "nobody's copy": copied(account=None),
    "on the loop": lambda it: asyncio.sleep(0, it.model.invoke("hello")),
    "a loop of its own": lambda it: asyncio.to_thread(lambda: asyncio.run(it.model.ainvoke("hello"))),
    "another model": bound(model="gpt-5.5-pro"),
    "another model's copy": copied(model_name="gpt-5.5-pro"),
    "an unknown model's copy": copied(model_name="mystery"),
    "another model, configured": lambda it: reconfigured(it, model_name="mystery").ainvoke("hello"),
    "retries, configured": lambda it: reconfigured(it, max_retries=9).ainvoke("hello"),
    "another body": bound(extra_body=IN_THE_BODY),
    "another body, streamed": bound_stream(extra_body=IN_THE_BODY),
    "a copy with another body": copied(extra_body=IN_THE_BODY),
    "the other API": copied(use_responses_api=True),
    "a dearer tier": bound(service_tier="priority"),
    "a copy of a dearer tier": copied(service_tier="priority"),
    "fewer than no answers": bound(n=-3),
    "rebuilt": lambda it: rebuilt(it, account=it.model.account, emit=it.emit, home=it.model.home).ainvoke("hello"),
    "rebuilt, raw": lambda it: rebuilt(it).async_client.create(**ASKED),
    "rebuilt, raw, with half of the clients": lambda it: rebuilt(
        it, http_client=it.model.http_client
    ).async_client.create(**ASKED),
    "rebuilt, synchronous": lambda it: asyncio.to_thread(
        lambda: rebuilt(it, http_async_client=it.model.http_async_client).client.create(**ASKED)
    ),
    "clients made anew": lambda it: unbuilt(it).ainvoke("hello"),
    "clients made anew, raw": lambda it: unbuilt(it).async_client.create(**ASKED),
    "async_client": lambda it: it.model.async_client.create(**ASKED),
    "async_client, streamed": lambda it: it.model.async_client.create(**ASKED, stream=True),
    "async_client, raw": lambda it: it.model.async_client.with_raw_response.create(**ASKED),
    "async_client, made-up ticket": lambda it: it.model.async_client.create(
        **ASKED, extra_headers={"x-tollgate-ticket": "mine"}
    ),
    "root_async_client": lambda it: it.model.root_async_client.chat.completions.create(**ASKED),
    "with_options": lambda it: it.model.root_async_client.with_options(
        timeout=9, max_retries=0
    ).chat.completions.create(**ASKED),
    "responses": lambda it: it.model.root_async_client.responses.create(model=MODEL, input="hello"),
    "embeddings": lambda it: it.model.root_async_client.embeddings.create(model=MODEL, input="hello"),
    "post": lambda it: it.model.root_async_client.post("/chat/completions", body=ASKED, cast_to=dict),
    "http_async_client": lambda it: http(it.model.http_async_client).post(
        f"{it.model.openai_api_base}/chat/completions", json=ASKED
    ),
    "client": lambda it: asyncio.to_thread(it.model.client.create, **ASKED),
    "root_client": lambda it: asyncio.to_thread(it.model.root_client.chat.completions.create, **ASKED),
    "http_client": lambda it: asyncio.to_thread(
        http(it.model.http_client).post, f"{it.model.openai_api_base}/chat/completions", json=ASKED
    ),
    "the class below": lambda it: ChatOpenAI._agenerate(it.model, [HumanMessage("hello")]),
    "the class below, streamed": lambda it: anext(ChatOpenAI._astream(it.model, [HumanMessage("hello")])),
    "the class below, in a thread": lambda it: asyncio.to_thread(
        ChatOpenAI._generate, it.model, [HumanMessage("hello")]
    ),
}


async def agrees(deps: Deps, provider: Provider, way: str = "") -> None:
    spend = await deps.ledger.spend(JOB)
    assert spend.reserved_micro_usd == 0
    assert provider.billed_micro_usd <= spend.micro_usd <= BUDGET
    assert way == BREAKS_OFF or (spend.micro_usd, spend.estimated_micro_usd) == (provider.billed_micro_usd, 0)
    assert len(provider.requests) <= spend.model_calls


@pytest.mark.parametrize("way", PAID)
async def test_whoever_pays_gets_what_the_budget_pays_for(deps: Deps, provider: Provider, way: str) -> None:
    errors = await let_loose(PAID[way], deps)
    assert 0 < len(provider.requests) < ROUNDS
    assert any(isinstance(each, LimitReached) for each in errors) or way == "plain thread"
    await agrees(deps, provider, way)


@pytest.mark.parametrize("way", REFUSED)
async def test_whoever_goes_past_gets_nothing(deps: Deps, provider: Provider, way: str) -> None:
    errors = await let_loose(REFUSED[way], deps)
    assert provider.requests == []
    assert len(errors) == ROUNDS
    assert all(isinstance(each, Unaccounted | ValueError) for each in errors), errors[0]
    await agrees(deps, provider)


async def test_eight_branches_share_one_budget(deps: Deps, provider: Provider) -> None:
    await let_loose(PAID["ainvoke"], deps, branches=8)
    assert 0 < len(provider.requests) < ROUNDS
    await agrees(deps, provider)


MADE_UP: dict[str, tuple[str, Callable[[Inside], Json]]] = {
    "job": ("tenant_day_micro_usd", lambda it: {"job_id": f"made-up-{it.round}"}),
    "job and tenant": ("deployment_day_micro_usd", lambda it: dict.fromkeys(["job_id", "tenant"], f"new-{it.round}")),
    "limits": (
        "tenant_day_micro_usd",
        lambda _: {"limits": Limits(**RICH, deployment_day_micro_usd=10**12).model_dump()},
    ),
}


@pytest.mark.parametrize("made_up", MADE_UP)
async def test_what_is_made_up_is_held_by_the_day(deps: Deps, provider: Provider, made_up: str) -> None:
    limit, change = MADE_UP[made_up]
    toll = deps.model.toll
    today_only = dataclasses.replace(toll, days=toll.days.model_copy(update={limit: DAY}))
    poor = dataclasses.replace(deps, model=deps.model.model_copy(update={"toll": today_only}))
    errors = await let_loose(lambda it: charged(it, {**it.state, **change(it)}).ainvoke("hello" * 500), poor)
    today = await deps.ledger.spent_today("local")
    assert 0 < provider.billed_micro_usd <= today.deployment.micro_usd <= DAY
    assert isinstance(errors[-1], LimitReached)
    assert errors[-1].scope == limit.removesuffix("_micro_usd")


# Clients of one's own.

CLIENTS = [
    "from langchain_openai import ChatOpenAI",
    "from langchain_openai.chat_models.base import BaseChatOpenAI",
    "import langchain_openai",
    "from langchain.chat_models import init_chat_model",
    "from langchain.chat_models.base import init_chat_model",
    "from openai import AsyncOpenAI",
    "from openai import OpenAI",
    "import openai; openai.AsyncOpenAI()",
]


LINT = ["ruff", "check", "--no-cache", "--select", "TID251", "--output-format", "concise", "--stdin-filename"]


@pytest.mark.parametrize("module", ["graphs/nodes/rogue.py", "graphs/rogue.py", "agents/rogue.py", "app/rogue.py"])
def test_the_linter_refuses_clients_of_one_s_own(module: str) -> None:
    told = subprocess.run(
        [sys.executable, "-m", *LINT, module, "-"],
        cwd=ROOT,
        input="\n".join(CLIENTS),
        capture_output=True,
        text=True,
        check=False,
    )
    refused = re.findall(r":(\d+):\d+: TID251 .* spends without a ledger", told.stdout)
    assert refused == [str(line) for line in range(1, len(CLIENTS) + 1)], told.stdout + told.stderr


def test_import_linter_refuses_it_too(tmp_path: Path) -> None:
    for package in ("agents", "app", "evals", "graphs", "mcp_servers", "safe_http", "sample"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    rogue = "from langchain_openai import ChatOpenAI\nfrom graphs.spending.model import GovernedChatOpenAI\n"
    (tmp_path / "graphs/nodes/rogue.py").write_text(rogue)
    told = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 1, told.stderr
    assert "A governed model is built in one place, and handed to the nodes BROKEN" in told.stdout
    assert "No client of a model provider but the governed one BROKEN" in told.stdout
    assert told.stdout.count("BROKEN") == 2


def test_no_model_is_asked_for_by_its_name() -> None:
    """`create_agent("openai:gpt-5")` builds a client of its own, and no import shows it."""
    named = re.compile(r"[a-z_]+:[a-z][\w.-]*")
    makers = {"create_agent", "init_chat_model", "SummarizationMiddleware", "LLMToolSelectorMiddleware"}
    for path in [*(ROOT / "graphs").rglob("*.py"), *(ROOT / "agents").rglob("*.py"), *(ROOT / "app").rglob("*.py")]:
        calls = [each for each in ast.walk(ast.parse(path.read_text())) if isinstance(each, ast.Call)]
        for call in calls:
            model = [word.value for word in call.keywords if word.arg == "model"]
            if getattr(call.func, "id", getattr(call.func, "attr", "")) in makers:
                model += call.args[:1]
            texts = [each.value for each in model if isinstance(each, ast.Constant) and isinstance(each.value, str)]
            assert not [each for each in texts if named.fullmatch(each)], f"{path}:{call.lineno}"
