"""What one job may use.

Money is integer micro-dollars (1 USD = 1,000,000). Durations are seconds.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

MICRO = 1_000_000

OnLimit = Literal["escalate", "finish_partial", "fail"]


class Limits(BaseModel):
    """Every limit there is, cumulative over the resumes of a job, and on by default.

    No upper bounds here: what a human grants adds up. `above` says what of it is more than a deployment allows.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    # Money: reserved before each model call, so that none of these can be passed.
    budget_micro_usd: int = Field(default=250_000, gt=0)
    agent_share_percent: int = Field(
        default=80, gt=0, le=100
    )  # of the budget, so that one agent leaves some to the rest
    # A calendar minute: what does not fit waits for the next one.
    spend_per_minute_micro_usd: int = Field(default=150_000, gt=0)
    tenant_day_micro_usd: int = Field(default=5_000_000, gt=0)
    deployment_day_micro_usd: int = Field(default=20_000_000, gt=0)
    wrap_up_percent: int = Field(default=80, gt=0, le=100)

    # One request: `request_tokens` bounds the worst case of what it reads, plus `answer_tokens`, the most it may write.
    request_tokens: int = Field(default=200_000, gt=0)
    answer_tokens: int = Field(default=8_192, gt=0)
    call_timeout_s: int = Field(default=90, gt=0)
    outage_s: int = Field(default=90, ge=0)  # how long a call waits for a provider that is down

    # Counts: of the job, and of one agent in the job.
    steps: int = Field(default=80, gt=0)
    handoffs: int = Field(default=16, gt=0)
    parallel: int = Field(default=4, gt=0)  # hand-offs at once: the guards look at the work between them
    plans: int = Field(default=6, gt=0)
    model_calls: int = Field(default=60, gt=0)
    tool_calls: int = Field(default=100, gt=0)
    agent_model_calls: int = Field(default=20, gt=0)
    agent_tool_calls: int = Field(default=30, gt=0)

    # Wall clock: of the job, of one hand-off, and of a human's answer.
    deadline_s: int = Field(default=600, gt=0)
    agent_deadline_s: int = Field(default=120, gt=0)
    decision_s: int = Field(default=86_400, gt=0)

    # Loops: how often something may be repeated without anything new coming of it.
    repeats: int = Field(default=3, gt=1)
    idle_handoffs: int = Field(default=5, gt=1)

    on_limit: OnLimit = "escalate"

    def above(self, ceiling: "Limits") -> str:
        """The first limit that is above the ceiling's, in words; empty when none is."""
        for name, value in self.model_dump(exclude={"on_limit"}).items():
            if value > (most := getattr(ceiling, name)):
                shown = (dollars(value), dollars(most)) if name.endswith("_micro_usd") else (value, most)
                what = name.removesuffix("_micro_usd").removesuffix("_s").replace("_", " ")
                return f"a {what} of {shown[0]} is above the {shown[1]} that this deployment allows"
        return ""


def dollars(micro_usd: int) -> str:
    """`USD 0.25`, and for small amounts as many digits as they have: `USD 0.000123`."""
    exact = f"{micro_usd / MICRO:.6f}".rstrip("0")
    return f"USD {exact}" if len(exact.partition(".")[2]) >= 2 else f"USD {micro_usd / MICRO:.2f}"
