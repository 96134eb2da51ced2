"""The baseline that every team must beat: one agent with all tools, behind the same gate, with the same checks."""

from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver

from agents import AGENTS
from agents.base import AgentSpec, Task
from graphs.deps import Deps
from graphs.planning.plan import ready, validated
from graphs.prompts import prompt
from graphs.research import Plan, ResearchGraph, wired
from graphs.state import ResearchState


class Generalist(AgentSpec):
    """An agent outside the team; its prompt belongs to the graph."""

    @property
    def prompt(self) -> str:
        """The system prompt: `graphs/prompts/generalist.md`."""
        return prompt("generalist")


GENERALIST = Generalist(
    name="generalist",
    does="Does all of it: reads published sources, queries the company's own sales data, computes on what it found.",
    tools=tuple(tool for agent in AGENTS for tool in agent.tools),
)


def build_single_agent_graph(deps: Deps, checkpointer: BaseCheckpointSaver[Any] | None = None) -> ResearchGraph:
    """The research graph with one agent and no supervisor. Its input and final state are those of the team's graph.

    Args:
        deps: models, tools and stores; `agents` and `supervisor_model` are not used.
        checkpointer: where state is kept.
    """
    return wired(Plan("single agent", "assign", _assign, (GENERALIST,)), deps, checkpointer)


async def _assign(state: ResearchState) -> dict[str, Any]:
    """Assign the question as the one task; a human's note becomes another. What verification sent back is redone."""
    objective = state.get("note") or (None if state["tasks"] else state["question"])
    tasks = {}
    if objective:
        task = Task(id=f"T{len(state['tasks']) + 1}", agent=GENERALIST.name, objective=objective[:1000], depends_on=[])
        tasks = validated([task], state["tasks"], [GENERALIST.name])
    wanted = "assign" if tasks or ready(state["tasks"]) else "report"
    return {"wanted": wanted, "tasks": tasks, "note": None}
