"""report: the model writes it from verified findings; without money or findings it is put together without one."""

import json
from typing import Any

from langchain_core.messages import HumanMessage, SystemMessage
from langgraph.runtime import Runtime
from openai import OpenAIError

from agents.base import ReportDraft
from graphs.deps import Deps
from graphs.errors import UNUSABLE_ANSWER
from graphs.governance.assess import can_pay
from graphs.governance.meter import Meter
from graphs.prompts import prompt
from graphs.rendering import assembled, gaps
from graphs.state import Report, ResearchState, of_status

ATTEMPTS = 2
TITLE = 100


def report(deps: Deps) -> Any:
    """The node. A second attempt gets the problems of the first as feedback."""
    model = deps.model.with_structured_output(ReportDraft, method="json_schema")
    system = SystemMessage(prompt("report"))

    async def report_node(state: ResearchState, runtime: Runtime) -> dict[str, Any]:
        attempts = (before["attempts"] if (before := state["report"]) else 0) + 1
        without_model = Report(title=short(state["question"]), body=assembled(state), attempts=ATTEMPTS, problems=[])
        if not of_status(state, "verified") or not can_pay(state, deps.now()):
            return {"report": without_model, "counters": {"steps": 1}}
        meter = Meter("report", price=deps.price, emit=runtime.stream_writer)
        messages = [system, HumanMessage(_packet(state))]
        try:
            answer = await model.ainvoke(messages, config={"callbacks": [meter]})
            draft = ReportDraft.model_validate(answer)
        except (OpenAIError, *UNUSABLE_ANSWER) as error:
            flags = [*state["flags"], f"the report was put together without a model, which failed: {error}"]
            return {"report": without_model, "flags": flags, "counters": {**meter.counters, "steps": 1}}
        written = Report(title=draft.title, body=draft.body, attempts=attempts, problems=[])
        runtime.stream_writer({"type": "report", "attempt": attempts})
        counters = {**meter.counters, "steps": 1}
        return {"report": written, "counters": counters}

    return report_node


def short(question: str) -> str:
    """A title that promises nothing: the question itself."""
    return question if len(question) <= TITLE else f"{question[: TITLE - 3]}..."


def _packet(state: ResearchState) -> str:
    shown = ("claim", "value", "unit", "period", "evidence", "confidence")
    findings = of_status(state, "verified")
    return json.dumps(
        {
            "question": state["question"],
            "findings": [{"agent": each["agent"], **{key: each[key] for key in shown}} for each in findings],  # type: ignore[literal-required]
            "gaps": gaps(state),
            "charts": [each["id"] for each in state["evidence"].values() if each["kind"] == "chart"],
            "stop_reason": state["stop_reason"],
            "feedback": state["report"]["problems"] if state["report"] else [],
        },
        ensure_ascii=False,
    )
