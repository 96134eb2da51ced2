"""What must hold for a guarded job, so that its drill has proved the guard. Each says what is wrong, or ""."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from evals.incident.invoice import Invoice
from graphs.spending.limits import Limits
from graphs.stop_reasons import EXPLAINED, StopReason

MOST_HANDOFFS = 8
TRIES_OF_A_TOOL = 2
TRIES_OF_A_CALL = 4  # that may have been billed
CALLS_AT_ONCE = 4
LONGEST_HISTORY = 45_000  # tokens, by the stand-in's count; the whole of it would be 65,000
MICRO = Decimal("0.000001")


@dataclass(frozen=True)
class Ended:
    """A job that ended or escalated: `result` is what `tollgate run --json` printed, {} if it was never started.

    `asked` counts the MCP requests of each faulty server by method; of the neighbours' requests only `tools/list`.
    `struck` are the bills of the moments at which the job was killed, resumed or cancelled, and of the one at which it
    said that it had been cancelled; `errors` is what the program wrote to stderr.
    """

    result: Mapping[str, Any]
    bill: Invoice
    asked: Mapping[str, Counter[str]]
    struck: Sequence[Invoice] = ()
    errors: str = ""

    @property
    def counted(self) -> Decimal:
        """What the job says that it has spent, or may have spent in a process that died."""
        return Decimal(str(self.result["cost_usd"])) + Decimal(str(self.result.get("reserved_usd", 0)))

    @property
    def report(self) -> str:
        """The text of the report; "" if there is none."""
        path = self.result["report_path"]
        return Path(path).read_text(encoding="utf-8") if path else ""


Proof = Callable[[Ended], str]


def few_handoffs(ended: Ended) -> str:
    """The loop was detected in time."""
    made = ended.result["handoffs"]
    return "" if made <= MOST_HANDOFFS else f"{made} hand-offs before the loop was detected"


def no_half_answer(ended: Ended) -> str:
    """Answers had a limit, no cut answer was passed on, and the escalation says so."""
    if ended.bill.longest_answer > (most := Limits().answer_tokens):
        return f"an answer of {ended.bill.longest_answer} tokens, {most} are allowed"
    if ended.result["handoffs"]:
        return f"{ended.result['handoffs']} hand-offs of half a plan"
    return "" if "at its token limit" in ended.result["stop_detail"] else "nobody is told that the answer was cut"


def contained(ended: Ended) -> str:
    """There were no endless retries, and the others' findings are in the report beside the gap."""
    calls, steps = ended.bill.calls, ended.result["steps"]
    if calls > steps:
        return f"{calls} calls of the model in {steps} steps"
    if (tries := ended.asked["sales"]["tools/call"]) > TRIES_OF_A_TOOL:
        return f"{tries} calls of a tool of the server that was down"
    if not ended.result["findings"]:
        return "the findings of the other agents are lost"
    return "" if any("sales" in gap for gap in ended.result["gaps"]) else "no gap names the server that was down"


def nothing_made_up(ended: Ended) -> str:
    """No finding stands, and the report shows the claim only as dropped."""
    if ended.result["findings"]:
        return f"a finding without evidence: {ended.result['findings'][0]['claim']}"
    told, _, dropped = ended.report.partition("## Dropped claims")
    if "EUR" in told:
        return "the report states the number that was made up"
    return "" if "EUR" in dropped else "the report does not say what was dropped"


def share_kept(ended: Ended) -> str:
    """The agent's share of the budget stopped it, and the escalation says how much of it is spent."""
    asked = ended.result["escalation"] or {}
    named = EXPLAINED[StopReason.AGENT_BUDGET] in asked.get("what_happened", "")
    return "" if named and "may spend 80%" in asked["detail"] else "the question does not name the agent's share"


def refused_at_once(ended: Ended) -> str:
    """No task of the plan was started, and the escalation names the cycle."""
    if ended.result["handoffs"]:
        return f"{ended.result['handoffs']} hand-offs of a plan that cannot end"
    return "" if "T1 → T2 → T1" in ended.result["stop_detail"] else "the tasks that wait for each other are not named"


def one_session(ended: Ended) -> str:
    """The session that listed the tools was kept for the calls: opening it once takes long enough."""
    opened, called = (ended.asked["sales"][method] for method in ("initialize", "tools/call"))
    if opened != 1:
        return f"{opened} sessions were opened"
    return "" if called else "no tool was called before the deadline"


def within_budget(ended: Ended) -> str:
    """Several calls were made, and the limit that stopped the job is named."""
    told = f"{ended.result['stop_detail']} {ended.result['escalation'] or ended.report}"
    return "" if "USD" in told or "budget" in told else "nobody is told that the money is spent"


def few_tries(ended: Ended) -> str:
    """What may have been billed is tried again a few times, and is counted as spent."""
    return "" if ended.bill.calls <= TRIES_OF_A_CALL else f"{ended.bill.calls} calls that may all be billed"


def counted_after_death(ended: Ended) -> str:
    """It was killed, and the process that went on knows of the calls before."""
    if not ended.struck:
        return "it ended before it was killed"
    before, known = ended.struck[0].calls, ended.result["model_calls"]
    return "" if known >= before else f"it knows of {known} calls of at least {before}"


def counted_once(ended: Ended) -> str:
    """A human was asked, and the job counts what is billed: each call is rounded up to a micro-dollar."""
    if not ended.struck:
        return "no human was asked"
    twice = ended.counted - ended.bill.dollars - ended.bill.calls * MICRO
    return "" if twice <= 0 else f"the job counts ${twice:.6f} that were not billed"


def refused_by_name(ended: Ended) -> str:
    """No call was made, and the error names the model and the setting that gives it a price."""
    if ended.bill.calls:
        return f"{ended.bill.calls} calls of a model without a price"
    known = [name for name in ("house-model-1", "TOLLGATE_PRICES") if name in ended.errors]
    return "" if len(known) == 2 else f"the error names only {known}"


def assumed_spent(ended: Ended) -> str:
    """What the provider did not report is counted in full, and as an estimate."""
    estimated = Decimal(str(ended.result["estimated_usd"]))
    return "" if estimated >= ended.bill.dollars else f"only ${estimated:.6f} of it are marked as estimated"


def short_history(ended: Ended) -> str:
    """The agent went on for long enough, and its history was shortened."""
    longest = ended.bill.longest_input
    return "" if longest <= LONGEST_HISTORY else f"a request of {longest} tokens"


def limit_kept(ended: Ended) -> str:
    """No answer was longer than is allowed, although the server ignores the usual limit."""
    longest, most = ended.bill.longest_answer, Limits().answer_tokens
    return "" if longest <= most else f"an answer of {longest} tokens, {most} are allowed"


def silent_after_cancel(ended: Ended) -> str:
    """Only calls that were under way came after the cancel, and none after the job had ended."""
    if len(ended.struck) != 2:
        return "it ended before it was cancelled"
    asked, stopped = ended.struck
    if late := ended.bill.calls - stopped.calls:
        return f"{late} calls after the job had been cancelled"
    under_way = stopped.calls - asked.calls
    return "" if under_way <= CALLS_AT_ONCE else f"{under_way} calls between the cancel and the end"


def findings_reported(ended: Ended) -> str:
    """What was found before the money ran out is in a report that says why it is partial."""
    if not ended.result["findings"]:
        return "what was found before is lost"
    return "" if "**This report is partial: " in ended.report else "the report does not say that it is partial"
