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
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from langchain.agents import create_agent
from langchain.agents.structured_output import ToolStrategy
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage
from langchain_core.tools import BaseTool
from langchain_openai import ChatOpenAI  # noqa: TID251  compared with: a client without a gate
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command, RetryPolicy, Send
from openai import DefaultAsyncHttpxClient
from pydantic import SecretStr

from agents import AGENTS
from agents.base import AgentResult, AgentSpec, SupervisorDecision, Task
from evals.incident.invoice import LONGEST_ANSWER
from evals.incident.session_per_call import Tools
from graphs.prompts import prompt

Json = dict[str, Any]

TRIES = RetryPolicy(max_attempts=3)


class Team:
    """Answers one question.

    Args:
        model_url: an OpenAI-compatible server, with `/v1`.
        servers: MCP endpoint by server name.
        http: the HTTP client of all models. model, supervisor_model: the provider's names.
    """

    def __init__(
        self,
        model_url: str,
        servers: Mapping[str, str],
        http: DefaultAsyncHttpxClient,
        *,
        model: str = "gpt-5-mini",
        supervisor_model: str = "gpt-5-nano",
    ) -> None:
        def client(name: str) -> ChatOpenAI:
            return ChatOpenAI(
                model=name,
                base_url=model_url,
                api_key=SecretStr("none"),
                http_async_client=http,
                max_retries=2,
                max_completion_tokens=LONGEST_ANSWER,
            )

        self._model = client(model)
        self._supervisor_model = client(supervisor_model).with_structured_output(SupervisorDecision)
        self._tools = Tools(servers)
        self._tasks: dict[str, Task] = {}
        self._done: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._results: dict[str, AgentResult] = {}

    async def answer(self, question: str) -> str:
        """The report. Raises any error; runs as long as the supervisor wants."""
        tools = await self._tools.load()
        graph = StateGraph(MessagesState)
        graph.add_node("supervisor", self._supervise, retry_policy=TRIES, destinations=tuple(a.name for a in AGENTS))
        graph.add_edge(START, "supervisor")
        for spec in AGENTS:
            servers = {name.partition(".")[0] for name in spec.tools}
            node = self._agent(spec, [tool for tool in tools if tool.name.partition("__")[0] in servers])
            graph.add_node(spec.name, node, retry_policy=TRIES)
            graph.add_edge(spec.name, "supervisor")
        ended = await graph.compile().ainvoke({"messages": [HumanMessage(question)]})
        return str(ended["messages"][-1].text)

    async def _supervise(self, state: MessagesState) -> Command[str]:
        history = state["messages"]
        packet = {
            "question": history[0].text,
            "agents": [{"name": agent.name, "does": agent.does} for agent in AGENTS],
            "tasks": [{**task.model_dump(), "status": self._status(task)} for task in self._tasks.values()],
            "may_assign": True,
        }
        messages = [SystemMessage(prompt("supervisor")), *history, HumanMessage(json.dumps(packet))]
        decision = SupervisorDecision.model_validate(await self._supervisor_model.ainvoke(messages))
        if decision.action == "report":
            return Command(goto=END)
        for task in decision.tasks:
            self._tasks[task.id] = task
            self._done[task.id].clear()
        said = "\n".join(f"{task.id} for {task.agent}: {task.objective}" for task in decision.tasks)
        update = {"messages": [AIMessage(said, name="supervisor")]}
        return Command(update=update, goto=[Send(task.agent, {**state, "task": task}) for task in decision.tasks])

    def _status(self, task: Task) -> str:
        return "done" if self._done[task.id].is_set() else "pending"

    def _agent(self, spec: AgentSpec, tools: list[BaseTool]) -> Any:
        agent: Any = create_agent(
            self._model, tools, system_prompt=spec.prompt, response_format=ToolStrategy(AgentResult)
        )

        async def work(state: Json) -> Json:
            task: Task = state["task"]
            for other in task.depends_on:
                await self._done[other].wait()
            given: list[AnyMessage] = [*state["messages"], HumanMessage(json.dumps(self._packet(task, state)))]
            ended = await agent.ainvoke({"messages": given})
            result: AgentResult = ended["structured_response"]
            self._results[task.id] = result
            self._done[task.id].set()
            words = "\n".join([*(finding.claim for finding in result.findings), *result.gaps])
            return {"messages": [*ended["messages"][len(given) :], AIMessage(words, name=spec.name)]}

        return work

    def _packet(self, task: Task, state: Json) -> Json:
        before = [self._results[other] for other in task.depends_on if other in self._results]
        known = [{**each.reference(name), "preview": each.text[:1000]} for name, each in self._tools.evidence.items()]
        return {
            "question": state["messages"][0].text,
            "task": {"id": task.id, "objective": task.objective},
            "evidence": known if before else [],
            "findings": [finding.model_dump() for result in before for finding in result.findings],
        }
