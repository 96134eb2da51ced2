"""Request and response bodies. Money is in US dollars with at most six decimals: exact in micro-dollars."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from app.jobs.budgets import BUDGET_ID
from app.jobs.records import JOB_ID, Record
from app.jobs.states import Status
from graphs.spending.limits import MICRO, MOST_S, MOST_USD, OnLimit, asked_for
from graphs.spending.spend import Spend
from graphs.state import Json
from graphs.untrusted.screening import MAX_QUESTION

_QUESTION = "What was our revenue in 2024, and how did it develop against the market?"
PARENT = f"^({JOB_ID}|{BUDGET_ID})$"
_ID = "job-20261121-101500-0a1b2c3d4e"


def _number(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number")
    return value


def usd(most: int = MOST_USD, **least: int) -> Any:
    """US dollars, as a JSON number, with the same bounds for validation and OpenAPI."""
    bounds = {"exclusiveMinimum" if name == "gt" else "minimum": value for name, value in least.items()}
    return (
        BeforeValidator(_number),
        Field(le=most, decimal_places=6, allow_inf_nan=False, **least),  # type: ignore[call-overload]
        WithJsonSchema({"type": "number", **bounds, "maximum": most, "multipleOf": 0.000001}),
    )


Usd = Annotated[Decimal, *usd(gt=0)]
UsdOrNone = Annotated[Decimal, *usd(ge=0)]
MetadataKey = Annotated[str, Field(min_length=1, max_length=40)]
MetadataValue = Annotated[str, Field(max_length=500)]


class Sent(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class JobRequest(Sent):
    """A job. Omitted limits default to the deployment's; budget and deadline can be raised up to its maximum."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"question": _QUESTION, "budget_usd": 0.05, "deadline_s": 120, "metadata": {"team": "sales"}}]
        }
    )

    question: str = Field(min_length=3, max_length=MAX_QUESTION, pattern=r"\S[\s\S]+\S", description="One question.")
    budget_usd: Usd | None = Field(None, description="Budget of the job in US dollars.")
    deadline_s: int | None = Field(None, strict=True, ge=1, le=MOST_S, description="Seconds that the job may take.")
    on_limit: OnLimit | None = Field(None, description="At a limit: ask a human, finish a partial report, or fail.")
    webhook_url: str | None = Field(
        None, min_length=1, max_length=2000, description="Called when the job ends or waits for a decision."
    )
    parent: str | None = Field(
        None,
        pattern=PARENT,
        description="The job or budget token whose money this job spends; what it leaves goes back.",
    )
    metadata: dict[MetadataKey, MetadataValue] = Field(
        default_factory=dict, max_length=20, description="Your own data, returned with the job."
    )

    @property
    def wanted(self) -> Json:
        """The requested limits, by their names in `Limits`."""
        return asked_for(self.budget_usd, self.deadline_s, self.on_limit)


class DecisionRequest(Sent):
    """A decision about an escalation. The job's `escalation` lists the valid choices."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"action": "approve_more", "amount_usd": 0.1}]})

    action: Literal["approve_more", "redirect", "finish_partial", "abort"]
    amount_usd: UsdOrNone | None = Field(None, description="For approve_more and redirect: added to the budget.")
    note: str | None = Field(None, min_length=3, max_length=1000, description="For redirect: what to do instead.")
    escalation_id: str | None = Field(
        None, min_length=1, max_length=200, description="The escalation to answer; default: the open one."
    )

    @property
    def answer(self) -> Json:
        """The decision for `graphs.planning.decision`."""
        return self.model_dump(mode="json", exclude={"escalation_id", "amount_usd"}, exclude_none=True) | (
            {} if self.amount_usd is None else {"amount_usd": float(self.amount_usd)}
        )


class BudgetRequest(Sent):
    """A budget without a job."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"budget_usd": 0.5}]})

    budget_usd: Usd = Field(description="What all jobs with it as `parent` may spend, in US dollars.")


class BudgetDocument(BaseModel):
    """A budget: what its jobs have spent, what is set aside for those that run, and how many there were."""

    id: str
    budget_usd: float
    spent_usd: float
    reserved_usd: float
    jobs: int


class Links(BaseModel):
    """Links to the rest of a job."""

    self: str
    events: str
    report: str
    trace: str
    record: str
    decision: str
    cancel: str


class Accepted(BaseModel):
    """The request was accepted; the key may not read more of the job."""

    id: str = Field(examples=[_ID])
    links: Links


class JobSummary(Accepted):
    """A job in a list. `behaviour_version` is a hash of the models, prompts, agents and limits it ran with last."""

    status: Status
    question: str
    created_at: datetime
    updated_at: datetime
    metadata: dict[str, Any]
    behaviour_version: str | None = None


class DeadLetter(JobSummary):
    """A job that was dead-lettered after repeated failures at the same place."""

    attempts: int
    last_error: str


class JobDocument(JobSummary):
    """A job. `cost_usd` is its cost so far; `budget_usd` includes what a human added.

    The costs of a job include those of the jobs that it is the `parent` of.

    `stop_reason`, `stop_detail`, `findings` and `gaps` are set when it has ended, `escalation` while it waits for a
    decision. A suspended job waits because a budget of the day is used up, as the first two say; it goes on by itself
    at `resumes_at`, or as soon as an admin raises that budget. With `cancel_requested` it stops at its next step.
    """

    budget_usd: float
    cost_usd: float
    cancel_requested: bool
    parent: str | None = None
    stop_reason: str | None = None
    stop_detail: str = ""
    resumes_at: datetime | None = None
    escalation: Json | None = None
    findings: list[Json] | None = None
    gaps: list[str] | None = None


class JobList(BaseModel):
    """A page of jobs, newest first. `next_cursor` is for the next page; null on the last one."""

    items: list[JobSummary]
    next_cursor: str | None


class DeadLetters(BaseModel):
    """All dead letters, newest first."""

    items: list[DeadLetter]


class AgentCost(BaseModel):
    """Usage of one agent."""

    cost_usd: float
    reserved_usd: float
    model_calls: int
    tool_calls: int


class JobCost(AgentCost):
    """Usage of a job. `estimated_usd` is the part whose true cost is unknown; it is an upper bound."""

    estimated_usd: float
    steps: int
    handoffs: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int


class TraceEvent(BaseModel):
    """An event, with the same id and data as in the event stream."""

    id: str
    type: str
    at: datetime
    data: Json


class Trace(BaseModel):
    """A job's events and cost. `next_after` is for the next page; null on the last one."""

    job_id: str
    spend: JobCost
    agents: dict[str, AgentCost]
    events: list[TraceEvent]
    next_after: str | None


class RecordLine(BaseModel):
    """A line of a job's record, and its place in it."""

    at: str
    data: Json


class JobRecord(BaseModel):
    """What a job exchanged with models and tools, redacted; empty unless jobs are recorded. `next_after` is for the
    next page; null on the last one."""

    job_id: str
    lines: list[RecordLine]
    next_after: str | None


class ReportDocument(BaseModel):
    """A job's result (as `tollgate run --json` prints it), and its report as Markdown."""

    result: Json
    report: str


class Health(BaseModel):
    """The process is running."""

    status: Literal["ok"] = "ok"


class Readiness(Health):
    """Whether jobs are accepted and can be run, and the state of each known part."""

    parts: dict[str, Literal["ok"]]


def summary(record: Record) -> Json:
    """The fields of `JobSummary`, also for the constructors of its subclasses."""
    same = ("status", "question", "created_at", "updated_at", "metadata", "behaviour_version")
    return {
        "id": record.job_id,
        **{name: getattr(record, name) for name in same},
        "links": links(record.job_id),
    }


def links(job_id: str) -> Links:
    here = f"/v1/jobs/{job_id}"
    return Links(self=here, **{name: f"{here}/{name}" for name in Links.model_fields if name != "self"})


def job_cost(used: Spend) -> tuple[JobCost, dict[str, AgentCost]]:
    """The usage of a job and of each of its agents."""
    counts = ("model_calls", "tool_calls", "steps", "handoffs", "input_tokens", "cached_tokens", "output_tokens")
    job = JobCost(
        cost_usd=used.micro_usd / MICRO,
        reserved_usd=used.reserved_micro_usd / MICRO,
        estimated_usd=used.estimated_micro_usd / MICRO,
        **{name: getattr(used, name) for name in counts},
    )
    agents = {
        name: AgentCost(
            cost_usd=each.micro_usd / MICRO,
            reserved_usd=each.reserved_micro_usd / MICRO,
            model_calls=each.model_calls,
            tool_calls=each.tool_calls,
        )
        for name, each in used.agents.items()
    }
    return job, agents
