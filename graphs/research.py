"""Builds the research graph from its nodes."""

import functools
from typing import Any, NamedTuple

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.config import get_config
from langgraph.errors import GraphBubbleUp
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from agents.base import AgentSpec
from graphs import telemetry
from graphs.deps import Deps
from graphs.nodes.budget import after_budget, budget
from graphs.nodes.escalate import after_escalate, escalate
from graphs.nodes.finish import finish
from graphs.nodes.intake import after_intake, intake
from graphs.nodes.report import report
from graphs.nodes.specialist import specialist
from graphs.nodes.supervisor import supervisor
from graphs.nodes.verify import verify
from graphs.nodes.verify_report import after_verify_report, verify_report
from graphs.redis.fencing import fence_of
from graphs.state import ResearchInput, ResearchState

# LangGraph grants 10007 steps by default. This is for a graph without a job (Studio); a job sets its own limit.
RECURSION_LIMIT = 100

ResearchGraph = CompiledStateGraph[ResearchState, None, ResearchInput, ResearchState]


def build_research_graph(deps: Deps, checkpointer: BaseCheckpointSaver[Any] | None = None) -> ResearchGraph:
    """The supervisor's graph over the given agents. Compiling it opens no connection.

    Args:
        deps: models, tools and stores.
        checkpointer: where state is kept; None if the platform brings its own (LangGraph Studio).
    """
    return wired(Plan("research", "supervisor", supervisor(deps), deps.agents), deps, checkpointer)


class Plan(NamedTuple):
    """What differs between graphs: the name, the planner node, and the agents."""

    name: str
    planner: str
    node: Any
    agents: tuple[AgentSpec, ...]


def wired(plan: Plan, deps: Deps, checkpointer: BaseCheckpointSaver[Any] | None) -> ResearchGraph:
    """The graph around this planner and its agents, with the budget gate and the checks that every graph has."""
    agents, back = [agent.name for agent in plan.agents], plan.planner
    graph = StateGraph(ResearchState, input_schema=ResearchInput)

    def step(name: str, node: Any, operation: str | None = None) -> None:
        graph.add_node(name, counted(node, deps, name, operation))

    step("intake", intake(deps))
    step(back, plan.node, telemetry.PLAN)
    step("budget", budget(deps))
    for agent in plan.agents:
        step(agent.name, specialist(agent, deps), telemetry.INVOKE_AGENT)
        graph.add_edge(agent.name, "verify")
    step("verify", verify(deps))
    step("escalate", escalate(deps))
    step("report", report(deps), telemetry.INVOKE_AGENT)
    step("verify_report", verify_report(deps))
    step("finish", finish(deps))

    graph.add_edge(START, "intake")
    graph.add_conditional_edges("intake", after_intake(back), [back, "finish"])
    graph.add_edge(back, "budget")
    graph.add_conditional_edges("budget", after_budget(plan.agents), [*agents, "report", "escalate", "finish"])
    graph.add_edge("verify", back)
    graph.add_conditional_edges("escalate", after_escalate(back), [back, "report", "finish", "escalate"])
    graph.add_edge("report", "verify_report")
    graph.add_conditional_edges("verify_report", after_verify_report, ["report", "finish"])
    graph.add_edge("finish", END)
    return graph.compile(checkpointer=checkpointer, name=plan.name).with_config(recursion_limit=RECURSION_LIMIT)


def counted(node: Any, deps: Deps, name: str, operation: str | None) -> Any:
    """The node, with each run counted in the ledger as a step of the job, cumulative over resumes and forks, and with a
    span around it. Counted after the run, because `escalate` must do nothing before its interrupt.

    `operation` is what the conventions of telemetry call the work of an agent. One wrapper does both: LangGraph finds
    an agent's graph in the closure of its node below one.
    """
    named = {telemetry.OPERATION: operation, telemetry.AGENT: name} if operation else {}
    title = f"{operation} {name}" if operation else name

    @functools.wraps(node)
    async def step(state: Any, **injected: Any) -> Any:
        about = {**named, telemetry.JOB: state.get("job_id", "")}
        with telemetry.span(title, about, harmless=(GraphBubbleUp,)):  # an interrupt, or a run that is drained
            update = await node(state, **injected)
        await deps.ledger.count(update.get("job_id") or state["job_id"], steps=1, fence=fence_of(get_config()))
        return update

    return step
