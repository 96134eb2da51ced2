"""Usage of a job, of its agents and of a day; and the account that pays for a call."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field

from graphs.spending.limits import Limits


class Tokens(NamedTuple):
    """Tokens of one call. `input` includes `cached`."""

    input: int = 0
    cached: int = 0
    output: int = 0


NO_TOKENS = Tokens()


class Amount(BaseModel):
    """What was spent, and what calls in flight may cost on top, in micro-dollars."""

    model_config = ConfigDict(frozen=True)

    micro_usd: int = 0
    reserved_micro_usd: int = 0


class AgentSpend(Amount):
    """What one agent has used in one job."""

    model_calls: int = 0
    tool_calls: int = 0


class Spend(AgentSpend):
    """What a job has used, over all its resumes.

    `micro_usd` includes `estimated_micro_usd`, for calls whose true cost is unknown; `input_tokens` include
    `cached_tokens`, which cost `saved_micro_usd` less than others. `model_calls` counts attempts, failed ones included.
    `secured_micro_usd` is what was reserved for the calls that were charged. A job with a parent has
    `granted_micro_usd` of its money.
    """

    estimated_micro_usd: int = 0
    secured_micro_usd: int = 0
    steps: int = 0
    handoffs: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    saved_micro_usd: int = 0
    parent: str = ""
    granted_micro_usd: int = 0
    children: int = 0
    agents: dict[str, AgentSpend] = Field(default_factory=dict)

    @classmethod
    def counted(cls, counters: Mapping[bytes, bytes]) -> Self:
        """From the ledger's counters of a job; those of an agent are `<counter>:<agent>`."""
        job: dict[str, bytes] = {}
        agents: dict[str, dict[str, bytes]] = {}
        for field, value in counters.items():
            counter, of_agent, agent = field.decode().partition(":")
            (agents.setdefault(agent, {}) if of_agent else job)[counter] = value
        return cls.model_validate({**job, "agents": agents})


class DaySpend(BaseModel):
    """What a tenant and the whole deployment have used on one UTC day.

    `allowed` is the budget that an admin set for it; None: the settings apply. `refused` is what was left when a call
    was last refused for it; None: none was.
    """

    model_config = ConfigDict(frozen=True)

    tenant: Amount
    deployment: Amount
    tenant_allowed_micro_usd: int | None = None
    deployment_allowed_micro_usd: int | None = None
    tenant_refused_micro_usd: int | None = None
    deployment_refused_micro_usd: int | None = None

    COUNTERS: ClassVar = ("micro_usd", "reserved_micro_usd", "allowed_micro_usd", "refused_micro_usd")

    @classmethod
    def fields(cls, tenant: str) -> list[str]:
        """The fields of a day in the ledger: `COUNTERS`, of the tenant and then of all."""
        return [*(f"{counter}:{tenant}" for counter in cls.COUNTERS), *cls.COUNTERS]

    @classmethod
    def counted(cls, counters: Sequence[bytes | None]) -> Self:
        """From the values of `fields`."""
        spent, reserved, allowed, refused, all_spent, all_reserved, all_allowed, all_refused = (
            value and int(value) for value in counters
        )
        return cls(
            tenant=Amount(micro_usd=spent or 0, reserved_micro_usd=reserved or 0),
            deployment=Amount(micro_usd=all_spent or 0, reserved_micro_usd=all_reserved or 0),
            tenant_allowed_micro_usd=allowed,
            deployment_allowed_micro_usd=all_allowed,
            tenant_refused_micro_usd=refused,
            deployment_refused_micro_usd=all_refused,
        )


@dataclass(frozen=True)
class Account:
    """Who pays for a model call: one agent in one job, and its task if it has one.

    `limits` are the job's, including what a human granted; `deadline_at` is UTC; `fence` is the run's fencing token;
    `set_aside_micro_usd` of the budget is kept for others. The deployment's limits of a day replace those in `limits`,
    so that an operator's change applies to all.
    """

    job_id: str
    tenant: str
    agent: str
    limits: Limits
    deadline_at: datetime
    fence: int | None = None
    set_aside_micro_usd: int = 0
    task: str = ""
