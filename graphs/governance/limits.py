"""What one job may use, and the names of the reasons it stops.

Money is integer micro-dollars (1 USD = 1,000,000). Durations are seconds.
"""

from enum import StrEnum
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


class StopReason(StrEnum):
    """Why a job ended or waits. The report states it in a partial report's first lines."""

    ANSWERED = "answered"
    NOT_IN_DATA = "not_in_data"
    BUDGET = "budget_reached"
    BUDGET_WRAP_UP = "budget_wrap_up"
    AGENT_BUDGET = "agent_budget_reached"
    SPEND_RATE = "spend_rate"
    TENANT_DAY = "tenant_day_budget"
    DEPLOYMENT_DAY = "deployment_day_budget"
    REQUEST_SIZE = "request_size"
    STEPS = "step_limit"
    HANDOFFS = "handoff_limit"
    MODEL_CALLS = "model_call_limit"
    TOOL_CALLS = "tool_call_limit"
    AGENT_MODEL_CALLS = "agent_model_call_limit"
    AGENT_TOOL_CALLS = "agent_tool_call_limit"
    DEADLINE = "deadline_reached"
    LOOP_IDENTICAL = "loop_identical"
    LOOP_REWORDED = "loop_reworded"
    LOOP_PING_PONG = "loop_ping_pong"
    LOOP_NO_PROGRESS = "loop_no_progress"
    NOTHING_LOOKED_UP = "nothing_looked_up"
    FINDINGS_DROPPED = "findings_dropped"
    SOURCE_UNAVAILABLE = "source_unavailable"
    NO_USABLE_ANSWER = "no_usable_answer"
    AGENT_DEADLINE = "agent_deadline_reached"
    TASK_FAILED = "task_failed"
    PLAN_FAILED = "plan_failed"
    PLANS = "plan_limit"
    MODEL_UNAVAILABLE = "model_unavailable"
    MODEL_REFUSED = "model_refused"
    MODEL_ACCOUNT = "model_account_refused"
    REFUSED = "question_refused"
    HUMAN_FINISHED = "finished_by_human"
    NO_DECISION = "no_decision_in_time"
    ABORTED = "aborted_by_human"
    CANCELLED = "cancelled"
    DEAD = "dead_letter"


EXPLAINED: dict[StopReason, str] = {
    StopReason.ANSWERED: "the question was answered",
    StopReason.NOT_IN_DATA: "the data does not contain the answer",
    StopReason.BUDGET: "the rest of the budget does not pay for another model call",
    StopReason.BUDGET_WRAP_UP: "most of the budget is used up, so the work was wrapped up",
    StopReason.AGENT_BUDGET: "one agent has used up its share of the budget",
    StopReason.SPEND_RATE: "more was spent within a minute than is allowed",
    StopReason.TENANT_DAY: "the tenant's budget for today is used up",
    StopReason.DEPLOYMENT_DAY: "the deployment's budget for today is used up",
    StopReason.REQUEST_SIZE: "a request to the model would have been larger than allowed",
    StopReason.STEPS: "the limit of graph steps is reached",
    StopReason.HANDOFFS: "the limit of hand-offs is reached",
    StopReason.MODEL_CALLS: "the limit of model calls is reached",
    StopReason.TOOL_CALLS: "the limit of tool calls is reached",
    StopReason.AGENT_MODEL_CALLS: "one agent has made all the model calls it may make",
    StopReason.AGENT_TOOL_CALLS: "one agent has made all the tool calls it may make",
    StopReason.DEADLINE: "the time allowed is over",
    StopReason.LOOP_IDENTICAL: "the same thing was asked again and again",
    StopReason.LOOP_REWORDED: "the same thing was asked again in other words, and nothing new came of it",
    StopReason.LOOP_PING_PONG: "two agents handed the work back and forth, and nothing new came of it",
    StopReason.LOOP_NO_PROGRESS: "one hand-off after the other brought nothing new",
    StopReason.NOTHING_LOOKED_UP: "nothing was looked up",
    StopReason.FINDINGS_DROPPED: "findings were made, and none is carried by its evidence",
    StopReason.SOURCE_UNAVAILABLE: "a data source did not answer",
    StopReason.NO_USABLE_ANSWER: "an agent gave no usable answer",
    StopReason.AGENT_DEADLINE: "one agent took longer than it may",
    StopReason.TASK_FAILED: "at least one task failed",
    StopReason.PLAN_FAILED: "the supervisor gave no usable plan",
    StopReason.PLANS: "the supervisor wanted more rounds of tasks than are allowed",
    StopReason.MODEL_UNAVAILABLE: "the model provider gave no answer",
    StopReason.MODEL_REFUSED: "the model provider refused a request",
    StopReason.MODEL_ACCOUNT: "the model provider refuses every request until somebody mends the account",
    StopReason.REFUSED: "the question could not be accepted",
    StopReason.HUMAN_FINISHED: "a human asked for the report as it stood",
    StopReason.NO_DECISION: "nobody answered the question to a human in time",
    StopReason.ABORTED: "a human aborted the job",
    StopReason.CANCELLED: "whoever ordered the job cancelled it",
    StopReason.DEAD: "its runs failed at the same place, or none can go on with it",
}


def dollars(micro_usd: int) -> str:
    """`USD 0.25`, and for small amounts as many digits as they have: `USD 0.000123`."""
    exact = f"{micro_usd / MICRO:.6f}".rstrip("0")
    return f"USD {exact}" if len(exact.partition(".")[2]) >= 2 else f"USD {micro_usd / MICRO:.2f}"
