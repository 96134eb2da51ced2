"""Why a job ended or waits: the names, and their explanations for readers."""

from enum import StrEnum
from typing import Literal

ScopeName = Literal["job", "agent", "job_minute", "tenant_day", "deployment_day", "request"]
"""What a limit applies to."""


class StopReason(StrEnum):
    """Why a job ended or waits. A partial report states it in its first lines."""

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
    CHILD_JOBS = "child_job_limit"
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
    StopReason.BUDGET: "the rest of the budget does not pay for another call",
    StopReason.BUDGET_WRAP_UP: "most of the budget is used up, so the work was wrapped up",
    StopReason.AGENT_BUDGET: "one agent has used up its share of the budget",
    StopReason.SPEND_RATE: "the spending limit per minute is reached",
    StopReason.TENANT_DAY: "the tenant's budget for today is used up",
    StopReason.DEPLOYMENT_DAY: "the deployment's budget for today is used up",
    StopReason.REQUEST_SIZE: "a request to the model would have been larger than allowed",
    StopReason.STEPS: "the limit of graph steps is reached",
    StopReason.HANDOFFS: "the limit of hand-offs is reached",
    StopReason.MODEL_CALLS: "the limit of model calls is reached",
    StopReason.TOOL_CALLS: "the limit of tool calls is reached",
    StopReason.AGENT_MODEL_CALLS: "one agent has made all the model calls it may make",
    StopReason.AGENT_TOOL_CALLS: "one agent has made all the tool calls it may make",
    StopReason.DEADLINE: "the time limit is reached",
    StopReason.LOOP_IDENTICAL: "the same request was repeated",
    StopReason.LOOP_REWORDED: "the same request was repeated in other words, with nothing new",
    StopReason.LOOP_PING_PONG: "two agents handed the work back and forth, with nothing new",
    StopReason.LOOP_NO_PROGRESS: "several hand-offs in a row brought nothing new",
    StopReason.NOTHING_LOOKED_UP: "nothing was looked up",
    StopReason.FINDINGS_DROPPED: "findings were made, but none is supported by its evidence",
    StopReason.SOURCE_UNAVAILABLE: "a data source did not answer",
    StopReason.NO_USABLE_ANSWER: "an agent gave no usable answer",
    StopReason.AGENT_DEADLINE: "one agent exceeded its time limit",
    StopReason.TASK_FAILED: "at least one task failed",
    StopReason.PLAN_FAILED: "the supervisor gave no usable plan",
    StopReason.PLANS: "the limit of task rounds is reached",
    StopReason.CHILD_JOBS: "the job may give no part of its budget to another job",
    StopReason.MODEL_UNAVAILABLE: "the model provider gave no answer",
    StopReason.MODEL_REFUSED: "the model provider refused a request",
    StopReason.MODEL_ACCOUNT: "the model provider refuses every request until its account is fixed",
    StopReason.REFUSED: "the question could not be accepted",
    StopReason.HUMAN_FINISHED: "a human asked for the report as it was",
    StopReason.NO_DECISION: "no human decided in time",
    StopReason.ABORTED: "a human aborted the job",
    StopReason.CANCELLED: "the job was cancelled",
    StopReason.DEAD: "it was dead-lettered after repeated failures, or because no worker can continue it",
}
