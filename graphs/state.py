"""The state of one research job: JSON primitives only, so that any saver can store it and any tool can read it.

Tool results are in the evidence store; the state has references to them.
"""

from typing import Annotated, Any, Literal, NotRequired

from langgraph.managed import RemainingSteps
from typing_extensions import TypedDict  # pydantic cannot use the one of typing before Python 3.12

from graphs.stop_reasons import StopReason

SCHEMA_VERSION = 3  # raise it when jobs in progress cannot be continued: they are then left to the operator
MAX_TASKS = 24
MAX_ENTRIES = 400

Json = dict[str, Any]
TaskStatus = Literal["pending", "done", "failed", "withdrawn"]
FindingStatus = Literal["unverified", "verified", "repeated", "sent_back", "dropped"]


class TaskState(TypedDict):
    """A task of the plan and its progress.

    `feedback` is what verification refused in the last attempt; `reason` and `error` are the stop reason and the
    message of a failed task; `unanswered` are the data sources that did not answer; `seconds` is how long its agent
    took for the last attempt.
    """

    id: str
    agent: str
    objective: str
    depends_on: list[str]
    status: TaskStatus
    attempts: int
    feedback: list[str]
    gaps: list[str]
    error: str | None
    reason: str | None
    unanswered: list[str]
    seconds: NotRequired[float]


class FindingState(TypedDict):
    """An agent's claim and its verification.

    `marks` say why it should not be believed at face value (graphs/evidence/trust.py); `confidence` is then lowered.
    """

    id: str
    task: str
    agent: str
    claim: str
    value: float | None
    unit: str
    period: str
    evidence: list[str]
    confidence: str
    marks: list[str]
    status: FindingStatus
    refused: str | None


class EvidenceRef(TypedDict):
    """A reference to a tool result, which is in the evidence store under `id`.

    `size` is the bytes of the complete result; see `Evidence` for the other fields.
    """

    id: str
    task: str
    server: str
    tool: str
    arguments: Json
    kind: str
    title: str
    columns: list[str]
    rows: int
    source: Json | None
    data_version: str
    digest: str
    size: int
    duration_ms: int
    cached: bool
    called_at: str
    untrusted: bool
    flags: list[str]


class HandoffRecord(TypedDict):
    """One hand-off. `fresh` counts what it brought: evidence with new content, and newly verified findings."""

    task: str
    agent: str
    objective: str
    fresh: int


class Halt(TypedDict):
    """A limit or a loop that stopped the work in the middle of a step. It stands until a human decides.

    `needed_micro_usd` is a budget that would allow the refused call.
    """

    reason: str
    detail: str
    needed_micro_usd: int


def halt(reason: StopReason, detail: str = "", needed_micro_usd: int = 0) -> Halt:
    """A `Halt` with these values."""
    return Halt(reason=reason.value, detail=detail, needed_micro_usd=needed_micro_usd)


class Report(TypedDict):
    """The drafted report (`title`, `body` with evidence ids) and the problems that verification found. One assembled by
    code states only what was verified, or that nothing was."""

    title: str
    body: str
    attempts: int
    by_code: bool
    problems: list[str]


def merged(left: Json, right: Json | None) -> Json:
    """Merge entries by id: the newer one wins, None clears. Raises RuntimeError above MAX_ENTRIES instead of dropping
    entries; the room stated in hand-offs keeps jobs below that."""
    if right is None:
        return {}
    both = {**left, **right}
    if len(both) > MAX_ENTRIES:
        raise RuntimeError(f"a job may hold {MAX_ENTRIES} tasks, findings or evidence each, got {len(both)}")
    return both


def latest(old: Halt | None, new: Halt | None) -> Halt | None:
    """Of parallel branches that halt at once, the one that needs the most budget wins. None clears it."""
    if old is None or new is None:
        return new
    return max(old, new, key=lambda each: each["needed_micro_usd"])


class ResearchInput(TypedDict):
    """A job's input. `intake` fills in everything but the question if absent (LangGraph Studio)."""

    question: str
    job_id: NotRequired[str]
    tenant: NotRequired[str]
    limits: NotRequired[Json]


class ResearchState(ResearchInput):
    """Everything the graph knows about a job.

    `limits` grow when a human grants more; `first_limits` do not. `wanted` is what the supervisor asks for, `route`
    what the budget node allows, `dispatch` the ids of the tasks it hands off, and `evidence_before` how much evidence
    there was then. `handoffs` is what the loop guard watches, oldest first. `plans` counts the supervisor's plans, and
    `then` is what the last one is to lead to;
    `questions` those put to this thread; `flags` are remarks for the reader of the report. `used` is an informational
    copy of the ledger's entry.
    """

    schema_version: NotRequired[int]
    first_limits: NotRequired[Json]
    deadline_at: NotRequired[str]
    tasks: Annotated[dict[str, TaskState], merged]
    findings: Annotated[dict[str, FindingState], merged]
    evidence: Annotated[dict[str, EvidenceRef], merged]
    handoffs: list[HandoffRecord]
    halted: Annotated[Halt | None, latest]
    used: NotRequired[Json]
    questions: NotRequired[int]
    wanted: NotRequired[Literal["assign", "report"]]
    route: NotRequired[Literal["assign", "report", "escalate", "finish"]]
    dispatch: NotRequired[list[str]]
    evidence_before: NotRequired[int]
    plans: NotRequired[int]
    then: NotRequired[Literal["report", "decide"]]
    flags: NotRequired[list[str]]
    note: NotRequired[str | None]
    stop_reason: NotRequired[str | None]
    stop_detail: NotRequired[str]
    answer_by: NotRequired[str]
    report: NotRequired[Report | None]
    status: NotRequired[Literal["completed", "partial", "failed"] | None]
    remaining_steps: RemainingSteps


def of_status(state: ResearchState, status: FindingStatus) -> list[FindingState]:
    """The findings with this status, in the order they were made."""
    return [each for each in state["findings"].values() if each["status"] == status]
