"""What was used, of a job, of an agent in it, of a day; and who pays for a call."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from graphs.spending.limits import Limits


class Tokens(NamedTuple):
    """Tokens of one call. `cached` are a part of `input`."""

    input: int = 0
    cached: int = 0
    output: int = 0


NO_TOKENS = Tokens()


class Amount(BaseModel):
    """What was spent, and what calls in flight may cost beside it, in micro-dollars."""

    model_config = ConfigDict(frozen=True)

    micro_usd: int = 0
    reserved_micro_usd: int = 0


class AgentSpend(Amount):
    """What one agent has used in one job."""

    model_calls: int = 0
    tool_calls: int = 0


class Spend(AgentSpend):
    """What a job has used, over all its resumes.

    `estimated_micro_usd` is the part of `micro_usd` that is for calls whose true cost nobody learned, `cached_tokens`
    a part of `input_tokens`. `model_calls` are attempts, the failed ones too.
    """

    estimated_micro_usd: int = 0
    steps: int = 0
    handoffs: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    agents: dict[str, AgentSpend] = Field(default_factory=dict)


class DaySpend(BaseModel):
    """What a tenant, and the deployment with all its tenants, have used on one UTC day."""

    model_config = ConfigDict(frozen=True)

    tenant: Amount
    deployment: Amount


@dataclass(frozen=True)
class Account:
    """Who pays for a model call: one agent in one job.

    `limits` are the job's, with what a human has granted; `deadline_at` is UTC;
    `fence` is the run's fencing token.

    Of its two day limits the deployment's own take the place, so that an operator's change holds for all.
    """

    job_id: str
    tenant: str
    agent: str
    limits: Limits
    deadline_at: datetime
    fence: int | None = None
