"""report: the model writes it from verified findings; without money or findings it is assembled without a model."""

import json
from typing import Any

from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.runnables import RunnableConfig
from langgraph.runtime import Runtime

from agents.base import ReportDraft
from graphs.answers.asking import asked
from graphs.deps import REPORT, Deps
from graphs.errors import ENDS_THE_RUN, GraphError, UnusableAnswer
from graphs.evidence.citations import cited
from graphs.evidence.rendering import assembled, gaps
from graphs.planning.handoff import newest
from graphs.prompts import prompt
from graphs.state import Report, ResearchState, of_status

ATTEMPTS = 2
TITLE = 100
MOST_FINDINGS = 80


def report(deps: Deps) -> Any:
    """The node. A second attempt gets the problems of the first as feedback."""
    system = SystemMessage(prompt("report"))

    async def report_node(state: ResearchState, config: RunnableConfig, runtime: Runtime) -> dict[str, Any]:
        attempts = (before["attempts"] if (before := state["report"]) else 0) + 1
        if not of_status(state, "verified"):
            return {"report": _without_model(state)}
        model = deps.model.charged_to(deps.account(state, REPORT, config), runtime.stream_writer)
        try:
            draft = await asked(model, ReportDraft, [system, HumanMessage(_packet(state))], _cites)
        except ENDS_THE_RUN:
            raise
        except GraphError as error:
            flag = f"the report was put together without a model: {error}"
            return {"report": _without_model(state), "flags": [*state["flags"], flag]}
        runtime.stream_writer({"type": "report", "attempt": attempts})
        return {"report": Report(title=draft.title, body=draft.body, attempts=attempts, by_code=False, problems=[])}

    return report_node


def _cites(draft: ReportDraft) -> ReportDraft:
    """The draft, if it cites evidence. Raises UnusableAnswer."""
    if not cited(draft.body):
        raise UnusableAnswer("the report cites no evidence, so it says nothing about the findings", draft.body)
    return draft


def _without_model(state: ResearchState) -> Report:
    return Report(title=short(state["question"]), body=assembled(state), attempts=ATTEMPTS, by_code=True, problems=[])


def short(question: str) -> str:
    """A neutral title: the question itself."""
    return question if len(question) <= TITLE else f"{question[: TITLE - 3]}..."


def _packet(state: ResearchState) -> str:
    shown = ("claim", "value", "unit", "period", "evidence", "confidence")
    findings, omitted = newest(of_status(state, "verified"), MOST_FINDINGS)
    return json.dumps(
        {
            "question": state["question"],
            "findings": [{"agent": each["agent"], **{key: each[key] for key in shown}} for each in findings],  # type: ignore[literal-required]
            "findings_omitted": omitted,
            "gaps": gaps(state),
            "charts": [each["id"] for each in state["evidence"].values() if each["kind"] == "chart"],
            "stop_reason": state["stop_reason"],
            "feedback": state["report"]["problems"] if state["report"] else [],
        },
        ensure_ascii=False,
    )
