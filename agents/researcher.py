"""Finds what published sources say about the market."""

from agents.base import AgentSpec

SPEC = AgentSpec(
    name="researcher",
    does="Finds what published sources say about the market: its size, sales of others, rules, competitors, "
    "prices, forecasts by others. Reads documents; knows nothing of our own sales.",
    tools=("knowledge_base.search", "knowledge_base.read_document"),
    optional_tools=("web.search_web", "web.fetch_page"),
)
