"""What must hold for a guarded job, so that its drill has proved the guard. Each says what is wrong, or ""."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evals.incident.invoice import Invoice
from graphs.spending.limits import Limits
from graphs.stop_reasons import EXPLAINED, StopReason

MOST_HANDOFFS = 8
TRIES_OF_A_TOOL = 2


@dataclass(frozen=True)
class Ended:
    """A job that ended or escalated: `result` is what `tollgate run --json` printed.

    `asked` counts the MCP requests of each faulty server by method; of the neighbours' requests only `tools/list`.
    """

    result: Mapping[str, Any]
    bill: Invoice
    asked: Mapping[str, Counter[str]]

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
