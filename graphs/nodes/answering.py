"""Reads an agent's model answers. An unreadable answer is sent back once."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from langchain.agents.middleware import AgentMiddleware, AgentState, ModelRequest, ModelResponse
from langchain_core.messages import AIMessage, AnyMessage, ToolMessage
from pydantic import ValidationError

from agents.base import AgentResult
from graphs.answers.asking import ATTEMPTS, question_back, repeated
from graphs.answers.message import new_id
from graphs.answers.reading import fitted, read, told
from graphs.deps import Deps
from graphs.errors import LimitReached, UnusableAnswer
from graphs.nodes.toolbox import CUT_SHORT, TaskRun
from graphs.spending.sizes import MARGIN, kind_of
from graphs.spending.spend import AgentSpend, Spend
from graphs.stop_reasons import StopReason

RESULT = AgentResult.__name__
GIVING = "giving its result"  # as readers of a report see it; the model is told which tool to call
CALL = f"Call {RESULT}."
RESULT_BYTES = 4000  # of a usual tool result
FOR_THE_RESULT = 2  # of an agent's last calls: one to give the result, one to correct it
OF_MONEY = (StopReason.BUDGET, StopReason.AGENT_BUDGET)
LAST = (
    f"\n\nThis is your last turn, and you have no tools any more. Call {RESULT} now: what you found, with the ids of "
    "its evidence; what is still missing goes into `gaps`."
)


class Answering(AgentMiddleware[AgentState[Any], TaskRun]):
    """Makes each turn of an agent end in calls, a result, or an error that says why not."""

    def __init__(self, deps: Deps) -> None:
        super().__init__()
        self._deps = deps

    async def awrap_model_call(
        self,
        request: ModelRequest[TaskRun],
        handler: Callable[[ModelRequest[TaskRun]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any]:
        """One turn. In the last turns that a limit allows there are no tools, so that evidence becomes findings.

        Raises:
            UnusableAnswer: both answers were unusable.
            LimitReached: the answers in the last turns were unusable.
        """
        run, problems = request.runtime.context, list[UnusableAnswer]()
        if limit := await self._limit(run, request.messages):
            request = _last(request)
        dialect, known = run.model.dialect, run.model.dialect.changes
        asked, attempts = request, ATTEMPTS
        while len(problems) < attempts:
            try:
                answer = _read(await handler(asked), is_last=bool(limit))
                return _marked(answer, limit) if limit else answer
            except LimitReached as refused:
                if limit or refused.reason not in OF_MONEY or not _has_looked_up(request.messages):
                    raise
                limit, request = refused.reason, _last(request)  # which is smaller, and its answer shorter
                asked = request
            except UnusableAnswer as problem:
                problems.append(problem)
                run.emit({"type": "warning", "message": f"{run.account.agent} is asked again: {problem}"})
                asked = request.override(messages=[*request.messages, *question_back(problem, CALL)])
            if len(problems) == ATTEMPTS and (dialect.gives_up_on_tools() or dialect.changes > known):
                attempts += 1  # the request has changed
        if limit:
            raise LimitReached(limit, "agent", f"at the end, {repeated(problems)}")
        raise UnusableAnswer(repeated(problems))

    async def _limit(self, run: TaskRun, messages: Sequence[AnyMessage]) -> StopReason | None:
        """The limit that leaves the agent only a turn or two, if any."""
        account = run.account
        used = await self._deps.ledger.spend(account.job_id, account.task)
        own, limits = used.agents.get(account.agent, AgentSpend()), account.limits
        left = {
            StopReason.AGENT_MODEL_CALLS: limits.agent_model_calls - own.model_calls - FOR_THE_RESULT,
            StopReason.MODEL_CALLS: limits.model_calls - used.model_calls - FOR_THE_RESULT,
            StopReason.AGENT_TOOL_CALLS: limits.agent_tool_calls - own.tool_calls,
            StopReason.TOOL_CALLS: limits.tool_calls - used.tool_calls,
        }
        short = next((reason for reason, calls in left.items() if calls <= 0), None)
        return short or _short_of_money(used, run, messages)


def _short_of_money(used: Spend, run: TaskRun, messages: Sequence[AnyMessage]) -> StopReason | None:
    """The budget that may not pay for another turn and for one that gives the result of what was looked up."""
    if not _has_looked_up(messages):
        return None
    account, limits = run.account, run.account.limits
    own = used.agents.get(account.agent, AgentSpend())
    left = {
        StopReason.BUDGET: limits.budget_micro_usd - account.set_aside_micro_usd - _taken(used),
        StopReason.AGENT_BUDGET: limits.budget_micro_usd * limits.agent_share_percent // 100 - _taken(own),
    }
    scarce = min(left, key=lambda reason: left[reason])
    return scarce if left[scarce] < _two_turns(run, messages) else None


def _has_looked_up(messages: Sequence[AnyMessage]) -> bool:
    return any(isinstance(each, ToolMessage) for each in messages)


def _two_turns(run: TaskRun, messages: Sequence[AnyMessage]) -> int:
    """The most, in micro-dollars, that the next call of this conversation may cost, and one after it that sums up."""
    model, limits, known, since = run.model, run.account.limits, 0, list(messages)
    for place in reversed(range(len(messages))):
        message = messages[place]
        if isinstance(message, AIMessage) and message.usage_metadata:
            known, since = message.usage_metadata["input_tokens"], since[place:]
            break
    size = known + sum(len(str(each.content).encode()) + MARGIN for each in since)
    floor = limits.answer_floor_tokens
    answer = model.sizes.usual(kind_of(run.account.agent, messages), floor)
    worst = model.toll.prices.worst_case
    return worst(model.model_name, size, answer) + worst(model.model_name, size + answer + RESULT_BYTES, 2 * floor)


def _taken(used: AgentSpend) -> int:
    return used.micro_usd + used.reserved_micro_usd


def _read(response: ModelResponse[Any], *, is_last: bool) -> ModelResponse[Any]:
    """The answer, with its result if it has one. Raises UnusableAnswer."""
    message = next(each for each in response.result if isinstance(each, AIMessage))
    results = [call["args"] for call in message.tool_calls if call["name"] == RESULT]
    if len(results) > 1:
        raise UnusableAnswer(f"the model gave {len(results)} results at once", str(results))
    others = [call["name"] for call in message.tool_calls if call["name"] != RESULT]
    if is_last and others:
        raise UnusableAnswer(f"the model called {others[0]}, which it no longer has, instead of {GIVING}")
    if results and response.structured_response is None:
        try:
            fitted(results[0], AgentResult)
        except ValidationError as error:
            raise UnusableAnswer(
                f"what the model gave as its result does not fit: {told(error)}", str(results[0])
            ) from error
    if others and results and not (response.structured_response or {}).get("findings"):
        return _calls_alone(message)
    return response if message.tool_calls else _from_text(str(message.content))


def _calls_alone(message: AIMessage) -> ModelResponse[Any]:
    """The calls without the result that came with them: a result is premature before they are answered."""
    calls = [call for call in message.tool_calls if call["name"] != RESULT]
    return ModelResponse(result=[message.model_copy(update={"tool_calls": calls})])


def _marked(response: ModelResponse[Any], limit: StopReason) -> ModelResponse[Any]:
    for each in response.result:
        each.additional_kwargs[CUT_SHORT] = limit.value
    return response


def _from_text(text: str) -> ModelResponse[Any]:
    """A result written as text instead of as a call. Raises UnusableAnswer."""
    result = read(text, AgentResult, GIVING).model_dump(mode="json")
    call = {"name": RESULT, "args": result, "id": new_id(), "type": "tool_call"}
    given = ToolMessage("It is taken as the result.", tool_call_id=call["id"], name=RESULT)
    return ModelResponse(result=[AIMessage("", tool_calls=[call]), given], structured_response=result)


def _last(request: ModelRequest[TaskRun]) -> ModelRequest[TaskRun]:
    return request.override(tools=[], messages=_with(request.messages, LAST))


def _with(messages: Sequence[AnyMessage], text: str) -> list[AnyMessage]:
    """The messages with this text appended to the last one: some servers refuse a separate message after a tool's."""
    *before, last = messages
    return [*before, last.model_copy(update={"content": f"{last.content}{text}"})]
