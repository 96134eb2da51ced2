"""What came of the two runs of a drill, and whether the guard has fired."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from textwrap import shorten
from typing import Any

from evals.incident.drills import Drill
from evals.incident.invoice import Invoice
from evals.incident.proofs import Ended
from graphs.stop_reasons import StopReason

CALL_S = 5  # of a real model, for the cost of a day of sequential calls
DAY_S = 86_400
NOTE = "During task with name"  # LangGraph adds this line after every error
NOT_STARTED = "not started"


@dataclass(frozen=True)
class Without:
    """A run without guards.

    `goes_on` says that it was still calling the model when the drill ended it. `counted` is what it thought that it
    had spent, None if it did not count.
    """

    bill: Invoice
    goes_on: bool
    got: str
    counted: Decimal | None = None

    @property
    def dollars_per_day(self) -> Decimal | None:
        """The cost of a day of its calls at the mean price so far; None for a run that makes no more calls."""
        return self.bill.dollars / self.bill.calls * DAY_S / CALL_S if self.goes_on else None


@dataclass(frozen=True)
class With:
    """A run with guards. `problem` says why the drill failed, if it did."""

    bill: Invoice
    steps: int | None
    stop_reason: str
    got: str
    problem: str


def outcome_of(
    drill: Drill,
    bill: Invoice,
    asked: Mapping[str, Counter[str]],
    said: bytes,
    errors: bytes,
    struck: Sequence[Invoice] = (),
) -> With:
    """The outcome from the document that `tollgate run --json` printed."""
    told = errors.decode(errors="replace")
    try:
        result = json.loads(said)
    except ValueError:
        if not drill.reasons and (problem := drill.proof(Ended({}, bill, asked, struck, told))) == "":
            return With(bill, None, NOT_STARTED, "an error that says what to set", "")
        lines = [line for line in told.splitlines() if not line.startswith(NOTE)]
        return With(bill, None, "", "nothing", f"it broke: {lines[-1] if lines else 'no message'}")
    problem = _problem(drill, Ended(result, bill, asked, struck, told))
    return With(bill, result["steps"], result["stop_reason"] or "", _delivered(result), problem)


def _problem(drill: Drill, ended: Ended) -> str:
    """The first problem: with the money, the ending, or what the drill is about."""
    result, billed = ended.result, ended.bill.dollars
    if billed > drill.budget_usd:
        return f"billed ${billed:.6f} of a budget of ${drill.budget_usd}"
    if billed > ended.counted:
        return f"billed ${billed:.6f}, but the job counted ${ended.counted:.6f}"
    if result["stop_reason"] not in drill.reasons:
        return f"ended as {result['status']} ({result['stop_reason'] or 'no reason'})"
    ends_silently = result["stop_reason"] == StopReason.CANCELLED
    if not result["report_path"] and not result["escalation"] and not ends_silently:
        return "neither a report nor a question to a human"
    return drill.proof(ended)


def got(outcome: Any) -> str:
    """What a person has of a run without guards: its last words, or its error."""
    while isinstance(outcome, BaseExceptionGroup):
        outcome = outcome.exceptions[0]
    if isinstance(outcome, BaseException):
        return f"a crash: `{type(outcome).__name__}`"
    return f"unchecked: “{shorten(outcome, 60, placeholder=' ...')}”" if outcome else "an empty report"


def _delivered(result: Mapping[str, Any]) -> str:
    found = f"{len(result['findings'])} findings" if result["findings"] else "no finding"
    if result["escalation"]:
        return f"a question to a human, {found} so far"
    return f"{result['status']} report, {found}" if result["report_path"] else result["status"]
