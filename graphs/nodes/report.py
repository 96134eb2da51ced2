"""report: the model writes it from verified findings; without money or findings it is assembled without a model."""

import json
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.runnables import RunnableConfig
from langgraph.runtime import Runtime

from agents.base import ReportDraft
from graphs.answers.asking import asked
from graphs.deps import REPORT, Deps
from graphs.errors import ENDS_THE_RUN, GraphError, LimitReached, UnusableAnswer
from graphs.evidence.citations import cited
from graphs.evidence.rendering import assembled, gaps
from graphs.planning.handoff import newest, told
from graphs.prompts import prompt
from graphs.spending.spend import Account
from graphs.state import Report, ResearchState, of_status
from graphs.stop_reasons import StopReason

ATTEMPTS = 2
TITLE = 100
MOST_FINDINGS = (80, 20, 5)  # that the writer gets: fewer where money for more is lacking
SCHEMA_BYTES = 1000  # of a draft, and what frames the request
SHORT_REPORT = 2048  # tokens
TOKENS_OF_FINDING = 100
WORDS_PERCENT = 60  # of the tokens


def report(deps: Deps) -> Any:
    """The node. A second attempt gets the problems of the first as feedback."""
    system = SystemMessage(prompt("report"))

    async def report_node(state: ResearchState, config: RunnableConfig, runtime: Runtime) -> dict[str, Any]:
        attempts = (before["attempts"] if (before := state["report"]) else 0) + 1
        if not of_status(state, "verified"):
            return {"report": _without_model(state)}
        account = deps.account(state, REPORT, config)
        model = deps.model.charged_to(account, runtime.stream_writer)
        try:
            draft = await _drafted(model, system, state, await _length(state, account, deps))
        except ENDS_THE_RUN:
            raise
        except GraphError as error:
            if before and isinstance(error, LimitReached):  # the first draft stays; its problems are marked
                return {"report": {**before, "attempts": ATTEMPTS}}
            flag = f"the report was put together without a model: {error}"
            return {"report": _without_model(state), "flags": [*state["flags"], flag]}
        runtime.stream_writer({"type": "report", "attempt": attempts})
        return {"report": Report(title=draft.title, body=draft.body, attempts=attempts, by_code=False, problems=[])}

    return report_node


async def _drafted(model: BaseChatModel, system: SystemMessage, state: ResearchState, tokens: int) -> ReportDraft:
    """The draft. With little money left, it is written from as many findings as that pays for."""
    writer = model.model_copy(update={"max_tokens": tokens})
    for most in MOST_FINDINGS:
        try:
            packet = HumanMessage(_packet(state, most, tokens * WORDS_PERCENT // 100))
            return await asked(writer, ReportDraft, [system, packet], _cites)
        except LimitReached as limit:
            if limit.reason is not StopReason.BUDGET or most == MOST_FINDINGS[-1]:
                raise
    raise AssertionError("unreachable: the last one returns or raises")


async def _length(state: ResearchState, account: Account, deps: Deps) -> int:
    """Tokens that the report may have: enough for its findings, as far as the money that is left pays for them."""
    used, limits = await deps.ledger.spend(account.job_id), account.limits
    left = limits.budget_micro_usd - used.micro_usd - used.reserved_micro_usd
    size = len(_packet(state, MOST_FINDINGS[0], 0).encode()) + len(prompt("report").encode()) + SCHEMA_BYTES
    paid = deps.model.toll.prices.answer_tokens(deps.model.model_name, size, left)
    enough = max(SHORT_REPORT, len(of_status(state, "verified")) * TOKENS_OF_FINDING)
    return max(limits.answer_floor_tokens, min(limits.answer_tokens, enough, paid))


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


def _packet(state: ResearchState, most: int, words: int) -> str:
    shown = ("agent", "claim", "period", "evidence", "confidence")  # a claim has its number and its unit
    findings, omitted = newest(of_status(state, "verified"), most)
    return json.dumps(
        {
            "question": state["question"],
            "findings": [told(each, shown) for each in findings],
            "findings_omitted": omitted,
            "gaps": gaps(state),
            "charts": [each["id"] for each in state["evidence"].values() if each["kind"] == "chart"],
            "stop_reason": state["stop_reason"],
            "words": words,
            "feedback": state["report"]["problems"] if state["report"] else [],
        },
        ensure_ascii=False,
    )
