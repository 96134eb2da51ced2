"""What the graph is handed: built by the app (or a test), passed down, never looked up."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from langchain_core.runnables import RunnableConfig

from agents import AGENTS
from agents.base import AgentSpec
from graphs.clock import utc_now
from graphs.evidence.store import EvidenceStore
from graphs.redis.fencing import fence_of
from graphs.spending.ledger import Ledger
from graphs.spending.limits import CEILING, Limits
from graphs.spending.model import GovernedChatOpenAI
from graphs.spending.spend import Account
from graphs.tools.gateway import ToolGateway


@dataclass(frozen=True)
class Deps:
    """Everything outside the state.

    `supervisor_model` plans on a cheap tier, `model` does the work and writes the report. `limits` apply to a job
    that brings none of its own, and their day budgets to all; no job and no human goes past `ceiling`. `now` is UTC.
    """

    supervisor_model: GovernedChatOpenAI
    model: GovernedChatOpenAI
    ledger: Ledger
    gateway: ToolGateway
    evidence: EvidenceStore
    limits: Limits = field(default_factory=Limits)
    ceiling: Limits = CEILING
    agents: tuple[AgentSpec, ...] = AGENTS
    now: Callable[[], datetime] = utc_now

    def account(self, state: Mapping[str, Any], agent: str, config: RunnableConfig) -> Account:
        """Who pays for what this agent does in this job, by its state or a hand-off of it."""
        # The share is for those who may run away: the supervisor and the report may use what is left.
        share = {} if any(agent == each.name for each in self.agents) else {"agent_share_percent": 100}
        limits = Limits.model_validate(state["limits"])
        budget = {"budget_micro_usd": min(limits.budget_micro_usd, self.ceiling.budget_micro_usd)}
        limits = limits.model_copy(update=budget | share)
        deadline = datetime.fromisoformat(state["deadline_at"])
        return Account(state["job_id"], state["tenant"], agent, limits, deadline, fence_of(config))
