"""Answers from the company's own sales data."""

from agents.base import AgentSpec

SPEC = AgentSpec(
    name="sales",
    does="Answers from the company's own sales data by SQL: revenue, units, customers, returns, targets, by "
    "country, product, channel and period. Knows nothing of the market outside.",
    tools=("sales.*",),
    briefing=("sales.describe_schema",),
)
