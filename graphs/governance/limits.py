"""What one job may use, and the names of the reasons it stops.

Money is integer micro-dollars (1 USD = 1,000,000). Durations are seconds.
"""

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

MICRO = 1_000_000

OnLimit = Literal["escalate", "finish_partial", "fail"]


class JobLimits(BaseModel):
    """Limits of one job, cumulative over its resumes. Every one of them is on by default.

    No upper bounds here: what a human grants adds up. Whoever takes limits from outside bounds them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    budget_micro_usd: int = Field(default=250_000, gt=0)
    steps: int = Field(default=80, gt=0)
    handoffs: int = Field(default=16, gt=0)
    model_calls: int = Field(default=60, gt=0)
    deadline_s: int = Field(default=600, gt=0)
    wrap_up_percent: int = Field(default=80, gt=0, le=100)
    on_limit: OnLimit = "escalate"


class StopReason(StrEnum):
    """Why a job ended or waits. The report states it in a partial report's first lines."""

    ANSWERED = "answered"
    NOT_IN_DATA = "not_in_data"
    BUDGET = "budget_reached"
    BUDGET_WRAP_UP = "budget_wrap_up"
    STEPS = "step_limit"
    HANDOFFS = "handoff_limit"
    MODEL_CALLS = "model_call_limit"
    DEADLINE = "deadline_reached"
    TASK_FAILED = "task_failed"
    PLAN_FAILED = "plan_failed"
    PLANS = "plan_limit"
    MODEL_UNAVAILABLE = "model_unavailable"
    REFUSED = "question_refused"
    HUMAN_FINISHED = "finished_by_human"
    ABORTED = "aborted_by_human"


EXPLAINED: dict[StopReason, str] = {
    StopReason.ANSWERED: "the question was answered",
    StopReason.NOT_IN_DATA: "the data does not contain the answer",
    StopReason.BUDGET: "the budget is used up",
    StopReason.BUDGET_WRAP_UP: "most of the budget is used up, so the work was wrapped up",
    StopReason.STEPS: "the limit of graph steps is reached",
    StopReason.HANDOFFS: "the limit of hand-offs is reached",
    StopReason.MODEL_CALLS: "the limit of model calls is reached",
    StopReason.DEADLINE: "the time allowed is over",
    StopReason.TASK_FAILED: "at least one task failed",
    StopReason.PLAN_FAILED: "the supervisor gave no usable plan",
    StopReason.PLANS: "the supervisor wanted more rounds of tasks than are allowed",
    StopReason.MODEL_UNAVAILABLE: "the model provider gave no answer",
    StopReason.REFUSED: "the question could not be accepted",
    StopReason.HUMAN_FINISHED: "a human asked for the report as it stood",
    StopReason.ABORTED: "a human aborted the job",
}
