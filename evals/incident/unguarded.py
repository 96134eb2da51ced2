"""An ordinary team for comparison: the same agents, prompts, tools and models, without guards.

Each choice is a library's default, or occurs in a public template:

- A supervisor hands work to agents, which always return to it. All messages of all agents, including tool results, go
  into one shared history that everybody reads in full, as in `langgraph-supervisor` with `output_mode="full_history"`;
  its default keeps only the last message of each agent.
- Agents are `create_agent` with tools and a system prompt. No recursion limit is given, so LangGraph's own applies.
- The client retries a failed request twice, which is its default. A retry policy around each node tries that three
  times; `open_deep_research` has `with_retry` around its clients, with the same effect.
- MCP tools come from `MultiServerMCPClient.get_tools()`: a session for each call, whatever the tool returns.
- Agents of one plan run in parallel, each waits for its dependencies, and the first failure ends the run.
- The last agent's message is the report.
- Answers may be as long as the models allow.

`naive.Habits` are what such teams do beyond that against overspending.
"""

import asyncio
import json
import operator
import uuid
from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any

from langchain.agents import create_agent
from langchain.agents.middleware import ModelCallLimitMiddleware
from langchain.agents.structured_output import ToolStrategy
from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage
from langchain_core.tools import BaseTool
from langchain_openai import ChatOpenAI  # noqa: TID251  compared with: a client without a gate
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command, RetryPolicy, Send, interrupt
from openai import DefaultAsyncHttpxClient
from pydantic import SecretStr

from agents import AGENTS
from agents.base import AgentResult, AgentSpec, SupervisorDecision, Task
from evals.incident.naive import NONE, BeforeEachCall, CapReached, Habits, counted
from evals.incident.session_per_call import Tools
from graphs.prompts import prompt

Json = dict[str, Any]

TRIES = RetryPolicy(max_attempts=3)
STORED = [(each.__module__, each.__name__) for each in (Task, AgentResult)]
SUPERVISOR_MODEL = "gpt-5-nano"


class TeamState(MessagesState):
    """What everybody said, and what the nodes that have ended spent."""

    spent: Annotated[Decimal, operator.add]


class Team:
    """Answers one question.

    Args:
        model_url: an OpenAI-compatible server, with `/v1`.
        servers: MCP endpoint by server name.
        http: the HTTP client of all models.
        habits: what it does against overspending.
    """

    def __init__(
        self, model_url: str, servers: Mapping[str, str], http: DefaultAsyncHttpxClient, habits: Habits = NONE
    ) -> None:
        self._habits = habits
        self._usage = UsageMetadataCallbackHandler()
        self._seen = Decimal(0)

        def client(name: str) -> ChatOpenAI:
            return ChatOpenAI(
                model=name,
                base_url=model_url,
                api_key=SecretStr("none"),
                http_async_client=http,
                max_retries=2,
                max_completion_tokens=habits.answer_tokens,
                streaming=habits.streaming,
                callbacks=[self._usage],
            )

        self._model = client(habits.model)
        self._supervisor_model = client(SUPERVISOR_MODEL).with_structured_output(SupervisorDecision)
        self._tools = Tools(servers)
        self._tasks: dict[str, Task] = {}
        self._done: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._results: dict[str, AgentResult] = {}

    @property
    def counted(self) -> Decimal | None:
        """What it thinks that it has spent, in US dollars; None if it does not count."""
        if self._habits.cap_usd is None:
            return None
        return counted(self._usage.usage_metadata) if self._habits.counter == "process" else self._seen

    async def answer(self, question: str) -> str:
        """The report. Raises any error; runs as long as the supervisor wants."""
        tools = await self._tools.load()
        graph = StateGraph(TeamState)
        graph.add_node("supervisor", self._supervise, retry_policy=TRIES, destinations=tuple(a.name for a in AGENTS))
        graph.add_edge(START, "supervisor")
        for spec in AGENTS:
            servers = {name.partition(".")[0] for name in spec.tools}
            node = self._agent(spec, [tool for tool in tools if tool.name.partition("__")[0] in servers])
            graph.add_node(spec.name, node, retry_policy=TRIES)
            graph.add_edge(spec.name, "supervisor")
        start: Any = {"messages": [HumanMessage(question)], "spent": Decimal(0)}
        ended = await (self._approved(graph, start) if self._habits.asks_a_human else graph.compile().ainvoke(start))
        self._seen = ended["spent"]
        return str(ended["messages"][-1].text)

    async def _approved(self, graph: Any, given: Any) -> Json:
        """The graph's last state, where a human says yes to one result after the other."""
        saved = graph.compile(checkpointer=InMemorySaver(serde=JsonPlusSerializer(allowed_msgpack_modules=STORED)))
        thread = {"configurable": {"thread_id": str(uuid.uuid4())}}
        while asked := (ended := await saved.ainvoke(given, thread)).get("__interrupt__"):
            given = Command(resume={asked[0].id: "yes"})
        return dict(ended)

    async def _supervise(self, state: TeamState) -> Command[str]:
        self._look(state["spent"])
        history = state["messages"]
        packet = {
            "question": history[0].text,
            "agents": [{"name": agent.name, "does": agent.does} for agent in AGENTS],
            "tasks": [{**task.model_dump(), "status": self._status(task)} for task in self._tasks.values()],
            "may_assign": True,
        }
        messages = [SystemMessage(prompt("supervisor")), *history, HumanMessage(json.dumps(packet))]
        own = UsageMetadataCallbackHandler()
        answer = await self._supervisor_model.ainvoke(messages, {"callbacks": [own]})
        decision, spent = SupervisorDecision.model_validate(answer), counted(own.usage_metadata)
        if decision.action == "report":
            return Command(goto=END, update={"spent": spent})
        if self._habits.asks_a_human:
            interrupt({"plan": [task.model_dump() for task in decision.tasks]})
        for task in decision.tasks:
            self._tasks[task.id] = task
            self._done[task.id].clear()
        said = "\n".join(f"{task.id} for {task.agent}: {task.objective}" for task in decision.tasks)
        update = {"messages": [AIMessage(said, name="supervisor")], "spent": spent}
        return Command(update=update, goto=[Send(task.agent, {**state, "task": task}) for task in decision.tasks])

    def _look(self, in_state: Decimal) -> None:
        """Compare what was spent with the cap: what the caller's state has of it, or what was reported until now."""
        self._seen = in_state
        if self._habits.cap_usd is not None and (self.counted or 0) >= self._habits.cap_usd:
            raise CapReached(f"${self.counted:.6f} of ${self._habits.cap_usd} are spent")

    def _status(self, task: Task) -> str:
        return "done" if self._done[task.id].is_set() else "pending"

    def _agent(self, spec: AgentSpec, tools: list[BaseTool]) -> Any:
        agent: Any = create_agent(
            self._model,
            tools,
            system_prompt=spec.prompt,
            response_format=ToolStrategy(AgentResult),
            middleware=self._middleware(),
        )

        async def work(state: Json) -> Json:
            self._look(state["spent"])
            task: Task = state["task"]
            for other in task.depends_on:
                await self._done[other].wait()
            given: list[AnyMessage] = [*state["messages"], HumanMessage(json.dumps(self._packet(task, state)))]
            own = UsageMetadataCallbackHandler()
            ended = await agent.ainvoke({"messages": given}, {"callbacks": [own]})
            result: AgentResult = ended["structured_response"]
            self._results[task.id] = result
            self._done[task.id].set()
            if self._habits.asks_a_human:
                interrupt({"task": task.id, "result": result.model_dump()})
            words = "\n".join([*(finding.claim for finding in result.findings), *result.gaps])
            spent = Decimal(0) if self._habits.counter == "supervisor" else counted(own.usage_metadata)
            return {"messages": [*ended["messages"][len(given) :], AIMessage(words, name=spec.name)], "spent": spent}

        return work

    def _middleware(self) -> list[Any]:
        found: list[Any] = []
        if self._habits.cap_usd is not None and self._habits.counter == "process":
            found.append(BeforeEachCall(lambda: self._look(Decimal(0))))
        if (most := self._habits.calls_of_an_agent) is not None:
            found.append(ModelCallLimitMiddleware(run_limit=most))
        return found

    def _packet(self, task: Task, state: Json) -> Json:
        before = [self._results[other] for other in task.depends_on if other in self._results]
        known = [{**each.reference(name), "preview": each.text[:1000]} for name, each in self._tools.evidence.items()]
        return {
            "question": state["messages"][0].text,
            "task": {"id": task.id, "objective": task.objective},
            "evidence": known if before else [],
            "findings": [finding.model_dump() for result in before for finding in result.findings],
        }
