"""The picture: builds the research graph out of its nodes."""

from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

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
from graphs.state import ResearchInput, ResearchState

# LangGraph grants 10007 steps by default. A plan has three rounds; a round of hand-offs takes four supersteps.
RECURSION_LIMIT = 100

ResearchGraph = CompiledStateGraph[ResearchState, None, ResearchInput, ResearchState]


def build_research_graph(deps: Deps, checkpointer: BaseCheckpointSaver[Any] | None = None) -> ResearchGraph:
    """The supervisor graph over the given agents. Compiling it opens no connection.

    Args:
        deps: models, tools and stores.
        checkpointer: where state is kept; None where the platform brings its own (LangGraph Studio).
    """
    agents = [agent.name for agent in deps.agents]
    graph = StateGraph(ResearchState, input_schema=ResearchInput)
    graph.add_node("intake", intake(deps))
    graph.add_node("supervisor", supervisor(deps))
    graph.add_node("budget", budget(deps))
    for agent in deps.agents:
        graph.add_node(agent.name, specialist(agent, deps))
        graph.add_edge(agent.name, "verify")
    graph.add_node("verify", verify(deps))
    graph.add_node("escalate", escalate(deps))
    graph.add_node("report", report(deps))
    graph.add_node("verify_report", verify_report(deps))
    graph.add_node("finish", finish(deps))

    graph.add_edge(START, "intake")
    graph.add_conditional_edges("intake", after_intake, ["supervisor", "finish"])
    graph.add_edge("supervisor", "budget")
    graph.add_conditional_edges("budget", after_budget, [*agents, "report", "escalate", "finish"])
    graph.add_edge("verify", "supervisor")
    graph.add_conditional_edges("escalate", after_escalate, ["supervisor", "report", "finish"])
    graph.add_edge("report", "verify_report")
    graph.add_conditional_edges("verify_report", after_verify_report, ["report", "finish"])
    graph.add_edge("finish", END)
    return graph.compile(checkpointer=checkpointer, name="research").with_config(recursion_limit=RECURSION_LIMIT)
