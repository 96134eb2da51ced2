"""The state of one research job: JSON primitives only, so that any saver can hold it and any tool can read it.

Big things (tool results) live in the evidence store; the state carries references to them.
"""

from typing import Annotated, Any, Literal, NotRequired

from langgraph.managed import RemainingSteps
from typing_extensions import TypedDict  # pydantic cannot use the one of typing before Python 3.12

from graphs.stop_reasons import StopReason

SCHEMA_VERSION = 3  # to be raised when jobs under way cannot be run on: they are left to who runs the service
MAX_TASKS = 24
MAX_ENTRIES = 400

Json = dict[str, Any]
TaskStatus = Literal["pending", "done", "failed", "withdrawn"]
FindingStatus = Literal["unverified", "verified", "repeated", "sent_back", "dropped"]


class TaskState(TypedDict):
    """A task of the plan and how far it got.

    `feedback` is what verification refused at the last attempt, `reason` the stop reason of a task that failed, for
    which `error` has the words; `unanswered` are the data sources that were asked and did not answer.
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


class FindingState(TypedDict):
    """A claim as an agent made it, and what verification said of it.

    `marks` say why it is not to be believed as it stands (graphs/evidence/trust.py); `confidence` is then lowered.
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
    """What the state knows of a stored tool result; the result itself is in the evidence store under `id`.

    `size` is bytes of the whole result; of the rest that is not plain, `Evidence` has the meaning.
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
    """One hand-off. `fresh` is how much came of it: evidence with new content, and findings newly verified."""

    task: str
    agent: str
    objective: str
    fresh: int


class Halt(TypedDict):
    """A limit or a loop that stopped the work in the middle of a step. It stands until a human answers.

    `needed_micro_usd` is a budget with which the call that was refused would be made, and work can go on.
    """

    reason: str
    detail: str
    needed_micro_usd: int


def halt(reason: StopReason, detail: str = "", needed_micro_usd: int = 0) -> Halt:
    """What stops the job."""
    return Halt(reason=reason.value, detail=detail, needed_micro_usd=needed_micro_usd)


class Report(TypedDict):
    """The report as drafted (`title`, `body` with evidence ids) and what verification found wrong with it. One that
    code put together says nothing but what was verified, or that nothing was."""

    title: str
    body: str
    attempts: int
    by_code: bool
    problems: list[str]


def merged(left: Json, right: Json | None) -> Json:
    """Entries by id: the newer one wins. None empties. Refuses growth without bound instead of dropping entries; what
    hand-offs say of the room that is left keeps a job from coming to that."""
    if right is None:
        return {}
    both = {**left, **right}
    if len(both) > MAX_ENTRIES:
        raise RuntimeError(f"a job may hold {MAX_ENTRIES} tasks, findings or evidence each, got {len(both)}")
    return both


def latest(old: Halt | None, new: Halt | None) -> Halt | None:
    """Of parallel branches that stop at once, the one that needs most names the reason. None clears it."""
    if old is None or new is None:
        return new
    return max(old, new, key=lambda each: each["needed_micro_usd"])


class ResearchInput(TypedDict):
    """What starts a job. All but the question is filled in by `intake` when absent (LangGraph Studio)."""

    question: str
    job_id: NotRequired[str]
    tenant: NotRequired[str]
    limits: NotRequired[Json]


class ResearchState(ResearchInput):
    """Everything the graph knows of a job.

    `limits` grow when a human grants more, `first_limits` stay. `wanted` is what the supervisor asks for, `route` what
    the budget node allows, `dispatch` the ids of the tasks it hands off
    and `evidence_before` how much evidence there was then. `handoffs` is what the loop guard watches,
    oldest first. `plans` counts the supervisor's plans; `questions` those put to this thread; `flags` are remarks for
    the reader of the report. `used` is a copy of the ledger's entry, for whoever looks at the state: nothing is
    decided by it.
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
    flags: NotRequired[list[str]]
    note: NotRequired[str | None]
    stop_reason: NotRequired[str | None]
    stop_detail: NotRequired[str]
    answer_by: NotRequired[str]
    report: NotRequired[Report | None]
    status: NotRequired[Literal["completed", "partial", "failed"] | None]
    remaining_steps: RemainingSteps


def of_status(state: ResearchState, status: FindingStatus) -> list[FindingState]:
    """The findings of one status, in the order they were made."""
    return [each for each in state["findings"].values() if each["status"] == status]
