"""Computes on evidence that others found."""

from agents.base import AgentSpec

SPEC = AgentSpec(
    name="analyst",
    does="Computes on tables that other tasks found, by reference to their evidence: growth, CAGR, shares, "
    "seasonality, forecasts with intervals, comparisons, charts. Needs a task that yields the table first.",
    tools=("analytics.*",),
    works_on_evidence=True,
)
