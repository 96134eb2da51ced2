"""The agents. To add one: a module here, an entry below, and its prompt in `prompts/`."""

from agents import analyst, researcher, sales
from agents.base import AgentSpec

AGENTS: tuple[AgentSpec, ...] = (researcher.SPEC, sales.SPEC, analyst.SPEC)
