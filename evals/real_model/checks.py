"""What must hold for a job, however bad its model is. Each check says what is wrong, or ""."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from evals.evaluators import read_outcome
from evals.report_text import uncarried
from graphs.spending.limits import Limits
from graphs.stop_reasons import EXPLAINED, StopReason

GRACE_S = 60  # beyond the deadline: programs start, the report is written, programs end
EXIT_CODES = {"completed": 0, "partial": 3}
TRACEBACK = "Traceback (most recent call last)"


class Tokens(NamedTuple):
    """Tokens of a job, as counted by the ledger or the server. `input` includes `cached`."""

    input: int
    cached: int
    output: int


@dataclass(frozen=True)
class Ended:
    """A finished job.

    Attributes:
        question: the question.
        limits: the job's limits.
        code: the exit code of `tollgate run --json`.
        result: what it printed.
        log: its stderr.
        seconds: wall clock.
        served: what the model's server counted meanwhile.
    """

    question: str
    limits: Limits
    code: int
    result: Mapping[str, Any]
    log: str
    seconds: float
    served: Tokens

    @property
    def counted(self) -> Tokens:
        """The ledger's count."""
        return Tokens(*(self.result[f"{name}_tokens"] for name in Tokens._fields))

    @property
    def report(self) -> str:
        """The text of the report; "" if there is none."""
        return read_outcome(dict(self.result), self.seconds).report


def every_number_is_carried(ended: Ended) -> str:
    """Every number is in the evidence that its statement cites."""
    outcome = read_outcome(dict(ended.result), ended.seconds)
    return "; ".join(uncarried(outcome.report, outcome.folder, ended.question))


def it_ended_within_its_limits(ended: Ended) -> str:
    """Limits of money, time and counts."""
    limits, result = ended.limits, ended.result
    used = {
        "USD": (result["cost_usd"], result["budget_usd"]),
        "seconds": (ended.seconds, limits.deadline_s + GRACE_S),
        "steps": (result["steps"], limits.steps),
        "hand-offs": (result["handoffs"], limits.handoffs),
        "model calls": (result["model_calls"], limits.model_calls),
        "tool calls": (result["tool_calls"], limits.tool_calls),
    }
    return "; ".join(f"{amount} {what} of {most}" for what, (amount, most) in used.items() if amount > most)


def its_outcome_is_honest(ended: Ended) -> str:
    """`completed` only with findings, or if the sources were asked; otherwise the report says why not."""
    status, reason = ended.result["status"], ended.result["stop_reason"]
    if ended.code != EXIT_CODES.get(status):
        return f"it ended as {status} with exit code {ended.code}"
    if status == "partial":
        return "" if EXPLAINED[StopReason(reason)] in ended.report else f"the report does not say why: {reason}"
    shown = ended.result["findings"] if reason == StopReason.ANSWERED else ended.result["evidence"]
    if reason in {StopReason.ANSWERED, StopReason.NOT_IN_DATA} and shown and ended.report:
        return ""
    return f"it says {reason}, and has nothing to show for it"


def the_ledger_is_right(ended: Ended) -> str:
    """The ledger counts what the server does; for an aborted call it has the worst case."""
    counted, served = ended.counted, ended.served
    broken_off = ended.result["estimated_usd"] > 0 and all(map(int.__le__, counted, served))
    return "" if counted == served or broken_off else f"the ledger has {counted}, the server {served}"


def nothing_broke(ended: Ended) -> str:
    """Unexpected errors are logged with a traceback."""
    _, broke, told = ended.log.partition(TRACEBACK)
    return f"{broke}{told}" if broke else ""


CHECKS: tuple[Callable[[Ended], str], ...] = (
    every_number_is_carried,
    it_ended_within_its_limits,
    its_outcome_is_honest,
    the_ledger_is_right,
    nothing_broke,
)


def faults(ended: Ended) -> list[str]:
    """Everything that is wrong with the job."""
    return [fault for check in CHECKS if (fault := check(ended))]
