"""The graph's dependencies: built by the app (or a test), passed down, never looked up."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from langchain_core.runnables import RunnableConfig

from agents import AGENTS
from agents.base import AgentSpec
from graphs.clock import utc_now
from graphs.evidence.store import EvidenceStore
from graphs.redis.fencing import fence_of
from graphs.spending.days import used_up
from graphs.spending.ledger import Ledger
from graphs.spending.limits import CEILING, Limits
from graphs.spending.model import GovernedChatOpenAI
from graphs.spending.spend import Account
from graphs.stop_reasons import StopReason
from graphs.tools.gateway import ToolGateway

SUPERVISOR = "supervisor"
REPORT = "report"  # the account of the report's writer, for which money is set aside
REPORT_TOKENS = 12_000  # that a short report's writer reads at most: a token per byte
# In `configurable`: the seconds for which the job has waited for a new day. LangGraph keeps keys with this prefix out
# of checkpoint metadata.
WAITED = "__tollgate_waited_s"


@dataclass(frozen=True)
class Deps:
    """Everything the graph needs besides its state.

    Attributes:
        supervisor_model: plans; may be a cheaper one.
        model: does the agents' work and writes the report.
        limits: for jobs that bring none of their own; the day budgets apply to all jobs.
        ceiling: the most that a job or a human may raise a limit to.
        now: the time, in UTC.

    Example:
        deps = Deps(supervisor_model=planner, model=worker, ledger=ledger, gateway=gateway, evidence=evidence)
        graph = build_research_graph(deps, checkpointer=RedisSaver(client))
        small = dataclasses.replace(deps, limits=Limits(budget_micro_usd=50_000), agents=AGENTS[:1])
        cheap_graph = build_research_graph(small)  # one agent, USD 0.05 a job
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

    def costs_of_report(self, limits: Limits) -> int:
        """The most that a short report costs, in micro-dollars."""
        floor = limits.answer_floor_tokens
        return self.model.toll.prices.worst_case(self.model.model_name, REPORT_TOKENS, 2 * floor)

    async def used_up(self, tenant: str) -> StopReason | None:
        """Whose budget of today is used up, this tenant's or the deployment's; None: calls can be made."""
        return used_up(await self.ledger.spent_today(tenant), self.limits)

    def job_time(self, config: RunnableConfig) -> datetime:
        """Now on the job's own clock, which stands still while the job waits for a new day. The deadline in the state
        is by this clock."""
        return self.now() - _waited(config)

    def account(self, state: Mapping[str, Any], agent: str, config: RunnableConfig) -> Account:
        """The account that pays for this agent's work, from the job's state or a hand-off."""
        # Only agents, which may run away, have a share: the supervisor and the report may use what is left.
        share = {} if any(agent == each.name for each in self.agents) else {"agent_share_percent": 100}
        limits = Limits.model_validate(state["limits"])
        budget = {"budget_micro_usd": min(limits.budget_micro_usd, self.ceiling.budget_micro_usd)}
        limits = limits.model_copy(update=budget | share)
        share_of_report = limits.budget_micro_usd * limits.report_share_percent // 100
        set_aside = 0 if agent == REPORT else min(share_of_report, self.costs_of_report(limits))
        deadline = datetime.fromisoformat(state["deadline_at"]) + _waited(config)
        task = state.get("task", {}).get("id", "")  # in a hand-off
        return Account(state["job_id"], state["tenant"], agent, limits, deadline, fence_of(config), set_aside, task)


def _waited(config: RunnableConfig) -> timedelta:
    return timedelta(seconds=config.get("configurable", {}).get(WAITED, 0))
